//! Memory of the nodes while many clients upload at once: what they hold must not grow with what is uploaded.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use kho::bench::process::rss_peak_mib;
use kho::dev::{DevCluster, Options};
use kho_client::{Content, describe};
use kho_proto::id::UnitCode;

/// Log after which a node makes a snapshot and lets go of what the one before it covers: pieces stand in the log as well, and
/// the usual 20 GiB of each node would take more disk than the uploads.
const LOG_BYTES: i64 = 1 << 30;

/// Uploads from many clients at once, and prints the peak memory of each node.
#[derive(Parser)]
struct Args {
    /// Clients, each with a connection of its own to each node.
    #[arg(long, default_value_t = 32)]
    clients: u64,
    /// MiB that each uploads.
    #[arg(long, default_value_t = 256)]
    mib: u64,
    /// Fails if a node took so much or more.
    #[arg(long, default_value_t = 600)]
    limit_mib: u64,
    /// The cluster's files go here; must not exist.
    #[arg(long)]
    dir: PathBuf,
}

/// Bytes that are made where they are read: no client's own memory or disk is in the way. Each client's differ.
struct Made {
    seed: u64,
    length: u64,
}

impl Content for Made {
    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn read_at(&self, offset: u64, piece: &mut [u8]) -> io::Result<()> {
        for (n, bytes) in piece.chunks_mut(8).enumerate() {
            let word = (offset / 8 + n as u64 + (self.seed << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
        }
        Ok(())
    }
}

fn peaks(cluster: &DevCluster) -> Result<Vec<f64>> {
    cluster.nodes().map(|node| rss_peak_mib(cluster.pid(node).context("a node is gone")?)).collect()
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let raft = toml::Table::from_iter([("snapshot_bytes".to_owned(), LOG_BYTES.into())]);
    let settings = toml::Table::from_iter([("raft".to_owned(), raft.into())]);
    let mut cluster = DevCluster::create_with(&args.dir, &Options { settings, ..Options::default() })?;
    if let Some(path) = std::env::var_os("KHO_BIN") {
        cluster.set_executable(path.as_ref());
    }
    cluster.launch().await?;
    let before = peaks(&cluster)?;
    let begun = Instant::now();
    let uploads = (0..args.clients).map(|seed| {
        let client = cluster.client();
        let length = args.mib << 20;
        tokio::spawn(async move {
            let (client, unit): (_, UnitCode) = (client?, format!("U{seed:02}").parse()?);
            let measured =
                tokio::task::spawn_blocking(move || describe("f", "application/octet-stream", &Made { seed, length }));
            let attachment = measured.await??;
            client.upload(&unit, &attachment, Arc::new(Made { seed, length }), |_| {}).await?;
            Ok::<_, anyhow::Error>(())
        })
    });
    let uploads: Vec<_> = uploads.collect();
    for upload in uploads {
        upload.await??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let total = args.clients * args.mib;
    println!("{} clients, {} MiB each: {seconds:.1} s, {:.1} MiB/s", args.clients, args.mib, total as f64 / seconds);
    let after = peaks(&cluster)?;
    for ((node, before), after) in cluster.nodes().zip(before).zip(&after) {
        println!("node {node}: peak {after:.0} MiB resident, {before:.0} MiB before");
    }
    cluster.kill_all()?;
    std::fs::remove_dir_all(&args.dir)?;
    let most = after.iter().copied().fold(0.0, f64::max);
    ensure!(most < args.limit_mib as f64, "expected a peak below {} MiB, found {most:.0} MiB", args.limit_mib);
    Ok(())
}
