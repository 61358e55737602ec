//! Kho as it is: mutual TLS, signatures verified, payloads sealed, receipts signed.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use kho::dev::{DevCluster, Identity, NodeId};
use kho_client::{Draft, PemSigner, Signer, Surroundings, System as RealWorld, Tls};
use kho_proto::pb::v1::store_client::StoreClient;
use kho_proto::pb::v1::{SignedRecord, SubmitRequest};
use kho_proto::signature::Algorithm;
use kho_sample::Country;
use tonic::transport::Channel;

use crate::system::{Connection, PAYLOAD_BYTES, System};

const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);
/// Signing happens before the clock runs, on this many threads.
const SIGNING_TASKS: usize = 2;

/// Records that were signed beforehand.
type Prepared = Arc<Mutex<Vec<SignedRecord>>>;

/// Three Kho processes.
pub struct Kho {
    cluster: DevCluster,
    tls: Tls,
    signers: Arc<Vec<(String, PemSigner)>>,
    prepared: Prepared,
    /// Numbers series across all calls.
    signed: usize,
}

/// A connection to one of them.
pub struct KhoConnection {
    client: StoreClient<Channel>,
    prepared: Prepared,
}

impl Connection for KhoConnection {
    async fn send(&mut self) -> Result<(), String> {
        let record = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let record = record.ok_or("more records were sent than prepared")?;
        let answer =
            self.client.submit(SubmitRequest { record: Some(record) }).await.map_err(|status| status.to_string())?;
        answer.into_inner().receipt.map(drop).ok_or_else(|| "an acknowledgement without a receipt".to_owned())
    }
}

async fn sign(signers: &[(String, PemSigner)], series: std::ops::Range<usize>) -> Result<Vec<SignedRecord>> {
    let mut records = Vec::with_capacity(series.len());
    let mut payload = vec![0; PAYLOAD_BYTES];
    for n in series {
        let (unit, signer) = &signers[n % signers.len()];
        RealWorld.fill(&mut payload);
        let draft = Draft {
            record_id: None,
            unit: unit.parse()?,
            regime: "KTXH-01".parse()?,
            period: "2020-06".parse()?,
            series: n.to_string(),
            supersedes: None,
            receivers: vec!["VPCP".parse()?],
            media_type: "application/octet-stream".to_owned(),
            payload: Bytes::copy_from_slice(&payload),
        };
        records.push(draft.sign(signer, &RealWorld).await?.record().clone());
    }
    Ok(records)
}

fn id(node: usize) -> NodeId {
    NodeId(node as u64 + 1)
}

impl System for Kho {
    const NAME: &'static str = "kho";
    type Connection = KhoConnection;

    async fn launch(dir: &Path) -> Result<Self> {
        let mut cluster = DevCluster::create(dir, 3)?;
        cluster.launch().await?;
        let tls = cluster.client_config(&Identity::Platform)?.tls.context("a development cluster speaks TLS")?;
        let signers: Result<Vec<_>> = Country::load()
            .units()
            .iter()
            .filter(|unit| unit.code.starts_with('T'))
            .map(|unit| Ok((unit.code.clone(), cluster.signer(&unit.code.parse()?)?)))
            .collect();
        let mut signers = signers?;
        signers.retain(|(_, signer)| signer.algorithm() == Algorithm::Ed25519);
        ensure!(!signers.is_empty(), "no unit signs with Ed25519");
        Ok(Self { cluster, tls, signers: Arc::new(signers), prepared: Prepared::default(), signed: 0 })
    }

    async fn prepare(&mut self, records: usize) -> Result<()> {
        let share = records.div_ceil(SIGNING_TASKS);
        let tasks: Vec<_> = (0..SIGNING_TASKS)
            .map(|n| {
                let (signers, from) = (self.signers.clone(), self.signed + n * share);
                tokio::spawn(async move { sign(&signers, from..from + share).await })
            })
            .collect();
        let mut all = Vec::with_capacity(records);
        for task in tasks {
            all.extend(task.await??);
        }
        self.signed += share * SIGNING_TASKS;
        *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = all;
        Ok(())
    }

    fn connect(&self, node: usize) -> Result<KhoConnection> {
        let address = &self.cluster.member(id(node))?.client;
        let channel = kho_client::channel::open(address, Some(&self.tls), CONNECT_TIMEOUT)?;
        Ok(KhoConnection { client: StoreClient::new(channel), prepared: self.prepared.clone() })
    }

    async fn leader(&mut self) -> Result<usize> {
        let leader = self.cluster.wait_ready().await?;
        Ok(leader.0 as usize - 1)
    }

    fn kill(&mut self, node: usize) -> Result<()> {
        self.cluster.kill(id(node))?;
        Ok(())
    }

    async fn terminate(&mut self, node: usize) -> Result<()> {
        self.cluster.terminate(id(node)).await?;
        Ok(())
    }

    async fn restart(&mut self, node: usize) -> Result<()> {
        self.cluster.start(id(node))?;
        self.cluster.wait_equal().await?;
        Ok(())
    }

    fn processes(&self) -> Vec<u32> {
        self.cluster.nodes().filter_map(|node| self.cluster.pid(node)).collect()
    }

    async fn stop(mut self) -> Result<()> {
        self.cluster.terminate_all().await?;
        Ok(())
    }
}
