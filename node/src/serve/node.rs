//! A running node: what it is made of, in the order in which it is made, and how it ends.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kho_proto::id::NodeId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listener::{Answers, Ends, Listener, PEER_CONNECTIONS_MAX};
use super::prepare::{Door, Prepared, load_signers};
use super::services::{EPOCH_FIRST, Log, Services};
use super::{Machine, ServeError, health, planes, watch};
use crate::config::Config;
use crate::consensus::{Consensus, ConsensusConfig, MemberAddress, SnapshotTrigger, StateStore, Timing};
use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::seams::{Dial, Seams};
use crate::storage::fatal::FatalSwitch;
use crate::tls::{Dialler, Plane, Secure};
use crate::web::{self, Web};
use crate::write::Verifier;

/// Requests that were begun may end within so long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// A handover takes an election at most.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(3);

/// Listeners that end together.
#[derive(Default)]
struct Group {
    ends: Ends,
    connections: TaskTracker,
}

/// A running node.
pub struct Node {
    consensus: Consensus,
    state: StateStore,
    doors: Vec<(Plane, Arc<dyn Secure>)>,
    dialler: Arc<dyn Dialler>,
    /// Who may sign records, and the file of the roots that says so.
    verifier: Arc<Verifier>,
    signers: PathBuf,
    /// Health says no, watches and streams of records end.
    stopping: CancellationToken,
    /// Listeners of clients and operators.
    outer: Group,
    /// The listener of peers: last to go, since other nodes' writes come through it.
    inner: Group,
    failures: mpsc::UnboundedReceiver<ServeError>,
    node: NodeId,
    /// Held until the databases are closed.
    _data_dir: DataDir,
}

impl Node {
    /// Checks everything that can be checked, opens the databases, and answers.
    pub async fn start(config: Config, seams: Seams) -> Result<Node, ServeError> {
        let machine = Machine::of(&config, seams);
        Self::start_on(machine, config).await
    }

    /// The same on any machine.
    pub async fn start_on(machine: Machine, config: Config) -> Result<Node, ServeError> {
        let prepared = Prepared::check(&config, &machine).await?;
        let Machine { seams, storage, recorder, .. } = machine;
        let (node, cluster) = (config.node(), config.cluster_id);
        let (failed, failures) = mpsc::unbounded_channel();
        let fatal = fatal_switch(failed.clone());
        let Prepared { keys, mut data_dir, signers, dialler, client, peer, admin, log: log_door } = prepared;
        let dial: Arc<dyn Dial> = dialler.clone();
        let disk = Disk::open(&config.disk, data_dir.path().to_owned());
        let consensus = consensus_config(&config, data_dir.identity().started);
        let opened = Consensus::open(storage, consensus, seams.clone(), dial.clone(), fatal.clone());
        let (consensus, state) = opened.await?;
        data_dir.mark_started()?;
        let stopping = CancellationToken::new();
        let log = Log {
            consensus: consensus.clone(),
            state: state.clone(),
            dial,
            disk: disk.clone(),
            fatal,
            stopping: stopping.clone(),
        };
        let services = Services::of(&config, &seams, log, keys.as_ref(), signers, data_dir.path());
        let Services { formation, revoker, verifier, store, forward, admin: admin_service, log, pulse, orphans } =
            services;

        let (reporter, health_service) = tonic_health::server::health_reporter();
        let outer = Group::default();
        let inner = Group::default();
        let all = [Some(&client), Some(&peer), Some(&admin), log_door.as_ref()].into_iter().flatten();
        let doors = all.map(|door| (door.plane, door.secure.clone())).collect();
        let listen = |name, Door { accept, plane, secure }: Door, answers, connections_max, group: &Group| {
            let listener = Listener { plane, accept, secure, answers, connections_max };
            seams.tasks.spawn(name, Box::pin(listener.run(group.ends.clone(), group.connections.clone())));
        };
        let routes = planes::peer(forward, &consensus);
        listen("peer-listener", peer, Answers::Services(routes, None), PEER_CONNECTIONS_MAX, &inner);
        let web = Web { store: store.clone(), clock: seams.clock.clone(), entropy: seams.entropy.clone() };
        let answers = Answers::Services(planes::client(store, health_service.clone()), Some(web::router(&web)));
        listen("client-listener", client, answers, config.limits.client_connections, &outer);
        let routes = planes::admin(admin_service, health_service, recorder.clone());
        listen("admin-listener", admin, Answers::Services(routes, None), config.limits.admin_connections, &outer);
        if let Some(door) = log_door {
            listen("log-listener", door, Answers::Log(log), config.limits.log_connections, &outer);
        }

        let beside = |name, task: Pin<Box<dyn Future<Output = ()> + Send>>| {
            let end = outer.ends.stop.clone();
            seams.tasks.spawn(name, Box::pin(async move { end.run_until_cancelled(task).await.unwrap_or(()) }));
        };
        let leader = consensus.watch_leader();
        beside("health", Box::pin(health::follow(reporter, leader.clone(), stopping.clone())));
        beside("revoked", Box::pin(revoker.watch()));
        beside("gauges", Box::pin(watch::gauges(consensus.clone(), state.clone(), recorder)));
        beside("disk", Box::pin(disk.watch(seams.tasks.clone())));
        beside("standstill", Box::pin(pulse.clone().watch_log()));
        beside("pulse", Box::pin(pulse.run()));
        beside("orphans", Box::pin(orphans.run()));
        match keys {
            Some(keys) => {
                beside("formation", Box::pin(formation.keep()));
                let guarded = watch::guard(keys.notary, state.clone());
                let guard = async move {
                    if let Err(error) = guarded.await {
                        // No receiver: the node ends already.
                        drop(failed.send(error.into()));
                    }
                };
                beside("keys-guard", Box::pin(guard));
            }
            None => beside("hand-over", Box::pin(watch::hand_over(node, consensus.clone(), leader))),
        }
        tracing::info!(%cluster, %node, version = env!("CARGO_PKG_VERSION"), "serving");
        Ok(Node {
            consensus,
            state,
            doors,
            dialler,
            verifier,
            signers: config.signers.trust,
            stopping,
            outer,
            inner,
            failures,
            node,
            _data_dir: data_dir,
        })
    }

