//! A node that does as it is told, and a log behind it.
#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part; and this is a test

pub mod attachments;
pub mod door;
pub mod log;
pub mod reads;
pub mod records;
pub mod spool;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use attachments::{Attachments, Pieces};
use kho_client::{Client, Config, LogMemory, Preference, ReceiptCheck, Timing};
use kho_proto::batch::Known;
use kho_proto::detail::not_taken;
use kho_proto::error::{Code, Refusal};
use kho_proto::pb::v1::WatchRequest;
use kho_proto::pb::v1::store_server::{Store, StoreServer};
use kho_proto::pb::v1::submit_result::Result as Wire;
use kho_proto::pb::v1::{BeginAttachmentRequest, BeginAttachmentResponse, GetAttachmentRequest};
use kho_proto::pb::v1::{CatalogueRequest, CatalogueResponse, StatsRequest, StatsResponse};
use kho_proto::pb::v1::{CountRequest, CountResponse, GetRequest, GetResponse, HistoryRequest, HistoryResponse};
use kho_proto::pb::v1::{
    ListRequest, ListResponse, SignedRecord, SubmitManyRequest, SubmitManyResponse, SubmitRequest,
};
use kho_proto::pb::v1::{PutAttachmentRequest, PutAttachmentResponse};
use kho_proto::pb::v1::{SubmitResponse, SubmitResult, SubmitStreamRequest, SubmitStreamResponse, Taken};
use kho_proto::receipt::Receipt;
pub use log::{log, receipt_of};
use prost::Message;
use reads::{Events, Read, Reads};
#[allow(unused_imports)] // each test file uses its part
pub use records::{several, signed, signed_as, signed_with};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// How long a node works for a request that brings no deadline.
const NODE_DEADLINE: Duration = Duration::from_secs(3);

/// Reads a `grpc-timeout` as tonic writes short ones.
fn timeout(text: &str) -> Duration {
    let (value, unit) = text.split_at(text.len() - 1);
    let value = value.parse().unwrap();
    match unit {
        "n" => Duration::from_nanos(value),
        "u" => Duration::from_micros(value),
        unit => panic!("{unit}"),
    }
}

/// What the fake does with one request.
#[derive(Clone)]
pub enum Act {
    Accept,
    Duplicate,
    Refuse(Refusal),
    /// A status that no Kho node would send.
    Foreign(tonic::Code),
    /// Takes it in and never answers.
    Hang,
    /// Serves a read after so long.
    Late(Duration),
    /// Answers with a receipt that was tampered with.
    Forge(fn(&mut Receipt)),
    /// Ends the stream of records, in good order and without an answer.
    End,
    /// Answers with a refusal that says it does not know.
    Admit(Code),
    /// Refuses one record of many for good, with a code that no client knows yet.
    Later,
    /// Refuses shortly before the request's own deadline, as a node does that waited in vain.
    RefuseInTime(Code),
}

/// Refusal without more.
pub fn refuse(code: Code) -> Act {
    Act::Refuse(Refusal::new(code, "as the test says"))
}

/// A node that has not the record, and says how many leaves it has.
pub fn absent(leaves: u64) -> Act {
    Act::Refuse(Refusal { log_size: Some(leaves), ..Refusal::new(Code::RecordUnknown, "not here") })
}

/// A fake node; ends with the test's runtime.
#[derive(Default)]
pub struct Fake {
    pub address: String,
    /// Of the last read over TLS.
    pub peer: Arc<std::sync::Mutex<Vec<u8>>>,
    given_up: Arc<AtomicU32>,
    requests: Arc<AtomicU32>,
    streams: Arc<AtomicU32>,
    short: Arc<AtomicU32>,
    /// What is uploaded to it, and downloaded.
    pub attachments: Attachments,
}

#[derive(Clone)]
struct Script {
    peer: Arc<std::sync::Mutex<Vec<u8>>>,
    given_up: Arc<AtomicU32>,
    reads: Arc<std::sync::Mutex<Reads>>,
    attachments: Attachments,
    acts: Vec<Act>,
    id: u64,
    leader: u64,
    requests: Arc<AtomicU32>,
    streams: Arc<AtomicU32>,
    /// Records that came by themselves or on streams without their certificates.
    short: Arc<AtomicU32>,
    /// It keeps no certificates.
    forgets: bool,
    /// Leaves that its linearizable reads reflect.
    size: u64,
}

