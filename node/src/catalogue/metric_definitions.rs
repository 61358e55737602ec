//! Metrics of the catalogue.

/// Entries in memory, by `kind`.
pub const ENTRIES: &str = "kho_catalogue_entries";
/// Recorded entries that this build does not read; they count for nothing.
pub const UNREADABLE: &str = "kho_catalogue_unreadable_total";

/// Registers descriptions.
pub fn describe() {
    metrics::describe_gauge!(ENTRIES, "entries of the catalogue in memory");
    metrics::describe_counter!(UNREADABLE, "recorded entries of the catalogue that could not be read");
}
