//! A cluster of real processes under attack, and what its senders have in hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use kho::dev::{DevCluster, NodeId, Options};
use kho_client::{Client, Draft, PemSigner, Signed};
use kho_sample::{Country, Generator, Report};
use tempfile::TempDir;

use crate::auditor::VerifierKey;
use crate::disks::Disk;
use crate::history::{History, Recorded};
use crate::invariants::{Acknowledged, recorded};
use crate::load::Named;
use crate::sampler::Sampler;
use crate::skip;

mod catalogue;
mod checks;

/// Of what a failed test's history breaks.
const BREACHES_SHOWN: usize = 5;
/// Name of the history's file.
const HISTORY: &str = "history.jsonl";
/// Where the history of a test that passed goes; else it is removed with the rest.
const KEEP_HISTORY: &str = "KHO_KEEP_HISTORY";

/// Senders: reports, signers, and the history of what they did.
pub struct Senders {
    reports: Mutex<Generator>,
    signers: BTreeMap<String, PemSigner>,
    /// All that were ever signed, in order: the last may be on their way.
    signed: Mutex<Vec<Named>>,
    /// What was asked and answered.
    pub history: Arc<History>,
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
        let record = draft.sign(signer, client.surroundings()).await?;
        self.signed.lock().expect("no thread panics while it holds this").push(Named::of(&record));
        Ok(record)
    }

    /// The record that `choose` picks out of as many as were signed; none if there are none yet.
    pub fn drawn(&self, choose: impl FnOnce(usize) -> usize) -> Option<Named> {
        let signed = self.signed.lock().expect("no thread panics while it holds this");
        if signed.is_empty() { None } else { signed.get(choose(signed.len())).cloned() }
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
    /// Asks all nodes how they stand, from the launch on.
    pub sampler: Sampler,
    /// The log's key.
    key: Option<VerifierKey>,
    /// Records that were written only to see whether the cluster lives.
    probes: Vec<Acknowledged>,
    directory: Directory,
}

/// Stays unless the test came to its end, so that logs and data can be looked at.
struct Directory(Option<TempDir>);

impl Drop for Directory {
    fn drop(&mut self) {
        if let Some(directory) = self.0.take() {
            let path = directory.keep();
            // why it failed may be told by nobody but the history
            match Recorded::read(&path.join(HISTORY)) {
                Ok(recorded) => {
                    recorded::judge(&recorded).iter().take(BREACHES_SHOWN).for_each(|one| eprintln!("{one}"))
                }
                Err(error) => eprintln!("{error}"),
            }
            eprintln!("the cluster's files stay in {}", path.display());
        }
    }
}

/// Where clusters of tests lie instead, e.g. on a disk that stands still now and then (`make test-stalls`).
const SCRATCH: &str = "KHO_SCRATCH";

/// Below the build directory, so that `fsync` meets a real disk: the system's temporary folder may be memory.
fn scratch() -> Result<PathBuf> {
    if let Some(scratch) = std::env::var_os(SCRATCH) {
        return Ok(scratch.into());
    }
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
        let history = Arc::new(History::create(&directory.path().join(HISTORY))?);
        let sampler = Sampler::new(Arc::clone(&history));
        let reports = Mutex::new(Generator::new(seed));
        let senders = Senders { reports, signers: signers?, signed: Mutex::default(), history };
        Ok(Self { cluster, senders, sampler, key: None, probes: Vec::new(), directory: Directory(Some(directory)) })
    }

    /// The test passed: stops the nodes, removes everything.
    pub async fn finish(mut self) -> Result<()> {
        self.cluster.terminate_all().await?;
        if let Some(kept) = std::env::var_os(KEEP_HISTORY) {
            std::fs::copy(self.history(), kept)?;
        }
        self.directory.0.take().context("taken once")?.close()?;
        Ok(())
    }

    /// Where all of it lies.
    pub fn path(&self) -> &Path {
        self.directory.0.as_ref().expect("taken only at the end").path()
    }

    /// The history so far.
    pub fn history(&self) -> PathBuf {
        self.path().join(HISTORY)
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
        self.sampler.follow(&self.cluster)?;
        self.key = Some(VerifierKey::parse(&key).with_context(|| format!("a verifier key: {key}"))?);
        Ok(leader)
    }

    /// The log's key, as the auditor reads it.
    pub fn key(&self) -> &VerifierKey {
        self.key.as_ref().expect("launched")
    }
}
