//! Metrics of HTTP.

use http::StatusCode;

/// Requests of HTTP beside gRPC, by `operation` and `status`.
pub const REQUESTS: &str = "kho_http_requests_total";

/// Registers descriptions.
pub fn describe() {
    metrics::describe_counter!(REQUESTS, "requests of HTTP and JSON beside gRPC");
}

/// Counts a request. Operations are those of the table, statuses those of the refusals' table.
pub(super) fn requested(operation: &'static str, status: StatusCode) {
    metrics::counter!(REQUESTS, "operation" => operation, "status" => status.as_str().to_owned()).increment(1);
}
