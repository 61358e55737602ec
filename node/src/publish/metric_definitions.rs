//! Metrics of the public log.

use http::StatusCode;
use kho_proto::tlog::Resource;

/// Requests of the public log, by `kind` and `status`.
pub const REQUESTS: &str = "kho_log_requests_total";

/// Registers descriptions.
pub fn describe() {
    metrics::describe_counter!(REQUESTS, "requests of the public log");
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Checkpoint,
    Tile,
    Entries,
    /// Nothing that there is.
    Other,
}

impl What {
    pub fn of(resource: Resource) -> Self {
        match resource {
            Resource::Checkpoint => What::Checkpoint,
            Resource::Tile(_) => What::Tile,
            Resource::Entries(_) => What::Entries,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            What::Checkpoint => "checkpoint",
            What::Tile => "tile",
            What::Entries => "entries",
            What::Other => "other",
        }
    }
}

/// Counts a request. The statuses are a handful: those of `answer`.
pub(super) fn requested(what: What, status: StatusCode) {
    metrics::counter!(REQUESTS, "kind" => what.as_str(), "status" => status.as_str().to_owned()).increment(1);
}