    /// Ends when the node can't go on.
    pub async fn failed(&mut self) -> ServeError {
        match self.failures.recv().await {
            Some(error) => error,
            // The senders live as long as the node's parts.
            None => std::future::pending().await,
        }
    }

    /// Committed state, for tests and tools in the same process.
    pub fn state(&self) -> &StateStore {
        &self.state
    }

    /// The log, for tests and tools in the same process.
    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// Reads certificates, keys, roots and lists of revoked certificates of all planes and the signers' roots again. What does
    /// not load stays as it was, and is logged.
    pub fn reload_certificates(&self) {
        let servers = self.doors.iter().map(|(plane, door)| (plane.as_str(), door.reload()));
        let all = servers.chain([("peer, dialling", self.dialler.reload())]);
        for (plane, reloaded) in all {
            match reloaded {
                Ok(()) => tracing::info!(plane, "certificates read again"),
                Err(error) => tracing::error!(plane, %error, "certificates not read again, the old ones stay"),
            }
        }
        match load_signers(&self.signers) {
            Ok(roots) => {
                self.verifier.set_roots(roots);
                tracing::info!("signers' roots read again");
            }
            Err(error) => tracing::error!(%error, "signers' roots not read again, the old ones stay"),
        }
    }

    /// Health says no; leadership goes to another; begun requests end; everything is closed.
    pub async fn stop(self) {
        self.stopping.cancel();
        if self.consensus.status().leader == Some(self.node) {
            match tokio::time::timeout(HAND_OVER_TIMEOUT, self.consensus.transfer_leader(None)).await {
                Ok(Ok(to)) => tracing::info!(%to, "handed leadership over"),
                Ok(Err(error)) => tracing::warn!(%error, "leadership was not handed over"),
                Err(_elapsed) => tracing::warn!("leadership was not handed over in time"),
            }
        }
        drain(&self.outer).await;
        drain(&self.inner).await;
        self.consensus.shutdown().await;
        tracing::info!(node = %self.node, "stopped");
    }
}

async fn drain(Group { ends, connections }: &Group) {
    ends.stop.cancel();
    connections.close();
    if tokio::time::timeout(DRAIN_TIMEOUT, connections.wait()).await.is_err() {
        // another node's stream of entries never ends by itself, and would hold the databases
        tracing::warn!(open = connections.len(), "connections are cut");
        ends.cut.cancel();
        connections.wait().await;
    }
}

fn fatal_switch(failed: mpsc::UnboundedSender<ServeError>) -> FatalSwitch {
    FatalSwitch::new(move |reason| {
        // No receiver: the node ends already.
        drop(failed.send(ServeError::StorageFailed { reason: reason.to_owned() }));
    })
}

fn consensus_config(config: &Config, took_part: bool) -> ConsensusConfig {
    let raft = &config.raft;
    let members = config.members.iter().map(|member| {
        let (peer, client, admin) = (member.peer.clone(), member.client.clone(), member.admin.clone());
        (NodeId(member.id), MemberAddress { peer, client, admin })
    });
    ConsensusConfig {
        cluster_id: config.cluster_id,
        node_id: config.node(),
        epoch: EPOCH_FIRST,
        data_dir: config.data_dir.clone(),
        took_part,
        members: members.collect(),
        timing: Timing {
            heartbeat_ms: raft.heartbeat_ms,
            election_timeout_min_ms: raft.election_timeout_min_ms,
            election_timeout_max_ms: raft.election_timeout_max_ms,
        },
        snapshot: SnapshotTrigger {
            bytes: raft.snapshot_bytes,
            age: Duration::from_secs(raft.snapshot_age_s),
            ..SnapshotTrigger::default()
        },
    }
}
