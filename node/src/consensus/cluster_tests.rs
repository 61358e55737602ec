//! Three nodes in one process, over real TCP without TLS.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kho_ledger::Outcome;
use kho_proto::id::{ClusterId, LogIndex, NodeId};
use kho_proto::pb::ledger::v1::{Command, CreateDataKey, Entry, Genesis, command::Kind};
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::seams::{BoxIo, Dial, Seams};

const CLUSTER: ClusterId = ClusterId([0xc1; 16]);
const PATIENCE: Duration = Duration::from_secs(20);

struct PlainDial(Seams);

#[async_trait::async_trait]
impl Dial for PlainDial {
    async fn dial(&self, address: &str) -> io::Result<BoxIo> {
        self.0.net.dial(address).await
    }
}

struct Running {
    consensus: Consensus,
    store: StateStore,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

struct Cluster {
    dir: tempfile::TempDir,
    members: BTreeMap<NodeId, MemberAddress>,
    nodes: BTreeMap<NodeId, Running>,
}

impl Cluster {
    /// Three nodes, formed, with a leader.
    async fn formed() -> Self {
        let mut members = BTreeMap::new();
        for id in 1..=3 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let peer = listener.local_addr().unwrap().to_string();
            members.insert(NodeId(id), MemberAddress { peer, ..MemberAddress::default() });
        }
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = Self { dir, members, nodes: BTreeMap::new() };
        for id in 1..=3 {
            cluster.start(NodeId(id)).await;
        }
        cluster.nodes[&NodeId(1)].consensus.initialize().await.unwrap();
        cluster.leader().await;
        cluster
    }

    fn data_dir(&self, id: NodeId) -> PathBuf {
        self.dir.path().join(format!("node{id}"))
    }

    fn config(&self, id: NodeId) -> ConsensusConfig {
        ConsensusConfig::new(CLUSTER, id, self.data_dir(id), self.members.clone())
    }

    async fn open(&self, id: NodeId) -> Result<(Consensus, StateStore), OpenError> {
        let seams = Seams::system();
        let dial = Arc::new(PlainDial(seams.clone()));
        let fatal = FatalSwitch::new(|reason| eprintln!("fatal: {reason}"));
        Consensus::open(self.config(id), seams, dial, fatal).await
    }

