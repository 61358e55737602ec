//! The cluster of the tests.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kho_proto::id::{ClusterId, LogIndex, NodeId};
use kho_proto::pb::ledger::v1::{Command, CreateDataKey, Entry, Genesis, command::Kind};
use parking_lot::Mutex;
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use super::held::Doors;
use super::*;
use crate::seams::{BoxIo, Dial, Seams};
use crate::storage::Storage;
use crate::storage::rocks::{RocksStorage, Tuning};

pub(super) const CLUSTER: ClusterId = ClusterId([0xc1; 16]);
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Dials without TLS, and counts how often each address was asked.
#[derive(Clone)]
pub(super) struct PlainDial {
    from: NodeId,
    seams: Seams,
    dials: Arc<Mutex<BTreeMap<String, usize>>>,
    doors: Doors,
}

impl PlainDial {
    pub(super) fn new() -> Self {
        Self { from: NodeId(0), seams: Seams::system(), dials: Arc::default(), doors: Doors::default() }
    }
}

#[async_trait::async_trait]
impl Dial for PlainDial {
    async fn dial(&self, to: NodeId, address: &str) -> io::Result<BoxIo> {
        *self.dials.lock().entry(address.to_owned()).or_default() += 1;
        Ok(self.doors.through((self.from, to), self.seams.net.dial(address).await?))
    }
}

pub(super) struct Running {
    pub(super) consensus: Consensus,
    pub(super) store: StateStore,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

pub(super) struct Cluster {
    dir: tempfile::TempDir,
    pub(super) members: BTreeMap<NodeId, MemberAddress>,
    pub(super) nodes: BTreeMap<NodeId, Running>,
    dial: PlainDial,
    pub(super) doors: Doors,
    pub(super) storage: Arc<dyn Storage>,
    snapshot: SnapshotTrigger,
    timing: Timing,
}

impl Cluster {
    /// Three nodes, formed, with a leader.
    pub(super) async fn formed() -> Self {
        Self::formed_with(SnapshotTrigger::default()).await
    }

    pub(super) async fn formed_with(snapshot: SnapshotTrigger) -> Self {
        Self::formed_at(snapshot, Timing::default()).await
    }

    /// A leader that stays although the machine stands still for a while: where a test is about what one leader knows.
    pub(super) async fn formed_for_long() -> Self {
        let timing = Timing { heartbeat_ms: 100, election_timeout_min_ms: 2_000, election_timeout_max_ms: 4_000 };
        Self::formed_at(SnapshotTrigger::default(), timing).await
    }

    async fn formed_at(snapshot: SnapshotTrigger, timing: Timing) -> Self {
        let mut members = BTreeMap::new();
        for id in 1..=3 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let peer = listener.local_addr().unwrap().to_string();
            members.insert(NodeId(id), MemberAddress { peer, ..MemberAddress::default() });
        }
        let dir = tempfile::tempdir().unwrap();
        let storage = Arc::new(RocksStorage::new(Tuning::default()));
        let dial = PlainDial::new();
        let doors = dial.doors.clone();
        let mut cluster = Self { dir, members, nodes: BTreeMap::new(), dial, doors, storage, snapshot, timing };
        for id in 1..=3 {
            cluster.start(NodeId(id)).await;
        }
        cluster.nodes[&NodeId(1)].consensus.initialize().await.unwrap();
        cluster.leader().await;
        cluster
    }

    pub(super) fn data_dir(&self, id: NodeId) -> PathBuf {
        self.dir.path().join(format!("node{id}"))
    }

    pub(super) fn config(&self, id: NodeId) -> ConsensusConfig {
        let config = ConsensusConfig::new(CLUSTER, id, self.data_dir(id), self.members.clone());
        ConsensusConfig { snapshot: self.snapshot, timing: self.timing, ..config }
    }

    pub(super) async fn open(&self, id: NodeId) -> Result<(Consensus, StateStore), OpenError> {
        let dial = Arc::new(PlainDial { from: id, ..self.dial.clone() });
        let fatal = FatalSwitch::new(|reason| eprintln!("fatal: {reason}"));
        Consensus::open(Arc::clone(&self.storage), self.config(id), Seams::system(), dial, fatal).await
    }

    /// How often anybody tried to connect to `id`.
    pub(super) fn dials_to(&self, id: NodeId) -> usize {
        self.dial.dials.lock().get(&self.members[&id].peer).copied().unwrap_or_default()
    }

