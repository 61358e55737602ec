//! Afterwards: what was not known is settled, every acknowledged record is read back from every node, every receipt is
//! verified offline.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use kho::client_file::ClientFile;
use kho_client::{Acknowledged, Client, GetError, Signed};
use kho_proto::certificate::TrustRoots;
use kho_proto::checkpoint::VerifierKey;
use kho_proto::error::Code;

use super::load::{self, Operation, Outcome};
use super::report::{Checks, ReadBack};
use crate::commands::check;
use crate::exit::Result;

/// Time for settling what is not known.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// Between two attempts.
const SETTLE_PAUSE: Duration = Duration::from_millis(250);
/// Reads of one node under way at once.
const READS: usize = 8;
/// Complaints in words, at most.
const COMPLAINTS_MAX: usize = 20;

/// What became of those whose outcome was not known.
#[derive(Default)]
pub struct Settled {
    /// They are in.
    pub settled: Vec<(Signed, Acknowledged)>,
    /// They are not, or it is still not known; why.
    pub unsettled: Vec<String>,
}

/// Sends what is not known again, until each has its receipt.
pub async fn settle(client: &Client, operations: &[Operation]) -> Settled {
    let begun = Instant::now();
    let mut result = Settled::default();
    for operation in operations.iter().filter(|one| matches!(one.outcome, Outcome::Unknown(_))) {
        loop {
            match load::outcome(client.submit(&operation.record).await) {
                Outcome::Acknowledged(acknowledged) => {
                    result.settled.push((operation.record.clone(), *acknowledged));
                    break;
                }
                Outcome::Unknown(why) | Outcome::Failed(why) if begun.elapsed() > SETTLE_LIMIT => {
                    result.unsettled.push(why);
                    break;
                }
                _ => tokio::time::sleep(SETTLE_PAUSE).await,
            }
        }
    }
    result
}

/// Reads everything back and verifies everything.
pub async fn audit(
    file: &ClientFile,
    operations: &[Operation],
    settled: &Settled,
    trees_equal: bool,
) -> Result<Checks> {
    let at_once = operations.iter().filter_map(|one| Some((&one.record, one.acknowledged()?)));
    let records: Vec<_> = at_once.chain(settled.settled.iter().map(|(record, answer)| (record, answer))).collect();
    let key = file.verifier_key()?;
    let trust = match &file.signers_trust {
        Some(path) => Some(TrustRoots::from_pem(&std::fs::read(path)?)?),
        None => None,
    };
    let mut complaints: Vec<String> = settled.unsettled.clone();
    eprintln!("verifying {} receipts offline", records.len());
    let verified = verify(&records, &key, trust.as_ref(), &mut complaints);

    eprintln!("reading {} records back from each of {} nodes", records.len(), file.nodes.len());
    let read = join_all(file.nodes.iter().map(|address| read_node(file, address, &records))).await;
    let (mut nodes, mut lost) = (Vec::new(), BTreeSet::new());
    for result in read {
        let (node, places, why) = result?;
        nodes.push(node);
        lost.extend(places);
        complaints.extend(why);
    }
    complaints.truncate(COMPLAINTS_MAX);
    Ok(Checks {
        records: records.len() as u64,
        lost: lost.len() as u64,
        receipts_verified: verified,
        receipts_failed: records.len() as u64 - verified,
        certificates_checked: trust.is_some(),
        trees_equal,
        nodes,
        complaints,
    })
}

fn verify(
    records: &[(&Signed, &Acknowledged)],
    key: &VerifierKey,
    trust: Option<&TrustRoots>,
    complaints: &mut Vec<String>,
) -> u64 {
    let mut verified = 0;
    for (record, answer) in records {
        match check(record.record(), &answer.receipt, key, trust).first_failed() {
            None => verified += 1,
            Some((name, why)) => complaints.push(format!("receipt of {}: {name}: {why}", answer.record_id)),
        }
    }
    verified
}

/// What a node says of one record.
enum Found {
    Good,
    Lost(String),
    Unanswered(String),
}

async fn read_node(
    file: &ClientFile,
    address: &str,
    records: &[(&Signed, &Acknowledged)],
) -> Result<(ReadBack, Vec<usize>, Vec<String>)> {
    let client = ClientFile { nodes: vec![address.to_owned()], ..file.clone() }.client()?;
    let mut node = ReadBack { address: address.to_owned(), reachable: true, good: 0, lost: 0, unanswered: 0 };
    let (mut places, mut complaints) = (Vec::new(), Vec::new());
    // a node that is gone would let each of the reads wait for its deadline
    if let Some((record, answer)) = records.first()
        && let Found::Unanswered(why) = read(&client, record, answer).await
    {
        return Ok((ReadBack { reachable: false, ..node }, places, vec![format!("{address}: {why}")]));
    }
    let reads = records.iter().enumerate().map(|(place, (record, answer))| {
        let client = &client;
        async move { (place, read(client, record, answer).await) }
    });
    let mut reads = stream::iter(reads).buffer_unordered(READS);
    while let Some((place, found)) = reads.next().await {
        match found {
            Found::Good => node.good += 1,
            Found::Lost(why) => {
                node.lost += 1;
                places.push(place);
                complaints.push(format!("lost at {address}: {why}"));
            }
            Found::Unanswered(why) => {
                node.unanswered += 1;
                complaints.push(format!("{address}: {why}"));
            }
        }
    }
    complaints.truncate(COMPLAINTS_MAX);
    Ok((node, places, complaints))
}

async fn read(client: &Client, sent: &Signed, answer: &Acknowledged) -> Found {
    match client.get(answer.record_id).await {
        Ok(fetched) => {
            let same = fetched.record == *sent.record()
                && fetched.receipt.leaf == answer.receipt.leaf
                && fetched.receipt.sequence == answer.receipt.sequence;
            if same {
                Found::Good
            } else {
                Found::Lost(format!("record {}: other bytes, or another leaf", answer.record_id))
            }
        }
        Err(GetError::Refused { refusal, record_id, .. })
            if matches!(refusal.code, Code::RecordUnknown | Code::RecordDamaged) =>
        {
            Found::Lost(format!("record {record_id}: {refusal}"))
        }
        Err(error @ (GetError::Receipt { .. } | GetError::Breach { .. })) => Found::Lost(error.to_string()),
        Err(error) => Found::Unanswered(error.to_string()),
    }
}
