//! Crowds at the door of one node: thousands of connections that say nothing or half of a word, streams whose results nobody
//! takes, large answers that nobody reads, whole records whose requests do not end. The node's memory stays bounded, and
//! everybody else is served in time. R-A1, R-B1.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BufMut, Bytes};
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use kho::dev::{DevCluster, Identity};
use kho_chaos_tests::rig::Rig;
use kho_client::{Client, Draft, ListQuery, Signed, Tls, channel};
use kho_proto::error::Code;
use kho_proto::pb::v1::store_client::StoreClient;
use kho_proto::pb::v1::{SubmitStreamRequest, SubmitStreamResponse};
use kho_proto::record::to_file;
use kho_proto::status::from_status;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Status, Streaming};

const SEED: u64 = 0xc20d;
/// Connections that never show a certificate.
const SILENT: usize = 4000;
/// Pairs of connections of the platform that send and don't read, and that ask and don't read.
const STALLED: usize = 8;
/// Streams of each.
const STREAMS: usize = 16;
/// Reads of the largest record of each.
const READS: usize = 64;
/// Whole records of the platform whose requests do not end.
const UNENDED: usize = 150;
/// When as many of them are there as the node takes; and when it has lost patience with them.
const FILLED: Duration = Duration::from_secs(3);
const CUT: Duration = Duration::from_secs(20);
/// Files that this process and the node may open.
const FILES: u64 = 16 << 10;
/// Records of others meanwhile.
const OTHERS: usize = 60;
/// What the node may take beyond what it took before; all answers that were asked for would be 2 GiB.
const MORE_MIB_MAX: u64 = 500;
/// For an answer that nobody will read.
const PATIENCE: Duration = Duration::from_secs(5);
/// R-B1.
const DEADLINE: Duration = Duration::from_secs(3);

fn many_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(FILES, |maximum| maximum.min(FILES));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit })?;
    ensure!(wanted as usize > SILENT + 1000, "this process may open {wanted} files only");
    Ok(())
}

/// Connections that say nothing, and some that begin a handshake and stop.
async fn silent(address: &str) -> Vec<TcpStream> {
    let connect = |n: usize| async move {
        let mut stream = tokio::time::timeout(DEADLINE, TcpStream::connect(address)).await.ok()?.ok()?;
        if n.is_multiple_of(2) {
            // a TLS record that announces 512 bytes
            stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.ok()?;
        }
        Some(stream)
    };
    join_all((0..SILENT).map(connect)).await.into_iter().flatten().collect()
}

/// Whatever keeps a connection's answers from being read.
struct Stalled {
    _streams: Vec<(mpsc::Sender<SubmitStreamRequest>, Streaming<SubmitStreamResponse>)>,
    /// Answers that were begun.
    reads: Vec<Streaming<Bytes>>,
    sent: usize,
}

async fn stall(address: &str, tls: &Tls, small: Bytes, large: Vec<u8>) -> Result<Stalled> {
    let channel = channel::open(address, Some(tls), DEADLINE)?;
    let (mut streams, mut sent) = (Vec::new(), 0);
    for _ in 0..STREAMS {
        let (sender, records) = mpsc::channel(1);
        let records = futures::stream::unfold(records, |mut records: mpsc::Receiver<_>| async move {
            let next = records.recv().await;
            next.map(|record| (record, records))
        });
        let results = StoreClient::new(channel.clone()).submit_stream(records).await?.into_inner();
        let record = |correlation| SubmitStreamRequest { correlation, record: small.clone(), deadline_ms: 0 };
        // until the node reads no further
        while tokio::time::timeout(Duration::from_millis(300), sender.send(record(sent as u64))).await.is_ok() {
            sent += 1;
        }
        streams.push((sender, results));
    }
    // kho.v1.GetRequest { record_id }
    let request = Bytes::from([&[0x0a, 16][..], &large].concat());
    let read = |channel, request| async move {
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await?;
        let asked = grpc.server_streaming(Request::new(request), "/kho.v1.Store/Get".parse()?, Raw);
        // those that come after the node's bound wait there for their turn
        Ok(match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answer) => Some(answer?.into_inner()),
            Err(_elapsed) => None,
        })
    };
    // on a connection of their own: the first one's window is taken by what its streams have sent
    let channel = channel::open(address, Some(tls), DEADLINE)?;
    let reads = join_all((0..READS).map(|_| read(channel.clone(), request.clone()))).await;
    let reads = reads.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    Ok(Stalled { _streams: streams, reads, sent })
}

