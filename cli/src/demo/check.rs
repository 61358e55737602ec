//! What must hold at the end: everything acknowledged is there, once, and provable.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt};
use kho::dev::{DevCluster, NodeId, Plane};
use kho_client::{Acknowledged, Client, Signed};
use kho_proto::certificate::TrustRoots;
use kho_proto::checkpoint::VerifierKey;

use super::drive::Drive;
use super::progress::Progress;
use crate::commands::check;
use crate::exit::Result;

/// Reads under way at once.
const CONCURRENCY: usize = 16;
/// The genesis leaf.
const LEAVES_BEFORE: u64 = 1;

/// The verdict.
pub struct Verdict {
    /// Acknowledged, and read back from another node with the same bytes.
    pub read_back: u64,
    /// Acknowledged, and not there or not the same; why.
    pub lost: Vec<String>,
    /// Receipts that verify offline.
    pub verified: u64,
    /// Receipts that don't; why.
    pub unverified: Vec<String>,
    /// Sequence numbers given twice, and leaves that nobody was told of.
    pub duplicates: u64,
    /// Leaves, the genesis leaf included.
    pub size: u64,
    /// The root on all nodes.
    pub root: String,
}

pub async fn all(cluster: &mut DevCluster, records: &[Arc<Signed>], drive: &Drive) -> Result<Verdict> {
    cluster.wait_ready().await?;
    let (size, root) = cluster.wait_equal().await?;
    let acknowledged: Vec<(&Arc<Signed>, &Acknowledged)> =
        drive.sent.iter().filter_map(|sent| Some((&records[sent.index], sent.answer.as_ref().ok()?))).collect();

    let (mut verified, mut unverified) = (0, Vec::new());
    let key = cluster.verifier_key()?;
    let trust = TrustRoots::from_pem(&std::fs::read(cluster.layout().trust(Plane::Signers))?)?;
    let mut progress = Progress::new("verifying receipts offline", acknowledged.len() as u64);
    for (record, answer) in &acknowledged {
        match check(record.record(), &answer.receipt, &key, Some(&trust)).first_failed() {
            None => verified += 1,
            Some((name, why)) => unverified.push(format!("{}: {name}: {why}", answer.record_id)),
        }
        progress.step();
    }
    drop(progress);

    let clients = cluster.nodes().map(|node| Ok((node, cluster.client_of(node)?))).collect::<Result<Vec<_>>>()?;
    let mut progress = Progress::new("reading back", acknowledged.len() as u64);
    let mut reads = stream::iter(acknowledged.iter().map(|(record, answer)| read_back(&clients, record, answer, &key)))
        .buffer_unordered(CONCURRENCY);
    let (mut read, mut lost) = (0, Vec::new());
    while let Some(result) = reads.next().await {
        match result {
            Ok(()) => read += 1,
            Err(why) => lost.push(why),
        }
        progress.step();
    }

    let sequences: BTreeSet<u64> = acknowledged.iter().map(|(_, answer)| answer.receipt.sequence.0).collect();
    let twice = acknowledged.len() as u64 - sequences.len() as u64;
    let unexplained = size.abs_diff(LEAVES_BEFORE + sequences.len() as u64);
    Ok(Verdict {
        read_back: read,
        lost,
        verified,
        unverified,
        duplicates: twice + unexplained,
        size,
        root: hex::encode(root),
    })
}

/// Reads a record from a node that did not acknowledge it; header, signature, payload and leaf must be the same.
async fn read_back(
    clients: &[(NodeId, Client)],
    sent: &Signed,
    answer: &Acknowledged,
    key: &VerifierKey,
) -> std::result::Result<(), String> {
    let id = answer.record_id;
    let others: Vec<_> = clients.iter().filter(|(node, _)| *node != answer.node).collect();
    let (node, client) = others[answer.receipt.sequence.0 as usize % others.len()];
    let fetched = client.get(id).await.map_err(|error| error.to_string())?;
    if fetched.node != *node {
        return Err(format!("{id}: asked node {node}, node {} answered", fetched.node));
    }
    let same = fetched.record == *sent.record();
    let receipt = fetched.receipt.leaf == answer.receipt.leaf && fetched.receipt.sequence == answer.receipt.sequence;
    match (same, receipt) {
        (true, true) => fetched.receipt.verify(key).map(|_| ()).map_err(|error| format!("{id}: {error}")),
        (false, _) => Err(format!("{id}: node {node} has other bytes")),
        (_, false) => Err(format!("{id}: node {node} has another leaf")),
    }
}