impl Fake {
    /// Does the acts one after the other, and the last one for ever. Node `id` says that `leader` leads.
    pub async fn node(id: u64, leader: u64, acts: &[Act]) -> Self {
        Self::with(id, leader, acts, false, (0, &[Read::Serve])).await
    }

    /// A node with a log of so many records, which does `acts` with lists and watches.
    pub async fn log(id: u64, records: u64, acts: &[Read]) -> Self {
        Self::with(id, 1, &[Act::Accept], false, (records, acts)).await
    }

    /// A node whose linearizable reads reflect so many leaves.
    pub async fn sized(id: u64, size: u64) -> Self {
        Self::with_size(id, 1, &[Act::Accept], false, (0, &[Read::Serve]), size).await
    }

    /// A node that keeps no certificates.
    pub async fn forgetful(acts: &[Act]) -> Self {
        Self::with(1, 1, acts, true, (0, &[Read::Serve])).await
    }

    async fn with(id: u64, leader: u64, acts: &[Act], forgets: bool, reads: (u64, &[Read])) -> Self {
        Self::with_size(id, leader, acts, forgets, reads, log::SIZE).await
    }

    async fn with_size(
        id: u64,
        leader: u64,
        acts: &[Act],
        forgets: bool,
        (records, reads): (u64, &[Read]),
        size: u64,
    ) -> Self {
        let mut script = Script::new(id, leader, acts);
        script.reads = Arc::new(std::sync::Mutex::new(Reads { node: id, records, acts: reads.to_vec(), done: 0 }));
        (script.forgets, script.size) = (forgets, size);
        Self::serve(script, Server::builder()).await
    }

    /// A node that speaks TLS.
    pub async fn secure(acts: &[Act], tls: ServerTlsConfig) -> Self {
        Self::serve(Script::new(1, 1, acts), Server::builder().tls_config(tls).unwrap()).await
    }

    async fn serve(script: Script, mut server: Server) -> Self {
        // made before anybody waits for it
        receipt_of(signed().await.record());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap().to_string(),
            peer: script.peer.clone(),
            given_up: script.given_up.clone(),
            requests: script.requests.clone(),
            streams: script.streams.clone(),
            short: script.short.clone(),
            attachments: script.attachments.clone(),
        };
        let server = server.add_service(StoreServer::new(script));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        fake
    }

    /// Accepts connections, reads what comes, and hangs up.
    pub async fn hangs_up() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(AtomicU32::new(0));
        let seen = requests.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                seen.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, requests, ..Self::default() }
    }

    /// An address where nobody listens.
    pub async fn absent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { address, ..Self::default() }
    }

    /// Reads that hung and whose callers went away.
    pub fn given_up(&self) -> u32 {
        self.given_up.load(Ordering::SeqCst)
    }

    /// Streams that were opened.
    pub fn streams(&self) -> u32 {
        self.streams.load(Ordering::SeqCst)
    }

    /// Records of streams that came without their certificates.
    pub fn short(&self) -> u32 {
        self.short.load(Ordering::SeqCst)
    }

    /// Requests that arrived; of many records, each counts.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Counts calls whose callers went away.
