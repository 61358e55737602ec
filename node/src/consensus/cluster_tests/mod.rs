//! Three nodes in one process, over real TCP without TLS.

mod faults;
mod held;
mod rig;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kho_ledger::Outcome;
use kho_proto::error::Code;
use kho_proto::id::{ClusterId, NodeId};

use self::rig::{Cluster, PlainDial, genesis, keys};
use super::*;
use crate::seams::Seams;

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
    let (away, after) = cluster.leave_one_behind().await;
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
    let leader = &cluster.nodes[&new].consensus;
    assert_eq!(leader.transfer_leader(Some(new)).await, Err(TransferError::Leads(new)));
    let refused = leader.transfer_leader(Some(NodeId(9))).await.unwrap_err();
    assert_eq!(refused.code(), Code::MemberUnknown, "{refused}");
    let follower = &cluster.nodes[&old].consensus;
    // whom it names is a hint: under load the next may lead already
    assert!(matches!(follower.transfer_leader(None).await, Err(TransferError::NotLeader { .. })));
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
        assert!(node.consensus.snapshot_now().await);
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

    // with log and vote it is no loss: it waits for a node that has the state
    let waits = |what| {
        let opened = tokio::time::timeout(Duration::from_secs(1), cluster.open(NodeId(2)));
        async move { assert!(opened.await.is_err(), "{what}") }
    };
    std::fs::remove_dir_all(log(2, "state-1")).unwrap();
    waits("CURRENT names a state that is gone").await;
    std::fs::remove_file(log(2, "CURRENT")).unwrap();
    waits("there is neither").await;

    let mut config = cluster.config(NodeId(3));
    config.cluster_id = ClusterId([9; 16]);
    let (storage, seams) = (Arc::clone(&cluster.storage), Seams::system());
    let dial = Arc::new(PlainDial::new());
    let other = Consensus::open(storage, config, seams, dial, FatalSwitch::new(|_| {})).await.err().unwrap();
    assert!(matches!(other, OpenError::OtherCluster { .. }), "{other}");

    cluster.start(NodeId(3)).await;
    cluster.start(NodeId(2)).await;
    cluster.agree_at(committed.index).await;
}
