//! A node's certificates replaced while it runs, by good ones, or by ones that have expired and then by good ones.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kho::dev::{Identity, NodeId, Plane};
use rustix::process::Signal;

use super::processes::{POLL, Processes};
use super::schedule::Victim;
use crate::certificates::{self, Issuer, handshake};

/// Other faults may keep everybody from the node for a while.
const PATIENCE: Duration = Duration::from_secs(25);

impl Processes<'_> {
    pub(super) async fn certificates(&mut self, victim: Victim, expired: bool, lasts: Duration) -> Result<()> {
        let (began, place) = (self.report.now_ms(), self.board.resolve(victim));
        let (issuer, node) = (Issuer::of(self.cluster)?, place.node);
        let fault = if expired { "expired_node" } else { "certificates" };
        let mut proof = String::new();
        if expired {
            issuer.renew(self.cluster, node, certificates::expired())?;
            self.cluster.signal(node, Signal::HUP)?;
            proof = format!("{}; then ", self.refuse_expired(&issuer, node).await?);
            tokio::time::sleep(lasts).await;
        }
        let serials = issuer.renew(self.cluster, node, certificates::good())?;
        self.cluster.signal(node, Signal::HUP)?;
        issuer.shown(self.cluster, node, &serials, PATIENCE).await?;
        let shown: Vec<_> =
            serials.iter().map(|(plane, serial)| format!("{} {}", plane.as_str(), &serial[..11])).collect();
        proof.push_str(&format!("node {node} shows {}", shown.join(", ")));
        self.report.proven(began, fault, &place.machine.name, proof);
        Ok(())
    }

    /// Waits until this end refuses the node.
    async fn refuse_expired(&self, issuer: &Issuer, node: NodeId) -> Result<String> {
        let address = certificates::address(self.cluster, node, Plane::Client)?;
        let card = issuer.card(&Identity::Platform, certificates::good())?;
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = handshake(&address, &card).await?;
            if certificates::shows_expired(&answer) {
                return Ok(format!("node {node} refused as expired"));
            }
            ensure!(Instant::now() < end, "node {node} with an expired certificate: {answer:?}");
            tokio::time::sleep(POLL).await;
        }
    }
}