struct GivenUp(Arc<AtomicU32>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Script {
    fn new(id: u64, leader: u64, acts: &[Act]) -> Self {
        let reads = Reads { node: id, records: 0, acts: vec![Read::Serve], done: 0 };
        Self {
            peer: Arc::default(),
            given_up: Arc::default(),
            reads: Arc::new(std::sync::Mutex::new(reads)),
            attachments: Attachments::default(),
            acts: acts.to_vec(),
            id,
            leader,
            requests: Arc::default(),
            streams: Arc::default(),
            short: Arc::default(),
            forgets: false,
            size: log::SIZE,
        }
    }

    fn next(&self) -> Act {
        let n = self.requests.fetch_add(1, Ordering::SeqCst) as usize;
        self.acts[n.min(self.acts.len() - 1)].clone()
    }
}

#[tonic::async_trait]
impl Store for Script {
    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        let asked = request.metadata().get("grpc-timeout").map(|asked| asked.to_str().unwrap().to_owned());
        let record = request.into_inner().record.unwrap();
        let short = record.certificates.is_empty();
        self.short.fetch_add(u32::from(short), Ordering::SeqCst);
        let act = if short && self.forgets { refuse(Code::CertificateMissing) } else { self.next() };
        let mut receipt = receipt_of(&record);
        match &act {
            Act::Accept | Act::Duplicate => {}
            Act::Refuse(refusal) => return Err(refusal.clone().into()),
            Act::Foreign(code) => return Err(Status::new(*code, "no node of yours")),
            Act::Hang => std::future::pending().await,
            Act::Forge(forge) => forge(&mut receipt),
            Act::End | Act::Admit(_) | Act::Late(_) | Act::Later => panic!("not of one record's submit"),
            Act::RefuseInTime(code) => {
                let wait = asked.as_deref().map_or(NODE_DEADLINE, timeout);
                tokio::time::sleep(wait * 3 / 4).await;
                return Err(Refusal::new(*code, "nobody took it in time").into());
            }
        }
        Ok(Response::new(SubmitResponse {
            receipt: Some(receipt.to_pb()),
            duplicate: matches!(act, Act::Duplicate),
            node_id: self.id,
            epoch: 1,
            leader_id: self.leader,
        }))
    }

    async fn submit_many(&self, request: Request<SubmitManyRequest>) -> Result<Response<SubmitManyResponse>, Status> {
        let SubmitManyRequest { records, certificates } = request.into_inner();
        let mut known = Known::default();
        known.learn(&certificates);
        let mut results = Vec::new();
        for bytes in records {
            let mut record = SignedRecord::decode(bytes).unwrap();
            known.fill(&mut record);
            let result = match self.next() {
                Act::Foreign(code) => return Err(Status::new(code, "no node of yours")),
                Act::Hang => std::future::pending().await,
                Act::End => break,
                act => result(&act, &record),
            };
            results.push(result);
        }
        Ok(Response::new(SubmitManyResponse { results, node_id: self.id, epoch: 1, leader_id: self.leader }))
    }

    type SubmitStreamStream = ReceiverStream<Result<SubmitStreamResponse, Status>>;

    async fn submit_stream(
        &self,
        request: Request<Streaming<SubmitStreamRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        self.streams.fetch_add(1, Ordering::SeqCst);
        let (sender, results) = tokio::sync::mpsc::channel(1024);
        let (script, mut inbound) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            let mut known = Known::default();
            while let Ok(Some(SubmitStreamRequest { correlation, record, .. })) = inbound.message().await {
                let mut record = SignedRecord::decode(record).unwrap();
                script.short.fetch_add(u32::from(record.certificates.is_empty()), Ordering::SeqCst);
                if !script.forgets {
                    known.learn(&record.certificates);
                }
                known.fill(&mut record);
                let act = if record.certificates.is_empty() { refuse(Code::CertificateMissing) } else { script.next() };
                let result = match act {
                    Act::End => return,
                    Act::Hang => continue,
                    Act::Foreign(code) => {
                        let _ = sender.send(Err(Status::new(code, "cut"))).await;
                        return;
                    }
                    act => Some(result(&act, &record)),
                };
                let (node_id, leader_id) = (script.id, script.leader);
                let answer = SubmitStreamResponse { correlation, result, node_id, epoch: 1, leader_id };
                let _ = sender.send(Ok(answer)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(results)))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        if let Some(certificates) = request.peer_certs() {
            *self.peer.lock().unwrap() = certificates[0].to_vec();
        }
        let record = signed().await.record().clone();
        let mut receipt = receipt_of(&record);
        match self.next() {
            Act::Accept | Act::Duplicate => {}
            Act::Refuse(refusal) => return Err(refusal.into()),
            Act::Foreign(code) => return Err(Status::new(code, "no node of yours")),
            Act::Hang => {
                let _given_up = GivenUp(self.given_up.clone());
                std::future::pending().await
            }
            Act::Late(after) => tokio::time::sleep(after).await,
            Act::Forge(forge) => forge(&mut receipt),
            Act::End | Act::Admit(_) | Act::Later => panic!("of many records only"),
            Act::RefuseInTime(code) => return Err(Refusal::new(code, "nobody took it in time").into()),
        }
        let receipt = Some(receipt.to_pb());
        Ok(Response::new(GetResponse { record: Some(record), receipt, size: self.size, node_id: self.id, epoch: 1 }))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.reads.lock().unwrap().list(&request.into_inner()).map(Response::new)
    }

    async fn count(&self, request: Request<CountRequest>) -> Result<Response<CountResponse>, Status> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.reads.lock().unwrap().count(&request.into_inner()).map(Response::new)
    }

    async fn history(&self, request: Request<HistoryRequest>) -> Result<Response<HistoryResponse>, Status> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.reads.lock().unwrap().history(&request.into_inner()).map(Response::new)
    }

    type WatchStream = Events;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.reads.lock().unwrap().watch(&request.into_inner()).map(Response::new)
    }

    async fn catalogue(&self, _: Request<CatalogueRequest>) -> Result<Response<CatalogueResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn stats(&self, _: Request<StatsRequest>) -> Result<Response<StatsResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn begin_attachment(
        &self,
        request: Request<BeginAttachmentRequest>,
    ) -> Result<Response<BeginAttachmentResponse>, Status> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.attachments.begin(request.into_inner(), self.id, self.leader).map(Response::new)
    }

    async fn put_attachment(
        &self,
        request: Request<Streaming<PutAttachmentRequest>>,
    ) -> Result<Response<PutAttachmentResponse>, Status> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.attachments.put(request.into_inner(), self.id, self.leader).await.map(Response::new)
    }

    type GetAttachmentStream = Pieces;

    async fn get_attachment(
        &self,
        request: Request<GetAttachmentRequest>,
    ) -> Result<Response<Self::GetAttachmentStream>, Status> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.attachments.get(request.into_inner()).map(Response::new)
    }
}

