//! The lane of clients: hostile, broken, slow, and too many. Each gets its answer; the load goes on beside them.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BufMut, Bytes};
use futures::future::join_all;
use kho::dev::Identity;
use kho_client::{Draft, Signed, Tls, channel};
use kho_proto::error::Code;
use kho_proto::pb::v1::store_client::StoreClient;
use kho_proto::pb::v1::{SignedRecord, SubmitRequest};
use rustls::AlertDescription;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Status};

use super::board::Board;
use super::report::Report;
use super::schedule::{ClientFault, Step};
use crate::certificates::{self, Issuer};
use crate::links::proxy::{Mood, Proxy, Seen};
use crate::rig::Senders;

/// A hostile client tries again for so long: other faults stand in its way, too.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);
/// More than any record may have.
const OVERSIZE_BYTES: usize = 12 << 20;
/// Of a slow reader.
const READS: usize = 48;
const BYTES_PER_S: u64 = 10_000;
const SUBMIT: &str = "/kho.v1.Store/Submit";

/// The lane.
pub struct Lane<'a> {
    /// What all lanes know.
    pub board: &'a Board,
    /// What was done.
    pub report: &'a Report,
    /// Who signs good records.
    pub senders: &'a Senders,
    /// The platform's identity.
    pub tls: Tls,
    /// Issues what it needs besides.
    pub issuer: Issuer,
}