    pub(super) async fn start(&mut self, id: NodeId) {
        let started = Instant::now();
        let (consensus, store) = loop {
            match self.open(id).await {
                // What ran before lets go in its own time.
                Err(OpenError::Locked(_)) if started.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                opened => break opened.unwrap(),
            }
        };
        let listener = TcpListener::bind(&self.members[&id].peer).await.unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let router = tonic::transport::Server::builder().add_service(consensus.raft_service());
        let server = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            let serve = router.serve_with_incoming_shutdown(incoming, stopped.clone().cancelled_owned());
            tokio::select! {
                served = serve => served.unwrap(),
                // Connections have been told to go (GOAWAY); a process that ended would not wait for their streams.
                () = async { stopped.cancelled().await; tokio::time::sleep(Duration::from_millis(50)).await } => {}
            }
        });
        self.nodes.insert(id, Running { consensus, store, stop, server });
    }

    /// Starts a node that is no member yet.
    pub(super) async fn add(&mut self, id: NodeId) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap().to_string();
        drop(listener);
        self.members.insert(id, MemberAddress { peer, ..MemberAddress::default() });
        self.start(id).await;
    }

    /// A follower of a cluster that has taken nothing yet is stopped, and the log purged past where it stood. That follower, and the last entry.
    pub(super) async fn leave_one_behind(&mut self) -> (NodeId, Committed) {
        let formed = self.propose(genesis()).await;
        self.agree_at(formed.index).await;
        let leader = self.leader().await;
        let away = *self.nodes.keys().find(|id| **id != leader).unwrap();
        self.kill(away).await;
        for n in 0..50 {
            self.propose(keys(1 + 100 * n, 100)).await;
        }
        for node in self.nodes.values() {
            assert!(node.consensus.snapshot_now().await);
        }
        let last = self.propose(keys(9000, 1)).await;
        // The leader purges once no attempt to reach the one who is away is using the log.
        let started = Instant::now();
        while self.nodes[&self.leader().await].consensus.status().purged.0 < 40 {
            assert!(started.elapsed() < PATIENCE, "the log is not purged");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (away, last)
    }

    /// Who votes, as the leader sees it.
    pub(super) fn voters(&self) -> Vec<NodeId> {
        let leader = self.nodes.values().find(|node| node.consensus.is_leader()).unwrap();
        leader.consensus.status().voters.into_iter().collect()
    }

    pub(super) async fn kill(&mut self, id: NodeId) {
        let node = self.nodes.remove(&id).unwrap();
        node.stop.cancel();
        node.server.await.unwrap();
        node.consensus.shutdown().await;
    }

    /// The leader that all running nodes agree on.
    pub(super) async fn leader(&self) -> NodeId {
        let started = Instant::now();
        loop {
            let seen: Vec<_> = self.nodes.values().map(|node| node.consensus.status().leader).collect();
            if let Some(Some(leader)) = seen.first().copied()
                && seen.iter().all(|other| *other == Some(leader))
                && self.nodes.contains_key(&leader)
            {
                return leader;
            }
            assert!(started.elapsed() < PATIENCE, "no leader: {seen:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) async fn propose(&self, entry: Bytes) -> Committed {
        let started = Instant::now();
        loop {
            let leader = self.leader().await;
            match self.nodes[&leader].consensus.propose(entry.clone()).await {
                Ok(committed) => return committed,
                Err(ProposeError::NotLeader { .. } | ProposeError::Unknown) if started.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// All running nodes have applied `index` and hold the same tree.
    pub(super) async fn agree_at(&self, index: LogIndex) {
        for (id, node) in &self.nodes {
            let applied = node.consensus.wait_applied(index, PATIENCE).await;
            assert!(applied.is_ok(), "node {id}: {applied:?}, {:?}", node.consensus.status());
        }
        let tips: Vec<_> = self.nodes.values().map(|node| (node.store.tip().size(), node.store.tip().root())).collect();
        assert!(tips.windows(2).all(|pair| pair[0] == pair[1]), "{tips:?}");
    }
}

fn entry(commands: Vec<Command>) -> Bytes {
    Entry { version: 1, epoch: 1, proposed_at_ms: 1_593_568_800_000, commands }.encode_to_vec().into()
}

pub(super) fn genesis() -> Bytes {
    entry(vec![Command {
        kind: Some(Kind::Genesis(Genesis {
            cluster_id: CLUSTER.0.to_vec().into(),
            epoch: 1,
            created_at_ms: 1,
            log_public_key: vec![1; 32].into(),
        })),
    }])
}

/// Data keys of `count` units, each with `padding` bytes of wrapped key.
pub(super) fn keys(from: u32, count: u32) -> Bytes {
    let key = |n: u32| {
        let id = [&n.to_be_bytes()[..], &[0; 12]].concat();
        Command {
            kind: Some(Kind::CreateDataKey(CreateDataKey {
                key_id: id.clone().into(),
                unit_token: id.into(),
                generation: 1,
                wrapped_by: vec![2; 32].into(),
                wrapped_key: vec![3; 60].into(),
            })),
        }
    };
    entry((from..from + count).map(key).collect())
}