/// What becomes of one record of many.
fn result(act: &Act, record: &SignedRecord) -> SubmitResult {
    let mut receipt = receipt_of(record);
    let taken = |receipt: Receipt, duplicate| Wire::Taken(Taken { receipt: Some(receipt.to_pb()), duplicate });
    let result = match act {
        Act::Accept => taken(receipt, false),
        Act::Duplicate => taken(receipt, true),
        Act::Forge(forge) => {
            forge(&mut receipt);
            taken(receipt, false)
        }
        Act::Refuse(refusal) => Wire::Refused(not_taken(refusal)),
        Act::Later => {
            let mut later = not_taken(&Refusal::new(Code::SignatureInvalid, "the moon is too low"));
            if let Some(detail) = &mut later.detail {
                detail.code = "moon-too-low".to_owned();
            }
            Wire::Refused(later)
        }
        Act::Admit(code) => Wire::Unknown(not_taken(&Refusal::new(*code, "who knows"))),
        Act::Foreign(_) | Act::Hang | Act::Late(_) | Act::End | Act::RefuseInTime(_) => panic!("not of one record"),
    };
    SubmitResult { result: Some(result) }
}

/// Short waits, so that tests are short.
pub fn timing() -> Timing {
    Timing {
        deadline: Duration::from_millis(1200),
        attempt: Duration::from_millis(250),
        connect: Duration::from_millis(200),
        backoff_min: Duration::from_millis(5),
        backoff_max: Duration::from_millis(40),
        hedge: None,
    }
}

/// A client of these nodes, asked in this order.
pub fn client(nodes: &[&Fake]) -> Client {
    Client::new(config(nodes)).unwrap()
}

/// How it is made.
pub fn config(nodes: &[&Fake]) -> Config {
    Config {
        nodes: nodes.iter().map(|node| node.address.clone()).collect(),
        further_sites: Vec::new(),
        tls: None,
        receipts: ReceiptCheck::Pinned(log().verifier_key().clone()),
        memory: LogMemory::default(),
        preference: Preference::Leader,
        timing: timing(),
        surroundings: Arc::new(kho_client::System),
    }
}
