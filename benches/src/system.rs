//! What the load generator asks of a system under test.

use std::future::Future;
use std::path::Path;

use anyhow::Result;

/// Bytes of a record's payload, and of etcd's value.
pub const PAYLOAD_BYTES: usize = 1024;
/// Nodes of each system.
pub const NODES: usize = 3;

/// One connection to one node. Each request is a record that was never sent before.
pub trait Connection: Send + 'static {
    /// Sends the next record and waits for its acknowledgement.
    fn send(&mut self) -> impl Future<Output = Result<(), String>> + Send;
}

/// A cluster of three processes on loopback.
pub trait System: Sized {
    /// Name in results.
    const NAME: &'static str;
    /// Its connections.
    type Connection: Connection;

    /// Starts a new cluster in the empty directory `dir` and waits until it takes writes.
    fn launch(dir: &Path) -> impl Future<Output = Result<Self>>;
    /// Makes what is sent ready beforehand: `records` are sent at most until the next call.
    fn prepare(&mut self, records: usize) -> impl Future<Output = Result<()>>;
    /// A new connection to node `node`, from 0.
    fn connect(&self, node: usize) -> Result<Self::Connection>;
    /// Which node leads.
    fn leader(&mut self) -> impl Future<Output = Result<usize>>;
    /// SIGKILL; returns when the process is gone.
    fn kill(&mut self, node: usize) -> Result<()>;
    /// SIGTERM; returns when the process has ended.
    fn terminate(&mut self, node: usize) -> impl Future<Output = Result<()>>;
    /// Starts a stopped node and waits until it has caught up.
    fn restart(&mut self, node: usize) -> impl Future<Output = Result<()>>;
    /// Process ids of the running nodes.
    fn processes(&self) -> Vec<u32>;
    /// Ends all processes.
    fn stop(self) -> impl Future<Output = Result<()>>;
}
