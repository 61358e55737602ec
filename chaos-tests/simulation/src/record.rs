//! What happened, in order: the trace that two runs of a seed must share, and the history of operations.

use std::sync::Arc;
use std::time::Duration;

use kho_chaos_tests::history::Operation;
use kho_proto::digest::Digest;
use parking_lot::Mutex;

use crate::machine::elapsed;

/// The trace and the history.
#[derive(Default)]
pub struct Record {
    trace: Mutex<Vec<String>>,
    operations: Mutex<Vec<Operation>>,
    /// Outside of machines nobody else knows the time.
    now: Mutex<Duration>,
}

impl Record {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// It is `now`.
    pub fn tick(&self, now: Duration) {
        *self.now.lock() = now;
    }

    fn now(&self) -> Duration {
        elapsed().max(*self.now.lock())
    }

    /// Virtual microseconds.
    pub fn now_us(&self) -> u64 {
        self.now().as_micros() as u64
    }

    /// Adds a line at this virtual time.
    pub fn note(&self, line: &str) {
        let now = self.now();
        self.trace.lock().push(format!("{:>9.3} {line}", now.as_secs_f64()));
    }

    /// Adds an operation.
    pub fn add(&self, operation: Operation) {
        self.note(&serde_json::to_string(&operation).expect("an operation has a JSON form"));
        self.operations.lock().push(operation);
    }

    /// All operations.
    pub fn operations(&self) -> Vec<Operation> {
        self.operations.lock().clone()
    }

    /// The whole trace.
    pub fn text(&self) -> String {
        self.trace.lock().join("\n") + "\n"
    }

    /// SHA-256 of the trace.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }
}
