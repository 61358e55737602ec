//! A cluster of real processes under attack, and what its senders have in hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use kho::dev::{DevCluster, NodeId, Options};
use kho_client::{Client, Draft, PemSigner, Signed};
use kho_proto::pb::v1::SignedRecord;
use kho_sample::{Country, Generator, Report};
use tempfile::TempDir;

use crate::auditor::VerifierKey;
use crate::disks::Disk;
use crate::history::History;
use crate::invariants::durable::Seen;
use crate::invariants::merkle::Stated;
use crate::invariants::{Acknowledged, must_hold};
use crate::invariants::{durable, exactly_once, merkle, receipts};
use crate::load;
use crate::skip;

/// Questions to one node at a time.
const READS_IN_FLIGHT: usize = 16;

/// Senders: reports, signers, and the history of what they did.
pub struct Senders {
    reports: Mutex<Generator>,
    signers: BTreeMap<String, PemSigner>,
    /// What was asked and answered.
    pub history: History,
}

impl Senders {
    /// Takes the next report and signs it.
    pub async fn next(&self, client: &Client) -> Result<Signed> {
        self.sign(client, self.draft()?).await
    }

    /// Takes the next report.
    pub fn draft(&self) -> Result<Draft> {
        draft(self.reports.lock().expect("no thread panics while it generates").next())
    }

    /// Has the unit of `draft` sign it.
    pub async fn sign(&self, client: &Client, draft: Draft) -> Result<Signed> {
        let signer = self.signers.get(draft.unit.as_str()).context("a signer for each unit")?;
        Ok(draft.sign(signer, client.surroundings()).await?)
    }
}

/// A generated report, to be signed.
pub fn draft(report: Report) -> Result<Draft> {
    Ok(Draft {
        record_id: None,
        unit: report.unit.parse()?,
        regime: report.regime.parse()?,
        period: report.period.parse()?,
        series: report.series,
        supersedes: None,
        receivers: report.receivers.iter().map(|code| code.parse()).collect::<Result<_, _>>()?,
        media_type: report.media_type,
        payload: report.payload.into(),
    })
}

/// The cluster and its senders.
pub struct Rig {
    /// Its processes; they end with this value.
    pub cluster: DevCluster,
    /// Reports and signers.
    pub senders: Senders,
    /// The log's key.
    key: Option<VerifierKey>,
    directory: Directory,
}

/// Stays unless the test came to its end, so that logs and data can be looked at.
struct Directory(Option<TempDir>);

impl Drop for Directory {
    fn drop(&mut self) {
        if let Some(directory) = self.0.take() {
            eprintln!("the cluster's files stay in {}", directory.keep().display());
        }
    }
}

/// Below the build directory, so that `fsync` meets a real disk: the system's temporary folder may be memory.
fn scratch() -> Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let build = executable.ancestors().nth(3).context("a test lies three levels below the build directory")?;
    let scratch = build.join("tmp");
    std::fs::create_dir_all(&scratch)?;
    Ok(scratch)
}

impl Rig {
    /// Three nodes, not yet running. `settings` go into every node's configuration.
    pub fn create(name: &str, seed: u64, settings: toml::Table) -> Result<Self> {
        Self::create_with(name, seed, &Options { settings, ..Options::default() })
    }

    /// A cluster of another kind.
    pub fn create_with(name: &str, seed: u64, options: &Options) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(scratch()?)?;
        let cluster = DevCluster::create_with(&directory.path().join("cluster"), options)?;
        let signers: Result<_, kho::dev::Error> = Country::load()
            .units()
            .iter()
            .map(|unit| Ok((unit.code.clone(), cluster.signer(&unit.code.parse().expect("units have codes"))?)))
            .collect();
        let history = History::create(&directory.path().join("history.jsonl"))?;
        let senders = Senders { reports: Mutex::new(Generator::new(seed)), signers: signers?, history };
        Ok(Self { cluster, senders, key: None, directory: Directory(Some(directory)) })
    }

    /// The test passed: stops the nodes, removes everything.
    pub async fn finish(mut self) -> Result<()> {
        self.cluster.terminate_all().await?;
        self.directory.0.take().context("taken once")?.close()?;
        Ok(())
    }

    /// Where all of it lies.
    pub fn path(&self) -> &Path {
        self.directory.0.as_ref().expect("taken only at the end").path()
    }

    /// A disk for each node, in order of the nodes, under its data directory; before the launch. None: `test` is skipped,
    /// since this machine mounts none.
    pub fn disks(&self, test: &str) -> Result<Option<Vec<Disk>>> {
        let layout = self.cluster.layout();
        let disk = |node: NodeId| {
            let disk = Disk::create(&self.path().join(format!("disk{node}.img")), &layout.data_dir(node))?;
            self.cluster.create_data(node)?;
            Ok(disk)
        };
        match self.cluster.nodes().map(disk).collect() {
            Ok(disks) => Ok(Some(disks)),
            Err(error) => {
                let error: anyhow::Error = error;
                skip::skip(test, &format!("no loop-mounted ext4 here: {error:#}"));
                Ok(None)
            }
        }
    }

    /// Starts all nodes, forms the cluster, waits for a leader.
    pub async fn launch(&mut self) -> Result<NodeId> {
        let leader = self.cluster.launch().await?;
        let key = self.cluster.verifier_key()?.to_string();
        self.key = Some(VerifierKey::parse(&key).with_context(|| format!("a verifier key: {key}"))?);
        Ok(leader)
    }

    /// The log's key, as the auditor reads it.
    pub fn key(&self) -> &VerifierKey {
        self.key.as_ref().expect("launched")
    }

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
        let (size, _) = self.cluster.wait_equal().await?;
        must_hold(exactly_once::no_other_leaf(size, acknowledged));
        self.check_roots(acknowledged).await?;
        self.check_durable(acknowledged).await?;
        self.check_exactly_once(acknowledged, acknowledged).await?;
        self.check_receipts(acknowledged);
        Ok(())
    }
}
