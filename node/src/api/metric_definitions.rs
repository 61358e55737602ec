//! Metrics of the wire.

/// Refused requests, by `code`.
pub const REFUSED: &str = "kho_api_refused_total";

/// Registers descriptions.
pub fn describe() {
    metrics::describe_counter!(REFUSED, "refused requests by stable code");
}
