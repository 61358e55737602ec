//! Memory of the nodes and of this process while many clients upload at once, and read back what they uploaded: what either
//! side holds must not grow with it, and what comes back must be what went in.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use kho::bench::process::rss_peak_mib;
use kho::dev::{DevCluster, Options};
use kho_client::{Client, Content, Draft, Part, PemSigner, describe};
use kho_proto::digest::Digester;
use kho_proto::header::Attachment;
use kho_proto::id::{RecordId, UnitCode};

/// Log after which a node makes a snapshot and lets go of what the one before it covers: pieces stand in the log as well, and
/// the usual 20 GiB of each node would take more disk than the uploads.
const LOG_BYTES: i64 = 1 << 30;

/// Uploads from many clients at once, reads all of it back, and prints the peak memory of each node and of the clients' process.
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
    /// Fails if this process, which has all clients, took so much or more.
    #[arg(long, default_value_t = 200)]
    own_limit_mib: u64,
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

/// What one client uploads, and the record that names it.
struct Upload {
    client: Client,
    unit: UnitCode,
    signer: PemSigner,
    seed: u64,
    length: u64,
}

impl Upload {
    fn content(&self) -> Made {
        Made { seed: self.seed, length: self.length }
    }

    async fn run(self) -> Result<Uploaded> {
        let content = self.content();
        let measured = tokio::task::spawn_blocking(move || describe("f", "application/octet-stream", &content)).await?;
        let attachment = measured?;
        self.client.upload(&self.unit, &attachment, Arc::new(self.content()), |_| {}).await?;
        let draft = Draft {
            record_id: None,
            unit: self.unit,
            regime: "CU-01".parse()?,
            period: "2020".parse()?,
            series: String::new(),
            supersedes: None,
            receivers: Vec::new(),
            media_type: "text/plain".to_owned(),
            payload: Bytes::from_static(b"x"),
        };
        let record = draft.sign_with(vec![attachment.clone()], &self.signer, self.client.surroundings()).await?;
        let id = self.client.submit(&record).await?.record_id;
        Ok(Uploaded { client: self.client, id, attachment })
    }
}

struct Uploaded {
    client: Client,
    id: RecordId,
    attachment: Attachment,
}

impl Uploaded {
    /// Reads it to its end. The library compares digests as well; here it is done apart from it.
    async fn read_back(self) -> Result<()> {
        let mut download = self.client.download(self.id, 0, &self.attachment, Part::default());
        let (mut length, mut digester) = (0, Digester::default());
        while let Some(piece) = download.next().await? {
            length += piece.len() as u64;
            digester.update(&piece);
        }
        let (expected, found) = (self.attachment.digest, digester.finish());
        ensure!(length == self.attachment.length, "expected {} bytes, found {length}", self.attachment.length);
        ensure!(found == expected, "expected an attachment with SHA-256 {expected}, found {found}");
        Ok(())
    }
}

/// Runs all at once. How long it took.
async fn together<T: Send + 'static>(
    what: &str,
    mib: u64,
    all: impl IntoIterator<Item = impl Future<Output = Result<T>> + Send + 'static>,
) -> Result<Vec<T>> {
    let begun = Instant::now();
    let running: Vec<_> = all.into_iter().map(tokio::spawn).collect();
    let mut done = Vec::with_capacity(running.len());
    for one in running {
        done.push(one.await??);
    }
    let (clients, seconds) = (done.len() as u64, begun.elapsed().as_secs_f64());
    println!("{clients} clients {what} {mib} MiB each: {seconds:.1} s, {:.1} MiB/s", (clients * mib) as f64 / seconds);
    Ok(done)
}

/// Peaks of all nodes so far, and of this process.
fn peaks(cluster: &DevCluster) -> Result<(Vec<f64>, f64)> {
    let nodes = cluster.nodes().map(|node| rss_peak_mib(cluster.pid(node).context("a node is gone")?));
    Ok((nodes.collect::<Result<_>>()?, rss_peak_mib(std::process::id())?))
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
    let uploads = (0..args.clients).map(|seed| {
        let unit: UnitCode = format!("U{seed:02}").parse()?;
        let (client, signer) = (cluster.client()?, cluster.signer(&unit)?);
        Ok(Upload { client, unit, signer, seed, length: args.mib << 20 })
    });
    let uploads = uploads.collect::<Result<Vec<_>>>()?;
    let (before, own_before) = peaks(&cluster)?;
    let uploaded = together("uploaded", args.mib, uploads.into_iter().map(Upload::run)).await?;
    let (between, own_between) = peaks(&cluster)?;
    together("read", args.mib, uploaded.into_iter().map(Uploaded::read_back)).await?;
    let (after, own) = peaks(&cluster)?;
    let say = |who: &str, before: f64, between: f64, after: f64| {
        println!(
            "{who}: peak {after:.0} MiB resident, {between:.0} MiB before reading, {before:.0} MiB before uploading"
        );
    };
    for (n, node) in cluster.nodes().enumerate() {
        say(&format!("node {node}"), before[n], between[n], after[n]);
    }
    say("clients", own_before, own_between, own);
    cluster.kill_all()?;
    std::fs::remove_dir_all(&args.dir)?;
    let most = after.iter().copied().fold(0.0, f64::max);
    ensure!(most < args.limit_mib as f64, "expected nodes below {} MiB, found {most:.0} MiB", args.limit_mib);
    ensure!(own < args.own_limit_mib as f64, "expected clients below {} MiB, found {own:.0} MiB", args.own_limit_mib);
    Ok(())
}
