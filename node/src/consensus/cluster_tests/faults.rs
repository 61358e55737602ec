//! What must not go wrong when something else does.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rig::{Cluster, PATIENCE, genesis, keys};
use crate::consensus::{ReplaceError, Replacing, SnapshotTrigger};
use crate::storage::rocks::{RocksStorage, Tuning};
use crate::storage::{KvEngine, KvError, KvErrorKind, KvRead, Profile, Storage};
use kho_proto::id::NodeId;

/// A leader that tried a dead peer without a pause once wrote half a gigabyte of log in a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_peer_is_tried_with_pauses() {
    /// Heartbeats each 75 ms and appends each 100 ms make some 25 a second; without a pause it is thousands.
    const DIALS_PER_SECOND_MAX: usize = 60;
    let mut cluster = Cluster::formed().await;
    cluster.propose(genesis()).await;
    let leader = cluster.leader().await;
    let dead = *cluster.nodes.keys().find(|id| **id != leader).unwrap();
    cluster.kill(dead).await;
    let before = cluster.dials_to(dead);
    let started = Instant::now();
    let mut n = 0;
    while started.elapsed() < Duration::from_secs(2) {
        cluster.propose(keys(1 + n, 1)).await;
        n += 1;
    }
    let dials = cluster.dials_to(dead) - before;
    assert!(dials > 0, "it is still tried");
    let most = DIALS_PER_SECOND_MAX * (started.elapsed().as_secs_f64().ceil() as usize);
    assert!(dials <= most, "{dials} dials in {:?}", started.elapsed());
}

/// A disk that forgot everything. openraft ends the leader that hears of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_log_is_named_and_replaced_under_a_new_id() {
    let mut cluster = Cluster::formed_for_long().await;
    cluster.propose(genesis()).await;
    let before = cluster.propose(keys(1, 10)).await;
    cluster.agree_at(before.index).await;
    let leader = cluster.leader().await;
    let lost = *cluster.nodes.keys().find(|id| **id != leader).unwrap();
    cluster.kill(lost).await;
    std::fs::remove_dir_all(cluster.data_dir(lost)).unwrap();
    cluster.start(lost).await;
    let started = Instant::now();
    let mut n = 0;
    while !cluster.nodes[&leader].consensus.status().lost.contains(&lost) {
        assert!(started.elapsed() < PATIENCE, "nobody noticed: {:?}", cluster.nodes[&leader].consensus.status());
        n += 1;
        let committed = cluster.nodes[&leader].consensus.propose(keys(100 + n, 1)).await.expect("the leader goes on");
        assert_eq!(committed.term, before.term, "the same leader");
    }
    cluster.kill(lost).await;

    let new = NodeId(4);
    cluster.add(new).await;
    let address = cluster.members[&new].clone();
    let consensus = &cluster.nodes[&leader].consensus;
    assert_eq!(
        consensus.replace(NodeId(9), new, address.clone()).await,
        Err(ReplaceError::NotVoter { old: NodeId(9), voters: cluster.voters() })
    );
    let started = Instant::now();
    while consensus.replace(lost, new, address.clone()).await.unwrap() != Replacing::Done {
        assert!(started.elapsed() < PATIENCE, "the new member does not catch up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(consensus.replace(lost, new, address).await, Ok(Replacing::Done), "asking again changes nothing");
    assert!(!consensus.status().voters.contains(&lost));
    cluster.members.remove(&lost);
    let last = cluster.propose(keys(9000, 1)).await;
    cluster.agree_at(last.index).await;
    // The new member's vote counts: with one of the others gone it takes both that are left.
    cluster.kill(leader).await;
    let last = cluster.propose(keys(9001, 1)).await;
    cluster.agree_at(last.index).await;
}

/// Fails to open a state other than the first.
struct NoSecondState(RocksStorage);

impl Storage for NoSecondState {
    fn open(&self, path: &Path, profile: Profile, tables: &[&'static str]) -> Result<Arc<dyn KvEngine>, KvError> {
        if path.file_name().is_some_and(|name| name == "state-2") {
            return Err(KvError { operation: "open", kind: KvErrorKind::Io, detail: "told to fail".to_owned() });
        }
        self.0.open(path, profile, tables)
    }

    fn open_read_only(
        &self,
        path: &Path,
        profile: Profile,
        tables: &[&'static str],
    ) -> Result<Arc<dyn KvRead>, KvError> {
        self.0.open_read_only(path, profile, tables)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_cut_short_leaves_the_old_state_and_is_done_again() {
    let mut cluster = Cluster::formed().await;
    let (away, last) = cluster.leave_one_behind().await;
    let good = std::mem::replace(&mut cluster.storage, Arc::new(NoSecondState(RocksStorage::new(Tuning::default()))));
    cluster.start(away).await;
    let second = cluster.data_dir(away).join("logs/1/state-2");
    let started = Instant::now();
    while !second.exists() {
        assert!(started.elapsed() < PATIENCE, "no install was begun");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.kill(away).await;
    let current = std::fs::read_to_string(cluster.data_dir(away).join("logs/1/CURRENT")).unwrap();
    assert_eq!(current.trim_end(), "kho-current 1 state-1", "the old state stays until the new one is whole");
    assert!(second.exists(), "cut short");

    cluster.storage = good;
    cluster.start(away).await;
    cluster.agree_at(last.index).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_are_made_by_bytes_and_by_age_without_being_asked() {
    let never = Duration::from_secs(1 << 30);
    let often = Duration::from_millis(20);
    for snapshot in [
        SnapshotTrigger { bytes: 32 << 10, age: never, check: often },
        SnapshotTrigger { bytes: u64::MAX, age: Duration::from_millis(50), check: often },
    ] {
        let cluster = Cluster::formed_with(snapshot).await;
        cluster.propose(genesis()).await;
        let started = Instant::now();
        let mut n = 0;
        // Purged to the snapshot before the newest: so at least two were made.
        while cluster.nodes.values().any(|node| node.consensus.status().purged.0 < 2) {
            assert!(started.elapsed() < PATIENCE, "{snapshot:?}: no second snapshot");
            cluster.propose(keys(1 + 100 * n, 100)).await;
            n += 1;
        }
    }
}
