//! What must hold, asked of a running cluster.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kho::dev::NodeId;
use kho_proto::pb::v1::SignedRecord;

use super::Rig;
use crate::history::{Kind, Outcome, Recorded};
use crate::invariants::durable::Seen;
use crate::invariants::live::Healed;
use crate::invariants::merkle::Stated;
use crate::invariants::{Acknowledged, durable, exactly_once, live, merkle, must_hold, receipts, recorded};
use crate::load;
use crate::observation::Observation;

/// Questions to one node at a time.
const READS_IN_FLIGHT: usize = 16;
/// A cluster without a fault works again within this: an election takes a second, catching up the rest.
const LIVE_LIMIT: Duration = Duration::from_secs(30);
const LIVE_POLL: Duration = Duration::from_millis(50);

impl Rig {
    /// Asks `node` for all `acknowledged` records.
    async fn seen_by(&self, node: NodeId, acknowledged: &[Acknowledged]) -> Result<Vec<Seen>> {
        let client = self.cluster.client_of(node)?;
        let history = &self.senders.history;
        let reads = acknowledged.iter().map(|one| load::get(&client, history, one));
        let answers: Vec<Result<SignedRecord, String>> = stream::iter(reads).buffered(READS_IN_FLIGHT).collect().await;
        Ok(answers.into_iter().map(|answer| Seen { node: node.0, answer }).collect())
    }

    /// I1 on every running node.
    pub async fn check_durable(&self, acknowledged: &[Acknowledged]) -> Result<()> {
        for node in self.cluster.nodes().filter(|node| self.cluster.is_running(*node)) {
            let seen = self.seen_by(node, acknowledged).await?;
            must_hold(acknowledged.iter().zip(&seen).filter_map(|(one, seen)| durable::judge(one, seen)));
        }
        Ok(())
    }

    /// I2: resubmits `sample`, and holds all receipts against each other.
    pub async fn check_exactly_once(&self, sample: &[Acknowledged], all: &[Acknowledged]) -> Result<()> {
        let client = self.cluster.client()?;
        let again = sample.iter().map(|one| load::resubmit(&client, &self.senders.history, one));
        let again: Vec<Acknowledged> = stream::iter(again).buffered(READS_IN_FLIGHT).try_collect().await?;
        let key = self.key();
        must_hold(sample.iter().zip(&again).filter_map(|(first, again)| exactly_once::same_receipt(key, first, again)));
        must_hold(exactly_once::one_leaf_each(key, all));
        Ok(())
    }

    /// I4, offline.
    pub fn check_receipts(&self, acknowledged: &[Acknowledged]) {
        must_hold(acknowledged.iter().filter_map(|one| receipts::judge(self.key(), one)));
    }

    /// I5: waits until all running nodes have the same tree, then asks each for the root at every size that a receipt of
    /// `sample` names.
    pub async fn check_roots(&mut self, sample: &[Acknowledged]) -> Result<()> {
        let (size, root) = self.cluster.wait_equal().await?;
        let mut stated = vec![Stated { by: "all nodes".to_owned(), size, root: root.as_slice().try_into()? }];
        for one in sample {
            let checkpoint = crate::auditor::verify(self.key(), &one.receipt)?.checkpoint;
            let by = format!("the receipt of {}", one.record_id);
            stated.push(Stated { by, size: checkpoint.size, root: checkpoint.root });
        }
        let sizes: std::collections::BTreeSet<u64> = stated.iter().map(|one| one.size).collect();
        for node in self.cluster.nodes().filter(|node| self.cluster.is_running(*node)) {
            let admin = self.cluster.admin(node)?;
            for &size in &sizes {
                let root = admin.tree_root(size).await?.root;
                stated.push(Stated { by: format!("node {node}"), size, root: root.as_ref().try_into()? });
            }
        }
        must_hold(merkle::judge(stated));
        Ok(())
    }

    /// Everything, on everything: `acknowledged` are all records that were ever submitted to this cluster.
    pub async fn check_all(&mut self, acknowledged: &[Acknowledged]) -> Result<()> {
        self.sampler.follow(&self.cluster)?;
        self.sampler.wait_seen(self.cluster.nodes().filter(|node| self.cluster.is_running(*node))).await?;
        self.judge_recorded()?;
        self.check_live().await?;
        let (size, _) = self.cluster.wait_equal().await?;
        let all = [acknowledged, &self.probes].concat();
        must_hold(exactly_once::no_other_leaf(size, &all));
        self.check_roots(acknowledged).await?;
        self.check_durable(acknowledged).await?;
        self.check_exactly_once(acknowledged, acknowledged).await?;
        self.check_receipts(acknowledged);
        self.check_recorded()
    }

    /// I2, I3, I5, I6, I7 over all that was recorded so far. An error if that is too little to prove anything.
    pub fn check_recorded(&self) -> Result<()> {
        ensure!(self.judge_recorded()? > 0, "nothing was read");
        Ok(())
    }

    /// The same, of however much there is; how many reads.
    fn judge_recorded(&self) -> Result<usize> {
        let recorded = Recorded::read(&self.history())?;
        let reads = recorded.operations.iter().filter(|one| one.kind == Kind::Get && one.outcome == Outcome::Ok);
        let absent = reads.clone().filter(|one| one.found.is_none()).count();
        let count = reads.count();
        println!(
            "judged: {} operations, {count} reads, {absent} of a record not there yet, {} observations",
            recorded.operations.len(),
            recorded.observations.len()
        );
        must_hold(recorded::judge(&recorded));
        Ok(count)
    }

    /// I11: nothing is wrong any more, for `LIVE_LIMIT` at most.
    pub async fn check_live(&mut self) -> Result<()> {
        let end = Instant::now() + LIVE_LIMIT;
        let probe = self.senders.next(&self.cluster.client()?).await?;
        let mut wrote: Option<Acknowledged> = None;
        loop {
            let mut healed = Healed {
                running: self.cluster.nodes().filter(|node| self.cluster.is_running(*node)).count(),
                ..Healed::default()
            };
            if wrote.is_none() {
                match load::once(&self.cluster.client()?, &self.senders.history, &probe).await {
                    Ok(one) => wrote = Some(one),
                    Err(error) => healed.tried.push(Err(format!("a write failed: {error}"))),
                }
            }
            if let Some(wrote) = &wrote {
                for node in self.cluster.nodes().filter(|node| self.cluster.is_running(*node)) {
                    let read = load::get(&self.cluster.client_of(node)?, &self.senders.history, wrote).await;
                    healed.tried.push(read.map(drop).map_err(|error| format!("a read by node {node} failed: {error}")));
                }
            }
            let statuses = self.cluster.statuses().await?;
            healed.nodes = statuses.values().map(|status| Observation::of(status, 0, 0, 0)).collect();
            let breaches = live::judge(&healed);
            if breaches.is_empty() {
                self.probes.extend(wrote);
                return Ok(());
            }
            if Instant::now() > end {
                must_hold(breaches);
            }
            tokio::time::sleep(LIVE_POLL).await;
        }
    }
}
