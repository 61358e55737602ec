//! What calls and attempts tell of themselves: `tracing` spans always, metrics with the feature `metrics`. Ids, nodes and
//! codes, never what a report says. `docs/client.md` lists them.

use std::future::Future;
use std::time::Instant;

use kho_proto::error::Code;
use kho_proto::id::RecordId;
use tracing::field::Empty;
use tracing::{Instrument, Span, debug_span};

use crate::attempt::Failed;
use crate::nodes::Node;

/// Of whatever went well.
const OK: &str = "ok";

/// One call, from its beginning to its end. One that is dropped on the way has no outcome.
pub(crate) async fn call<T, E>(
    name: &'static str,
    record: Option<RecordId>,
    code: impl FnOnce(&E) -> Code,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let span = debug_span!("kho.call", call = name, record = Empty, outcome = Empty);
    if let Some(record) = record
        && !span.is_disabled()
    {
        span.record("record", tracing::field::display(record));
    }
    let start = Instant::now();
    let done = work.instrument(span.clone()).await;
    let outcome = done.as_ref().err().map_or(OK, |error| code(error).as_str());
    span.record("outcome", outcome);
    meter::call(name, outcome, start);
    done
}

/// One attempt of a call, at one node.
pub(crate) async fn attempt<T>(
    node: &Node,
    number: u32,
    work: impl Future<Output = Result<T, Failed>>,
) -> Result<T, Failed> {
    let span = attempt_span(node, number);
    let done = work.instrument(span.clone()).await;
    attempted(&span, done.as_ref().err());
    done
}

/// For attempts that are no future of their own.
pub(crate) fn attempt_span(node: &Node, number: u32) -> Span {
    debug_span!("kho.attempt", node = %node.address, attempt = number, outcome = Empty)
}

/// The attempt of this span is over.
pub(crate) fn attempted(span: &Span, failed: Option<&Failed>) {
    let outcome = failed.map_or(OK, Failed::outcome);
    span.record("outcome", outcome);
    meter::attempt(outcome);
}

/// One of many records has its answer.
pub(crate) fn settled(name: &'static str, code: Option<Code>) {
    meter::settled(name, code.map_or(OK, Code::as_str));
}

/// A read is asked of a second node.
pub(crate) fn hedged() {
    meter::count("kho_client_hedges_total");
}

/// A checkpoint's signature was verified.
pub(crate) fn checkpoint_verified() {
    meter::count("kho_client_checkpoints_verified_total");
}

/// A connection to a node was made, TCP of it; the first to a node, or one in place of another.
pub(crate) fn connected() {
    meter::count("kho_client_connections_total");
}

/// TLS files were read again, and connections begun anew.
pub(crate) fn tls_reloaded() {
    meter::count("kho_client_tls_reloads_total");
}

#[cfg(feature = "metrics")]
mod meter {
    use std::time::Instant;

    pub fn call(name: &'static str, outcome: &'static str, start: Instant) {
        metrics::counter!("kho_client_calls_total", "call" => name, "outcome" => outcome).increment(1);
        metrics::histogram!("kho_client_call_seconds", "call" => name).record(start.elapsed());
    }

    pub fn attempt(outcome: &'static str) {
        metrics::counter!("kho_client_attempts_total", "outcome" => outcome).increment(1);
    }

    pub fn settled(name: &'static str, outcome: &'static str) {
        metrics::counter!("kho_client_records_total", "call" => name, "outcome" => outcome).increment(1);
    }

    pub fn count(name: &'static str) {
        metrics::counter!(name).increment(1);
    }
}

#[cfg(not(feature = "metrics"))]
mod meter {
    use std::time::Instant;

    pub fn call(_: &'static str, _: &'static str, _: Instant) {}
    pub fn attempt(_: &'static str) {}
    pub fn settled(_: &'static str, _: &'static str) {}
    pub fn count(_: &'static str) {}
}
