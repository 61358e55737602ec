//! I12: a disk that runs full under load. The node stops at once with its own exit code, the other two go on; with room
//! again it comes back, loses nothing and catches up. A follower first, then the leader. R-A3, R-A5. Needs root.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use kho::dev::{DevCluster, NodeId};
use kho_chaos_tests::attack::{self, Progress};
use kho_chaos_tests::disks::{self, Disk};
use kho_chaos_tests::invariants::fail_stop::Failed;
use kho_chaos_tests::load::Outcomes;
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::skip;
use rustix::fs::FallocateFlags;

const WORKERS: usize = 8;
const SEED: u64 = 0xf011;
/// Acknowledgements before the fault, and again after it.
const ACKNOWLEDGED: usize = 40;
/// What is left is taken in pieces of this size, then of a page.
const PIECES: [u64; 3] = [64 << 20, 1 << 20, 4 << 10];

/// Takes all room of a disk; the file that holds it.
fn fill(disk: &Disk) -> Result<PathBuf> {
    let path = disk.path().join("ballast");
    let mut file = File::create(&path)?;
    let mut length = 0;
    for piece in PIECES {
        while rustix::fs::fallocate(&file, FallocateFlags::empty(), length, piece).is_ok() {
            length += piece;
        }
    }
    // proof of effect: not a page is left
    ensure!(length > 0, "nothing was taken of {}", disk.path().display());
    file.set_len(length)?;
    let more = File::create(disk.path().join("one-more")).and_then(|mut file| {
        file.write_all(&[1; 64 << 10])?;
        file.sync_all()
    });
    std::fs::remove_file(disk.path().join("one-more"))?;
    let error = more.err().with_context(|| format!("{} is not full", disk.path().display()))?;
    ensure!(error.kind() == std::io::ErrorKind::StorageFull, "expected a full disk, found {error}");
    file.flush()?;
    Ok(path)
}

async fn load_and_fill(rig: &mut Rig, disk: &Disk, victim: NodeId) -> Result<(Outcomes, Failed)> {
    let fault = async |cluster: &mut DevCluster, progress: &Progress| {
        let ballast = fill(disk)?;
        // Appends go on within what RocksDB has reserved for its log; a flush needs room. The node may end before it answers.
        let asked = cluster.admin(victim)?.trigger_snapshot().await;
        let failed = attack::storage_failed(cluster, progress, victim).await?;
        ensure!(asked.is_err(), "node {victim} ended on a full disk, and said that it had made a snapshot: {asked:?}");
        println!("node {victim} ended on a full disk");
        progress.more(ACKNOWLEDGED).await?;
        std::fs::remove_file(ballast)?;
        Ok(failed)
    };
    attack::under_load(rig, WORKERS, ACKNOWLEDGED, fault).await
}

#[test]
fn a_node_whose_disk_runs_full_stops_and_loses_nothing() -> Result<()> {
    if !skip::can_run("disk_full", true, disks::TOOLS) {
        return Ok(());
    }
    attack::disk_of_a_follower_then_of_the_leader("disk_full", SEED, load_and_fill)
}
