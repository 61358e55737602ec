//! A running node: what it is made of, in the order in which it is made, and how it ends.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kho_proto::certificate::TrustRoots;
use kho_proto::id::{Epoch, NodeId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listener::{Listener, PEER_CONNECTIONS_MAX};
use super::{ServeError, health, planes, watch};
use crate::admin::{AdminService, Formation};
use crate::api::{ForwardService, StoreService};
use crate::config::Config;
use crate::consensus::PeerIdentity;
use crate::consensus::{Consensus, ConsensusConfig, MemberAddress, SnapshotTrigger, StateStore, Timing};
use crate::data_dir::DataDir;
use crate::identity::Identity;
use crate::keys::{DataKeys, KeyProvider, Notary, keyring};
use crate::read::{self, Barrier, Opener, Reader};
use crate::seams::{Accept, Dial, Seams};
use crate::storage::fatal::FatalSwitch;
use crate::telemetry;
use crate::tls::{ClientTls, PeerDial, Plane, ServerTls};
use crate::write::{self, Peers, Queue, Receipts, Route, Sealer, Verifier, Writer};

/// The first primacy of a cluster's first site. Others come with promotion records.
const EPOCH_FIRST: Epoch = Epoch(1);
/// Requests that were begun may end within so long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// A handover takes an election at most.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(3);

/// A running node.
pub struct Node {
    consensus: Consensus,
    state: StateStore,
    tls: Vec<Arc<ServerTls>>,
    peer_tls: Arc<ClientTls>,
    /// Health says no, and no new connections of clients.
    stopping: CancellationToken,
    /// Listeners of clients and operators.
    outer: (CancellationToken, TaskTracker),
    /// The listener of peers: last to go, since other nodes' writes come through it.
    inner: (CancellationToken, TaskTracker),
    failures: mpsc::UnboundedReceiver<ServeError>,
    node: NodeId,
    /// Held until the databases are closed.
    _data_dir: DataDir,
}

/// What a keyring gives.
struct Keys {
    provider: Arc<dyn KeyProvider>,
    data_keys: Arc<DataKeys>,
    notary: Arc<Notary>,
}

impl Node {
    /// Checks everything that can be checked, opens the databases, and answers.
    pub async fn start(config: Config, seams: Seams) -> Result<Node, ServeError> {
        config.validate()?;
        let (node, cluster) = (config.node(), config.cluster_id);
        let keys = load_keys(&config)?;
        let data_dir =
            DataDir::open(&config.data_dir, cluster, node, keys.as_ref().map(|keys| keys.provider.fingerprint()))?;
        let roots = signers(&config.signers.trust)?;
        let tls = |plane, files| ServerTls::load(plane, files).map(Arc::new);
        let client_tls = tls(Plane::Client, &config.tls.client)?;
        let peer_server_tls = tls(Plane::Peer, &config.tls.peer)?;
        let admin_tls = tls(Plane::Admin, &config.tls.admin)?;
        let peer_tls = Arc::new(ClientTls::load(&config.tls.peer)?);
        check_own_certificate(&config)?;
        let client_accept = bind(&seams, "client", &config.listen.client).await?;
        let peer_accept = bind(&seams, "peer", &config.listen.peer).await?;
        let admin_accept = bind(&seams, "admin", &config.listen.admin).await?;

        let (failed, failures) = mpsc::unbounded_channel();
        let fatal = fatal_switch(failed.clone());
        let members = config.members();
        let dial: Arc<dyn Dial> = Arc::new(PeerDial::new(
            peer_tls.clone(),
            seams.net.clone(),
            cluster,
            members.iter().map(|(id, member)| (member.peer.clone(), *id)),
        ));
        let opened = Consensus::open(consensus_config(&config), seams.clone(), dial.clone(), fatal.clone()).await?;
        let (consensus, state) = opened;

        let addresses = members.iter().map(|(id, member)| (*id, member.peer.clone()));
        let peers = Arc::new(Peers::new(consensus.peer_gate(), dial, addresses));
        let leader = consensus.watch_leader();
        let receipts = keys.as_ref().map(|keys| Arc::new(Receipts::new(state.clone(), keys.notary.clone())));
        let route = Route {
            node,
            epoch: EPOCH_FIRST,
            consensus: consensus.clone(),
            leader: leader.clone(),
            peers: peers.clone(),
            receipts: receipts.clone(),
            clock: seams.clock.clone(),
            fatal,
        };
        let queue = Queue::start(&config.limits, Arc::new(route), seams.tasks.clone());
        let barrier = Barrier::start(node, consensus.clone(), leader.clone(), peers, &*seams.tasks);
        let (mut write_keyed, mut read_keyed) = (None, None);
        if let (Some(keys), Some(receipts)) = (&keys, &receipts) {
            let sealer = Sealer::new(cluster, keys.data_keys.clone(), seams.entropy.clone(), barrier.clone());
            write_keyed = Some(write::Keyed { sealer, receipts: receipts.clone() });
            let opener = Opener::new(cluster, keys.data_keys.clone());
            read_keyed = Some(read::Keyed { opener, receipts: receipts.clone() });
        }
        let verifier = Verifier::new(roots, seams.clock.clone());
        let writer = Writer { node, state: state.clone(), keyed: write_keyed, verifier, queue: queue.clone() };
        let reader = Reader { node, state: state.clone(), barrier, keyed: read_keyed };
        let formation = Arc::new(Formation {
            cluster,
            node,
            epoch: EPOCH_FIRST,
            members: members.keys().copied().collect(),
            consensus: consensus.clone(),
            state: state.clone(),
            leader: leader.clone(),
            queue: queue.clone(),
            notary: keys.as_ref().map(|keys| keys.notary.clone()),
            clock: seams.clock.clone(),
        });
        let admin = AdminService {
            cluster,
            consensus: consensus.clone(),
            state: state.clone(),
            formation: formation.clone(),
            data_dir: data_dir.path().to_owned(),
            clock: seams.clock.clone(),
            started: seams.clock.monotonic(),
            keyed: keys.is_some(),
        };
        let store = StoreService {
            node,
            epoch: EPOCH_FIRST,
            leader: leader.clone(),
            writer: Arc::new(writer),
            reader: Arc::new(reader),
        };
        let forward = ForwardService {
            node,
            gate: consensus.peer_gate(),
            consensus: consensus.clone(),
            leader: leader.clone(),
            queue,
        };
        let recorder = telemetry::recorder();
        let (reporter, health_service) = tonic_health::server::health_reporter();

        let stopping = CancellationToken::new();
        let outer = (CancellationToken::new(), TaskTracker::new());
        let inner = (CancellationToken::new(), TaskTracker::new());
        let spawn = |name, listener: Listener, (stop, connections): &(CancellationToken, TaskTracker)| {
            seams.tasks.spawn(name, Box::pin(listener.run(stop.clone(), connections.clone())));
        };
        let routes = planes::peer(forward, &consensus);
        let peer = Listener {
            accept: peer_accept,
            tls: peer_server_tls.clone(),
            routes,
            connections_max: PEER_CONNECTIONS_MAX,
        };
        spawn("peer-listener", peer, &inner);
        let routes = planes::client(store, health_service.clone());
        let connections_max = config.limits.client_connections;
        spawn(
            "client-listener",
            Listener { accept: client_accept, tls: client_tls.clone(), routes, connections_max },
            &outer,
        );
        let routes = planes::admin(admin, health_service, recorder.clone());
        let connections_max = config.limits.admin_connections;
        spawn(
            "admin-listener",
            Listener { accept: admin_accept, tls: admin_tls.clone(), routes, connections_max },
            &outer,
        );

        let beside = |name, task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let end = outer.0.clone();
            seams.tasks.spawn(name, Box::pin(async move { end.run_until_cancelled(task).await.unwrap_or(()) }));
        };
        beside("health", Box::pin(health::follow(reporter, leader.clone(), stopping.clone())));
        beside("gauges", Box::pin(watch::gauges(consensus.clone(), state.clone(), recorder)));
        match keys {
            Some(keys) => {
                beside("formation", Box::pin(formation.keep()));
                let guarded = watch::guard(keys.notary, state.clone());
                beside(
                    "keys-guard",
                    Box::pin(async move {
                        if let Err(error) = guarded.await {
                            // No receiver: the node ends already.
                            drop(failed.send(error.into()));
                        }
                    }),
                );
            }
            None => beside("hand-over", Box::pin(watch::hand_over(node, consensus.clone(), leader))),
        }
        tracing::info!(%cluster, %node, version = env!("CARGO_PKG_VERSION"), "serving");
        let tls = vec![client_tls, peer_server_tls, admin_tls];
        Ok(Node { consensus, state, tls, peer_tls, stopping, outer, inner, failures, node, _data_dir: data_dir })
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

    /// Reads certificates, keys and roots of all planes again. What does not load stays as it was, and is logged.
    pub fn reload_certificates(&self) {
        let servers = self.tls.iter().map(|tls| (tls.plane().as_str(), tls.reload()));
        let all = servers.chain([("peer, dialling", self.peer_tls.reload())]);
        for (plane, reloaded) in all {
            match reloaded {
                Ok(()) => tracing::info!(plane, "certificates read again"),
                Err(error) => tracing::error!(plane, %error, "certificates not read again, the old ones stay"),
            }
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

async fn drain((stop, connections): &(CancellationToken, TaskTracker)) {
    stop.cancel();
    connections.close();
    if tokio::time::timeout(DRAIN_TIMEOUT, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections are cut");
    }
}

fn fatal_switch(failed: mpsc::UnboundedSender<ServeError>) -> FatalSwitch {
    FatalSwitch::new(move |reason| {
        // No receiver: the node ends already.
        drop(failed.send(ServeError::StorageFailed { reason: reason.to_owned() }));
    })
}

fn load_keys(config: &Config) -> Result<Option<Keys>, ServeError> {
    let Some(path) = &config.keyring else { return Ok(None) };
    let provider: Arc<dyn KeyProvider> = Arc::new(keyring::load(path, config.cluster_id)?);
    let data_keys = Arc::new(DataKeys::new(config.cluster_id, provider.clone()));
    let notary = Arc::new(Notary::new(provider.clone()));
    Ok(Some(Keys { provider, data_keys, notary }))
}

fn signers(path: &Path) -> Result<TrustRoots, ServeError> {
    let pem = std::fs::read(path).map_err(|source| ServeError::SignersUnreadable { path: path.to_owned(), source })?;
    TrustRoots::from_pem(&pem).map_err(|source| ServeError::Signers { path: path.to_owned(), source })
}

/// With another node's certificate every peer would refuse this one, and say so only in its own log.
fn check_own_certificate(config: &Config) -> Result<(), ServeError> {
    let expected = PeerIdentity { cluster_id: config.cluster_id, node_id: config.node() };
    let der = crate::tls::own_certificate(&config.tls.peer)?;
    let found = match Identity::of_certificate(Some(&der)) {
        Ok(Identity::Node(found)) if found == expected => return Ok(()),
        Ok(Identity::Node(found)) => format!("cluster {}, node {}", found.cluster_id, found.node_id),
        Ok(_) => "no node".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(ServeError::PeerCertificate { cluster: config.cluster_id, node: config.node(), found })
}

async fn bind(seams: &Seams, plane: &'static str, address: &str) -> Result<Box<dyn Accept>, ServeError> {
    let bound = seams.net.bind(address).await;
    bound.map_err(|source| ServeError::Bind { plane, address: address.to_owned(), source })
}

fn consensus_config(config: &Config) -> ConsensusConfig {
    let Config { raft, storage, .. } = config;
    let members = config.members.iter().map(|member| {
        let (peer, client, admin) = (member.peer.clone(), member.client.clone(), member.admin.clone());
        (NodeId(member.id), MemberAddress { peer, client, admin })
    });
    ConsensusConfig {
        cluster_id: config.cluster_id,
        node_id: config.node(),
        epoch: EPOCH_FIRST,
        data_dir: config.data_dir.clone(),
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
        storage: storage.tuning(),
    }
}
