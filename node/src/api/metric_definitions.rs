//! Metrics of the wire.

/// Refused requests, by `code`.
pub const REFUSED: &str = "kho_api_refused_total";

/// Records of a `SubmitMany`.
pub const MANY_RECORDS: &str = "kho_api_submit_many_records";
/// Open streams of records.
pub const SUBMIT_STREAMS: &str = "kho_api_submit_streams";

/// Registers descriptions.
pub fn describe() {
    metrics::describe_histogram!(MANY_RECORDS, "records of one call that submits many");
    metrics::describe_gauge!(SUBMIT_STREAMS, "open streams of records");
    metrics::describe_counter!(REFUSED, "refused requests by stable code");
}

/// One more open stream, until it is dropped.
pub(super) struct OpenStream(());

impl OpenStream {
    pub fn new() -> Self {
        metrics::gauge!(SUBMIT_STREAMS).increment(1);
        Self(())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!(SUBMIT_STREAMS).decrement(1);
    }
}