    async fn start(&mut self, id: NodeId) {
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

    async fn kill(&mut self, id: NodeId) {
        let node = self.nodes.remove(&id).unwrap();
        node.stop.cancel();
        node.server.await.unwrap();
        node.consensus.shutdown().await;
    }

    /// The leader that all running nodes agree on.
    async fn leader(&self) -> NodeId {
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

    async fn propose(&self, entry: Bytes) -> Committed {
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
    async fn agree_at(&self, index: LogIndex) {
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

fn genesis() -> Bytes {
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
fn keys(from: u32, count: u32) -> Bytes {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_elect_replicate_and_survive_the_loss_of_their_leader() {
    let mut cluster = Cluster::formed().await;
    let first = cluster.propose(genesis()).await;
    assert!(matches!(first.effects.outcomes[..], [Outcome::Accepted { .. }]), "{first:?}");
    let second = cluster.propose(keys(1, 3)).await;
    assert_eq!(second.effects.outcomes, [Outcome::Done, Outcome::Done, Outcome::Done]);
    cluster.agree_at(second.index).await;

    let old = cluster.leader().await;
    let read = cluster.nodes[&old].consensus.read_index().await.unwrap();
    assert!(read >= second.index);
    let follower = cluster.nodes.values().find(|node| !node.consensus.is_leader()).unwrap();
    let refused = follower.consensus.propose(keys(9, 1)).await;
    assert_eq!(refused.err(), Some(ProposeError::NotLeader { leader: Some(old) }));
    assert_eq!(follower.consensus.read_index().await, Err(ReadError::NotLeader { leader: Some(old) }));
    assert_eq!(follower.consensus.initialize().await, Err(InitError::AlreadyInitialized));

    cluster.kill(old).await;
    let third = cluster.propose(keys(10, 2)).await;
    assert!(third.term > second.term);
    assert_ne!(cluster.leader().await, old);
    cluster.agree_at(third.index).await;

    cluster.start(old).await;
    cluster.agree_at(third.index).await;
    let status = cluster.nodes[&cluster.leader().await].consensus.status();
    assert_eq!(status.members.len(), 3);
    assert_eq!(status.matched.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_past_the_purge_point_catches_up_by_snapshot() {
    let mut cluster = Cluster::formed().await;
    cluster.propose(genesis()).await;
    let leader = cluster.leader().await;
    let away = *cluster.nodes.keys().find(|id| **id != leader).unwrap();
    cluster.kill(away).await;
    for n in 0..50 {
        cluster.propose(keys(1 + 100 * n, 100)).await;
    }
    for node in cluster.nodes.values() {
        node.consensus.snapshot_now().await;
    }
    let after = cluster.propose(keys(9000, 1)).await;
    // The leader purges once no attempt to reach the one who is away is using the log.
    let started = Instant::now();
    while cluster.nodes[&cluster.leader().await].consensus.status().purged.0 < 40 {
        assert!(started.elapsed() < PATIENCE, "the log is not purged");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    cluster.start(away).await;
    cluster.agree_at(after.index).await;
    let status = cluster.nodes[&away].consensus.status();
    assert!(status.purged.0 > 40, "came by snapshot: {status:?}");
    // It goes on from there, also after a restart and as a voter.
    cluster.kill(away).await;
    cluster.start(away).await;
    let other = *cluster.nodes.keys().find(|id| **id != away).unwrap();
    cluster.kill(other).await;
    let last = cluster.propose(keys(9100, 1)).await;
    cluster.agree_at(last.index).await;
    cluster.start(other).await;
    cluster.agree_at(last.index).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_on_request() {
    let cluster = Cluster::formed().await;
    cluster.propose(genesis()).await;
    let old = cluster.leader().await;
    let started = Instant::now();
    let new = cluster.nodes[&old].consensus.transfer_leader(None).await.unwrap();
    assert_ne!(new, old);
    eprintln!("handed over in {:?}", started.elapsed());
    let follower = &cluster.nodes[&old].consensus;
    assert_eq!(follower.transfer_leader(None).await, Err(TransferError::NotLeader { leader: Some(new) }));
    cluster.propose(keys(1, 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_cluster_restarts_with_all_that_was_committed() {
    let mut cluster = Cluster::formed().await;
    let mut last = cluster.propose(genesis()).await;
    for n in 0..20 {
        last = cluster.propose(keys(1 + 10 * n, 10)).await;
    }
    for id in 1..=3 {
        cluster.kill(NodeId(id)).await;
    }
    for id in 1..=3 {
        cluster.start(NodeId(id)).await;
    }
    cluster.agree_at(last.index).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_that_lost_a_part_is_refused() {
    let mut cluster = Cluster::formed().await;
    cluster.propose(genesis()).await;
    let committed = cluster.propose(keys(1, 5)).await;
    cluster.agree_at(committed.index).await;
    for node in cluster.nodes.values() {
        node.consensus.snapshot_now().await;
    }
    for id in 1..=3 {
        cluster.kill(NodeId(id)).await;
    }
    let refused = |id| {
        let opened = cluster.open(NodeId(id));
        async { opened.await.err().unwrap() }
    };
    let log = |id, part: &str| cluster.data_dir(NodeId(id)).join("logs/1").join(part);
    tokio::time::sleep(Duration::from_millis(500)).await;

    std::fs::remove_dir_all(log(1, "raft")).unwrap();
    assert!(matches!(refused(1).await, OpenError::LogLost { .. }));
    assert!(matches!(refused(1).await, OpenError::LogLost { .. }), "also the second time");

    std::fs::remove_dir_all(log(2, "state-1")).unwrap();
    assert!(matches!(refused(2).await, OpenError::Damaged { .. }), "CURRENT names a state that is gone");
    std::fs::remove_file(log(2, "CURRENT")).unwrap();
    assert!(matches!(refused(2).await, OpenError::StateLost { .. }));

    let mut config = cluster.config(NodeId(3));
    config.cluster_id = ClusterId([9; 16]);
    let seams = Seams::system();
    let dial = Arc::new(PlainDial(seams.clone()));
    let other = Consensus::open(config, seams, dial, FatalSwitch::new(|_| {})).await.err().unwrap();
    assert!(matches!(other, OpenError::OtherCluster { .. }), "{other}");
}
