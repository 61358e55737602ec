//! What the comparison asks of a system.

use std::future::Future;
use std::path::Path;

use anyhow::{Result, bail};
use bytes::Bytes;
use kho::bench::round::{Loaded, Work};
use kho_client::{Surroundings, System as RealWorld};
use kho_proto::signature::Algorithm;

/// Nodes of each system.
pub const NODES: usize = 3;

/// A cluster of three nodes on loopback.
pub trait System: Loaded + Sized {
    /// Name in results and on the command line.
    const NAME: &'static str;
    /// When a record is acknowledged, and how the system was set up for it.
    const DURABILITY: &'static str;
    /// Who makes another node lead when the leader goes.
    const FAILOVER: &'static str;

    /// Starts a new cluster in the new directory `dir` and waits until it takes writes.
    fn launch(dir: &Path) -> impl Future<Output = Result<Self>>;
    /// Signs what is prepared from now on in this way.
    fn sign_with(&mut self, algorithm: Algorithm) -> Result<()> {
        bail!("{} knows nothing of signatures, nor of {algorithm}", Self::NAME)
    }
    /// Connections of one sender that goes on when a node is gone: they are tried in turn, from one of their own choice on.
    fn sender(&mut self, work: &Work, place: usize) -> impl Future<Output = Result<Vec<Self::Connection>>>;
    /// Which node leads.
    fn leader(&mut self) -> impl Future<Output = Result<usize>>;
    /// SIGKILL; returns when the process is gone.
    fn kill(&mut self, node: usize) -> Result<()>;
    /// The usual end of a process; returns when it has ended.
    fn terminate(&mut self, node: usize) -> impl Future<Output = Result<()>>;
    /// Called once the leader is gone: for systems that leave the next one to somebody else.
    fn promote(&mut self) -> impl Future<Output = Result<()>> {
        async { Ok(()) }
    }
    /// Starts a stopped node and waits until it has caught up.
    fn restart(&mut self, node: usize) -> impl Future<Output = Result<()>>;
    /// Ends all processes.
    fn stop(self) -> impl Future<Output = Result<()>>;
}

/// Payloads of systems that take them as they are: random, as ciphertext is, so that nobody gains by compressing.
#[derive(Clone)]
pub struct Bodies(Bytes);

impl Bodies {
    /// Bodies of `size` bytes.
    pub fn new(size: usize) -> Self {
        const KINDS: usize = 256;
        let mut block = vec![0; size + KINDS];
        RealWorld.fill(&mut block);
        Self(block.into())
    }

    /// One of them.
    pub fn body(&self, number: u64) -> Bytes {
        let from = usize::try_from(number % 256).unwrap_or(0);
        self.0.slice(from..from + self.0.len() - 256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_their_size_and_differ() {
        let bodies = Bodies::new(1024);
        assert!((0..600).all(|number| bodies.body(number).len() == 1024));
        assert_ne!(bodies.body(1), bodies.body(2));
    }
}
