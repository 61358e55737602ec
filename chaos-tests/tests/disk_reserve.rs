//! A disk that runs short, before it is full: below the reserve a node takes no new records, says so, and goes on reading;
//! where too many run short the cluster takes none, and with room again it does. On a disk that filled up all the same the node
//! opens, by giving up its ballast. Needs root.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kho::dev::NodeId;
use kho_chaos_tests::disks::{self, Disk};
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::skip;
use kho_client::Signed;
use kho_proto::error::Code;
use rustix::fs::FallocateFlags;

const SEED: u64 = 0xd15c;
const MIB: u64 = 1 << 20;
const RESERVE_MIB: u64 = 300;
const BALLAST_MIB: u64 = 128;
/// A node looks at its disk, and hears of the others', once a second.
const NOTICED: Duration = Duration::from_secs(10);

/// Takes room until `left` bytes are free; the file that holds it.
fn fill(disk: &Disk, left: u64) -> Result<PathBuf> {
    let free = || -> Result<u64> {
        let stat = rustix::fs::statvfs(disk.path())?;
        Ok(stat.f_bavail * stat.f_frsize)
    };
    let path = disk.path().join("other-files");
    let file = File::create(&path)?;
    let mut length = 0;
    for piece in [64 * MIB, MIB, 4 << 10] {
        // what is kept for root is taken, too, where nothing may be left
        while (left == 0 || free()? >= left + piece)
            && rustix::fs::fallocate(&file, FallocateFlags::empty(), length, piece).is_ok()
        {
            length += piece;
        }
    }
    ensure!(free()? < left + MIB, "{} bytes are left on {}", free()?, disk.path().display());
    Ok(path)
}

/// Submits new records until one ends as `expected`: its code, or none for an acknowledgement.
async fn until(rig: &Rig, node: Option<NodeId>, expected: Option<Code>) -> Result<Signed> {
    let start = Instant::now();
    loop {
        let client = match node {
            Some(node) => rig.cluster.client_of(node)?,
            None => rig.cluster.client()?,
        };
        let record = rig.senders.next(&client).await?;
        let found = client.submit(&record).await.err().map(|error| error.code());
        if found == expected {
            return Ok(record);
        }
        ensure!(start.elapsed() < NOTICED, "expected {expected:?} of {node:?}, found {found:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn below_the_reserve_a_node_takes_nothing_and_reads_on() -> Result<()> {
    if !skip::can_run("disk_reserve", true, disks::TOOLS) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let settings =
            format!("[disk]\nreserve_mib = {RESERVE_MIB}\nreserve_percent = 0\nballast_mib = {BALLAST_MIB}\n");
        let mut rig = Rig::create("disk_reserve", SEED, settings.parse()?)?;
        let Some(disks) = rig.disks("disk_reserve")? else { return rig.finish().await };
        let leader = rig.launch().await?;
        let disk = |node: NodeId| &disks[node.0 as usize - 1];
        let mut others = rig.cluster.nodes().filter(|node| *node != leader);
        let (one, two) = others.next().zip(others.next()).context("three nodes")?;
        let first = until(&rig, Some(one), None).await?;

        let filled = fill(disk(one), (RESERVE_MIB - 100) * MIB)?;
        until(&rig, Some(one), Some(Code::DiskReserve)).await?;
        let status = rig.cluster.admin(one)?.status().await?;
        ensure!(status.disk_short && status.disk_ballast == BALLAST_MIB * MIB, "{status:?}");
        rig.cluster.client_of(one)?.get(first.record_id()).await.context("reads go on")?;
        ensure!(rig.cluster.client_of(one)?.submit(&first).await?.duplicate, "what is there is answered");
        until(&rig, None, None).await.context("a client goes to another node by itself")?;

        // two of three: whatever is taken would fill the majority's disks
        let also_filled = fill(disk(two), (RESERVE_MIB - 100) * MIB)?;
        until(&rig, Some(leader), Some(Code::DiskReserve)).await?;
        std::fs::remove_file(also_filled)?;
        until(&rig, Some(leader), None).await.context("room again")?;
        std::fs::remove_file(filled)?;
        until(&rig, Some(one), None).await.context("room again")?;

        // full to the last byte while it is away: nothing else would let it open
        rig.cluster.kill(one)?;
        let filled = fill(disk(one), 0)?;
        rig.cluster.start(one)?;
        let start = Instant::now();
        let status = loop {
            match rig.cluster.admin(one)?.status().await {
                Ok(status) => break status,
                Err(error) => ensure!(start.elapsed() < NOTICED, "it does not open: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        ensure!(status.disk_short && status.disk_ballast == 0, "the ballast is given up: {status:?}");
        let log = std::fs::read_to_string(rig.cluster.layout().log_file(one))?;
        ensure!(log.contains("the ballast is given up"), "it says so");
        until(&rig, Some(one), Some(Code::DiskReserve)).await?;
        rig.cluster.client_of(one)?.get(first.record_id()).await.context("it reads")?;
        std::fs::remove_file(filled)?;
        until(&rig, Some(one), None).await.context("room again")?;
        let ballast = rig.cluster.admin(one)?.status().await?.disk_ballast;
        ensure!(ballast == BALLAST_MIB * MIB, "the ballast is back: {ballast}");
        rig.cluster.terminate_all().await?;
        drop(disks);
        rig.finish().await
    })
}