/// kho.v1.SubmitRequest { record }
fn submit_request(record: &Signed) -> Bytes {
    let record = to_file(record.record());
    let mut request = vec![0x0a];
    let mut left = record.len();
    while left > 0x7f {
        request.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    request.push(left as u8);
    Bytes::from([request, record].concat())
}

/// Sends all of a record and no end of the request; what the node says to it.
async fn unended(address: String, tls: Tls, record: Bytes) -> Result<Option<Code>> {
    let channel = channel::open(&address, Some(&tls), DEADLINE)?;
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await?;
    let message = Request::new(stream::iter([record]).chain(stream::pending()));
    let asked = grpc.client_streaming(message, "/kho.v1.Store/Submit".parse()?, Raw);
    let answer = tokio::time::timeout(CUT, asked).await.context("held for ever")?;
    let status = answer.err().context("a request without an end is answered")?;
    Ok(from_status(&status).map(|refusal| refusal.code))
}

/// A reader with a certificate of its own, and a report of its unit.
async fn other(rig: &Rig, address: &str) -> Result<(Client, Signed)> {
    let draft = rig.senders.draft()?;
    let mut config = rig.cluster.client_config(&Identity::Unit(draft.unit.clone()))?;
    config.nodes = vec![address.to_owned()];
    let client = Client::new(config)?;
    let record = rig.senders.sign(&client, draft).await?;
    Ok((client, record))
}

/// Everything that another certificate asks for is answered in time.
async fn serves_others(rig: &Rig, address: &str) -> Result<()> {
    let start = Instant::now();
    let (client, record) = other(rig, address).await?;
    client.submit(&record).await.context("a record of another certificate")?;
    let submitted = start.elapsed();
    client.get(record.record_id()).await.context("a read of another certificate")?;
    let read = start.elapsed();
    let listed = client.list(ListQuery::default()).next().await.context("a list of another certificate")?;
    ensure!(listed.is_some(), "a list has what was submitted");
    let [submit, get, list] = [submitted, read - submitted, start.elapsed() - read];
    println!("another certificate: submit {submit:?}, get {get:?}, list {list:?}");
    ensure!(submit.max(get).max(list) < DEADLINE, "submit {submit:?}, get {get:?}, list {list:?}");
    Ok(())
}

async fn resident_mib(cluster: &DevCluster, node: kho::dev::NodeId) -> Result<u64> {
    Ok(cluster.admin(node)?.status().await?.rss >> 20)
}

#[test]
fn a_crowd_takes_nothing_from_others() -> Result<()> {
    many_files()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create("crowds", SEED, toml::Table::new())?;
        let node = rig.launch().await?;
        let config = rig.cluster.client_config(&Identity::Platform)?;
        let tls = config.tls.clone().context("mutual TLS")?;
        let address = rig.cluster.member(node)?.client.clone();
        let client = rig.cluster.client_of(node)?;
        let small = rig.senders.next(&client).await?;
        let draft = Draft { payload: vec![b' '; 4 << 20].into(), ..rig.senders.draft()? };
        let large = rig.senders.sign(&client, draft).await?;
        for record in [&small, &large] {
            client.submit(record).await?;
        }
        let before = resident_mib(&rig.cluster, node).await?;

        let small = Bytes::from(to_file(small.record()));
        let whole = submit_request(&large);
        let large = large.record_id().0.to_vec();
        let crowd = join_all((0..STALLED).map(|_| stall(&address, &tls, small.clone(), large.clone()))).await;
        let crowd = crowd.into_iter().collect::<Result<Vec<_>>>()?;
        let sent: usize = crowd.iter().map(|one| one.sent).sum();
        let reads: usize = crowd.iter().map(|one| one.reads.len()).sum();
        let silent = silent(&address).await;
        // proof of effect
        ensure!(silent.len() > SILENT / 2, "{} of {SILENT} connections were made", silent.len());
        ensure!(sent >= STALLED * 128, "{sent} records were sent on streams that nobody reads");
        ensure!((STALLED..STALLED * READS).contains(&reads), "{reads} large answers were made");

        let mut slowest = Duration::ZERO;
        for n in 0..OTHERS {
            // each from a connection of its own: it must get in, too
            let other = rig.cluster.client_of(node)?;
            let record = rig.senders.next(&other).await?;
            let start = Instant::now();
            other.submit(&record).await.with_context(|| format!("record {n} of others"))?;
            slowest = slowest.max(start.elapsed());
        }
        let during = resident_mib(&rig.cluster, node).await?;
        println!(
            "{} silent connections, {} streams with {sent} records unread, {reads} of {} large answers made: {before} MiB \
             before, {during} MiB now; slowest of {OTHERS} others {} ms",
            silent.len(),
            STALLED * STREAMS,
            STALLED * READS,
            slowest.as_millis()
        );
        ensure!(slowest < DEADLINE, "a record of others took {slowest:?}");
        ensure!(during < before + MORE_MIB_MAX, "{before} MiB before, {during} MiB with the crowd");
        serves_others(&rig, &address).await.context("with the crowd")?;

        let calls = (0..UNENDED).map(|_| tokio::spawn(unended(address.clone(), tls.clone(), whole.clone())));
        let calls: Vec<_> = calls.collect();
        tokio::time::sleep(FILLED).await;
        let held = calls.iter().filter(|call| !call.is_finished()).count();
        let during = resident_mib(&rig.cluster, node).await?;
        println!("{held} of {UNENDED} whole records without an end: {during} MiB");
        ensure!(during < before + MORE_MIB_MAX, "{before} MiB before, {during} MiB with records that do not end");
        serves_others(&rig, &address).await.context("with records that do not end")?;
        let mut ends = BTreeMap::new();
        for call in calls {
            *ends.entry(call.await??.map(Code::as_str)).or_insert(0) += 1;
        }
        ensure!(ends.keys().all(|end| matches!(end, Some("stream-idle" | "overloaded"))), "{ends:?}");
        ensure!(ends.contains_key(&Some("stream-idle")), "none was held at all: {ends:?}");
        rig.cluster.check_alive()?;
        drop((crowd, silent));
        rig.finish().await
    })
}

/// Bytes as they are, in place of a message.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
