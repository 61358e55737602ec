//! Kho as it is: mutual TLS, signatures verified, payloads sealed, receipts signed. Receipts are not verified here, since no
//! other client verifies anything.

use std::path::Path;

use anyhow::{Context, Result};
use kho::bench::cluster::Target;
use kho::bench::process::Group;
use kho::bench::round::{Loaded, Work};
use kho::bench::store::Store;
use kho::dev::DevCluster;
use kho_proto::signature::Algorithm;

use crate::system::System;

/// Three Kho processes.
pub struct Kho(Target);

impl Kho {
    fn own(&mut self) -> Result<&mut DevCluster> {
        self.0.own.as_mut().context("a cluster of its own")
    }
}

impl Loaded for Kho {
    type Connection = Store;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn prepare(&mut self, work: &Work, records: usize) -> Result<()> {
        self.0.prepare(work, records).await
    }

    async fn connect(&mut self, work: &Work) -> Result<Vec<Store>> {
        self.0.connect(work).await
    }

    fn groups(&self) -> Vec<Group> {
        self.0.groups()
    }
}

impl System for Kho {
    const NAME: &'static str = "kho";
    const DURABILITY: &'static str = "Acknowledged when a majority of three has synced the log (fdatasync) and the record is \
                                      applied. Its defaults, a node's worker threads its share of the cores; mutual TLS, \
                                      each signature verified, each payload sealed.";
    const FAILOVER: &'static str = "its own election";

    async fn launch(dir: &Path) -> Result<Self> {
        Ok(Self(Target::local(dir, Algorithm::Ed25519, false).await?))
    }

    fn sign_with(&mut self, algorithm: Algorithm) -> Result<()> {
        self.0.sign_with(algorithm)
    }

    /// The client library goes on by itself.
    async fn sender(&mut self, work: &Work, place: usize) -> Result<Vec<Store>> {
        Ok(vec![self.0.store(work, None, place)?])
    }

    async fn leader(&mut self) -> Result<usize> {
        let leader = self.own()?.wait_ready().await?;
        Ok(usize::try_from(leader.0)? - 1)
    }

    fn kill(&mut self, node: usize) -> Result<()> {
        self.own()?.kill(Target::id(node))?;
        Ok(())
    }

    async fn terminate(&mut self, node: usize) -> Result<()> {
        self.own()?.terminate(Target::id(node)).await?;
        Ok(())
    }

    async fn restart(&mut self, node: usize) -> Result<()> {
        let own = self.own()?;
        own.start(Target::id(node))?;
        own.wait_equal().await?;
        Ok(())
    }

    async fn stop(self) -> Result<()> {
        self.0.stop().await
    }
}