impl Lane<'_> {
    /// One step after the other.
    pub async fn run(self, steps: &[Step<ClientFault>]) -> Result<()> {
        for step in steps {
            tokio::time::sleep(Duration::from_millis(step.after_ms)).await;
            let (began, lasts) = (self.report.now_ms(), Duration::from_millis(step.lasts_ms));
            let patience = Instant::now() + PATIENCE;
            let fault = &step.fault;
            let (name, done) = loop {
                let (name, tried) = self.step(fault, lasts).await.with_context(|| format!("fault {fault:?}"))?;
                if tried.is_ok() || Instant::now() > patience {
                    break (name, tried);
                }
                tokio::time::sleep(POLL).await;
            };
            match done {
                Ok(proof) => self.report.proven(began, name, "clients", proof),
                // no node could be asked, all that time
                Err(reason) => self.report.not_done(began, name, "clients", reason),
            }
        }
        Ok(())
    }

    /// What was answered; or why nothing was. An error: what no node may answer.
    async fn step(&self, fault: &ClientFault, lasts: Duration) -> Result<(&'static str, Result<String, String>)> {
        Ok(match *fault {
            ClientFault::BadSignature => ("bad_signature", self.bad_signature().await?),
            ClientFault::OtherBody => ("other_body", self.other_body().await?),
            ClientFault::Oversize => ("oversize", self.oversize().await?),
            ClientFault::Malformed => ("malformed", self.malformed().await?),
            ClientFault::SlowReader => ("slow_reader", self.read_slowly(lasts).await?),
            ClientFault::HalfOpen { count } => ("half_open", self.half_open(count, lasts).await?),
            ClientFault::Expired => ("expired_client", self.expired().await?),
        })
    }

    fn any(&self) -> SocketAddrV4 {
        let places = self.board.places();
        places[rand::random_range(0..places.len())].client
    }

    async fn bad_signature(&self) -> Result<Result<String, String>> {
        let client = self.board.client_of_all()?;
        // a good signature of the same unit, of the same report but for its salt
        let draft = self.senders.draft()?;
        let (good, other) =
            (self.senders.sign(&client, draft.clone()).await?, self.senders.sign(&client, draft).await?);
        let mut record = good.record().clone();
        record.signature_block = other.record().signature_block.clone();
        self.submit(record, &["signature-invalid"]).await
    }

    async fn other_body(&self) -> Result<Result<String, String>> {
        let Some(taken) = self.board.recent(0) else { return Ok(Err("nothing is acknowledged yet".to_owned())) };
        let client = self.board.client_of_all()?;
        let taken = Signed::from_record(taken.record)?.record_id();
        let draft = Draft { record_id: Some(taken), ..self.senders.draft()? };
        let record = self.senders.sign(&client, draft).await?;
        self.submit(record.record().clone(), &["record-id-conflict"]).await
    }

    async fn oversize(&self) -> Result<Result<String, String>> {
        let client = self.board.client_of_all()?;
        let mut record = self.senders.next(&client).await?.record().clone();
        record.payload = vec![b' '; OVERSIZE_BYTES].into();
        self.submit(record, &["payload-too-large", "overloaded"]).await
    }

    /// Submits to any node what must be refused with one of `codes`. No client of ours would send it.
    async fn submit(&self, record: SignedRecord, codes: &[&str]) -> Result<Result<String, String>> {
        let channel = channel::open(&self.any().to_string(), Some(&self.tls), PATIENCE / 4)?;
        let mut store = StoreClient::new(channel).max_encoding_message_size(usize::MAX);
        let submitted = store.submit(SubmitRequest { record: Some(record) });
        let answer = tokio::time::timeout(PATIENCE / 4, submitted).await;
        said_no(answer.map(|answer| answer.map(|_| ())), codes)
    }

    async fn malformed(&self) -> Result<Result<String, String>> {
        let address = self.any();
        // instead of TLS: hung up on
        let mut garbage = [0_u8; 4096];
        rand::fill(&mut garbage[..]);
        let hung_up = tokio::time::timeout(PATIENCE / 2, async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(&garbage).await?;
            let mut answer = Vec::new();
            // an alert, or a reset
            std::io::Result::Ok(stream.read_to_end(&mut answer).await.unwrap_or(0))
        });
        let answered = match hung_up.await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Ok(Err(error.to_string())),
            Err(_) => return Ok(Err(format!("{address} did not hang up on garbage"))),
        };
        // inside of it
        let channel = channel::open(&address.to_string(), Some(&self.tls), PATIENCE / 4)?;
        let mut grpc = tonic::client::Grpc::new(channel);
        if let Err(error) = grpc.ready().await {
            return Ok(Err(error.to_string()));
        }
        let request =
            Request::new(Bytes::copy_from_slice(&[&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], &garbage[..]].concat()));
        let asked = grpc.unary(request, SUBMIT.parse()?, Raw);
        let answer = tokio::time::timeout(PATIENCE / 4, asked).await;
        let said = said_no(answer.map(|answer| answer.map(|_| ())), &["request-malformed"])?;
        Ok(said.map(|said| format!("hung up after {answered} bytes of answer; {said}")))
    }

    async fn expired(&self) -> Result<Result<String, String>> {
        let card = self.issuer.card(&Identity::Platform, certificates::expired())?;
        let answer = certificates::handshake(&self.any().to_string(), &card).await?;
        Ok(match certificates::alert(&answer) {
            Some(AlertDescription::CertificateExpired) => Ok("refused: certificate_expired".to_owned()),
            Some(alert) => bail!("a client whose certificate has expired met {alert:?}"),
            None if answer.is_ok() => bail!("a client whose certificate has expired was let in"),
            // TLS over links that are out of order
            None => Err(format!("{answer:?}")),
        })
    }

    async fn read_slowly(&self, lasts: Duration) -> Result<Result<String, String>> {
        let proxy = Proxy::start(self.any(), Mood { bytes_per_s: BYTES_PER_S, ..Mood::default() }).await?;
        let patient = |config: &mut kho_client::Config| {
            (config.timing.connect, config.timing.attempt, config.timing.deadline) = (lasts, 4 * lasts, 4 * lasts);
        };
        let client = self.board.client(vec![format!("127.0.0.1:{}", proxy.address.port())], patient)?;
        let mut asked = Vec::new();
        for back in 0..READS {
            let Some(one) = self.board.recent(back) else { return Ok(Err("nothing is acknowledged yet".to_owned())) };
            asked.push(Signed::from_record(one.record)?.record_id());
        }
        let before = self.board.progress.acknowledged();
        // unanswered, most of them: it is the reading that is slow
        let _ = tokio::time::timeout(lasts, join_all(asked.iter().map(|id| client.get(*id)))).await;
        let (bytes, late) = (Seen::count(&proxy.seen.bytes), Seen::count(&proxy.seen.delayed));
        if late == 0 {
            return Ok(Err("nothing was read".to_owned()));
        }
        let others = self.board.progress.acknowledged() - before;
        Ok(Ok(format!(
            "{READS} reads at {BYTES_PER_S} bytes/s, {bytes} bytes; {others} records acknowledged meanwhile"
        )))
    }

    async fn half_open(&self, count: usize, lasts: Duration) -> Result<Result<String, String>> {
        let address = self.any();
        let before = self.board.progress.acknowledged();
        let connect = || tokio::time::timeout(lasts, TcpStream::connect(address));
        let streams = join_all((0..count).map(|_| connect())).await;
        let streams: Vec<TcpStream> = streams.into_iter().filter_map(|stream| stream.ok()?.ok()).collect();
        let open = streams.len();
        if open < count / 2 {
            return Ok(Err(format!("{open} of {count} connections to {address} were made")));
        }
        tokio::time::sleep(lasts).await;
        drop(streams);
        let others = self.board.progress.acknowledged() - before;
        Ok(Ok(format!("{open} connections to {address} that say nothing; {others} records acknowledged meanwhile")))
    }
}

/// What a node must refuse with one of `codes`; a connection that ends says nothing.
fn said_no<E>(answer: Result<Result<(), Status>, E>, codes: &[&str]) -> Result<Result<String, String>> {
    let status = match answer {
        Ok(Ok(())) => bail!("a request that no node may take was taken"),
        Ok(Err(status)) => status,
        Err(_) => return Ok(Err("no answer".to_owned())),
    };
    let code = kho_proto::status::from_status(&status).map(|refusal| refusal.code.as_str().to_owned());
    Ok(match code {
        Some(code) if codes.contains(&code.as_str()) => Ok(format!("refused: {code}")),
        Some(code) => {
            let retry = Code::parse(&code).is_some_and(Code::retry);
            ensure!(retry, "refused, but with {code} instead of {codes:?}");
            Err(code)
        }
        None => Err(format!("{:?}: {}", status.code(), status.message())),
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
