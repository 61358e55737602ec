//! At the end, with everything healed: unknown outcomes are settled, and all promises are held against what every node says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use kho_chaos_tests::auditor::VerifierKey;
use kho_chaos_tests::history::{Kind, Recorded};
use kho_chaos_tests::invariants::durable::Seen;
use kho_chaos_tests::invariants::merkle::Stated;
use kho_chaos_tests::invariants::{Acknowledged, Breach, durable, exactly_once, merkle, receipts, recorded};
use kho_chaos_tests::observation::Observation;
use rand::rngs::SmallRng;

use crate::senders::{Senders, Sent};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// Questions at once.
const AT_ONCE: usize = 16;
/// I11: after the heal, an answer to a good request comes within so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until there is an answer. I11: none is a broken promise.
async fn until<T>(what: &str, senders: &Senders, mut ask: impl AsyncFnMut(usize) -> Option<T>) -> Option<T> {
    let asked = async {
        for attempt in 0.. {
            if let Some(answer) = ask(attempt).await {
                return Some(answer);
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await.ok().flatten();
    if answer.is_none() {
        let what = format!("{what}: no answer within {PATIENCE:?} after the heal");
        senders.known.lock().breaches.push(Breach { invariant: "I11", what });
    }
    answer
}

/// Settles what is unknown: each record is submitted until it has its receipt.
pub async fn settle(senders: &Senders) {
    // what is still under way ends as known or unknown
    while senders.known.lock().working > 0 {
        tokio::time::sleep(PAUSE).await;
    }
    let unknown = std::mem::take(&mut senders.known.lock().unknown);
    let members = senders.directory.members();
    for sent in unknown {
        let submit = async |attempt: usize| {
            let node = members[attempt % members.len()];
            senders.submit(Kind::Resubmit, node, &sent).await.then_some(())
        };
        until(&format!("record {}", sent.id), senders, submit).await;
    }
}

/// I11: every member takes new records.
pub async fn submit_anew(senders: &Senders, chance: &mut SmallRng) {
    for node in senders.directory.members() {
        let sent = senders.report(chance);
        let submit = async |_| senders.submit(Kind::Resubmit, node, &sent).await.then_some(());
        until(&format!("a new record by node {node}"), senders, submit).await;
    }
}

/// Submits every acknowledged record again, and reads it from every member. What was seen, with the record's id.
pub async fn ask_again(senders: &Arc<Senders>) -> Vec<(String, Seen)> {
    let members = senders.directory.members();
    let first: BTreeMap<String, Sent> = {
        let known = senders.known.lock();
        known.acknowledged.iter().map(|(sent, _)| (sent.id.to_string(), sent.clone())).collect()
    };
    let ask = async |(at, sent): (usize, Sent)| {
        let sent = &sent;
        let again = async |attempt: usize| {
            let node = members[(at + attempt) % members.len()];
            senders.submit(Kind::Resubmit, node, sent).await.then_some(())
        };
        until(&format!("record {} again", sent.id), senders, again).await;
        let mut seen = Vec::new();
        for node in &members {
            let read = async |_| senders.get(*node, sent).await;
            if let Some(answer) = until(&format!("record {} of node {node}", sent.id), senders, read).await {
                seen.push((sent.id.to_string(), Seen { node: node.0, answer }));
            }
        }
        seen
    };
    let asked = stream::iter(first.into_values().enumerate()).map(ask).buffered(AT_ONCE);
    asked.collect::<Vec<_>>().await.into_iter().flatten().collect()
}

/// Holds all that was said against all promises. `sizes`: of each member's tree.
pub fn judge(
    key: &VerifierKey,
    senders: &Senders,
    seen: &[(String, Seen)],
    sizes: &[u64],
    observations: Vec<Observation>,
) -> Vec<Breach> {
    let known = senders.known.lock();
    let mut breaches = known.breaches.clone();
    let recorded = Recorded { operations: senders.record.operations(), observations };
    breaches.extend(recorded::judge(&recorded));
    let all: Vec<Acknowledged> = known.acknowledged.iter().map(|(_, one)| one.clone()).collect();
    breaches.extend(all.iter().filter_map(|one| receipts::judge(key, one)));
    let mut first: BTreeMap<&str, &Acknowledged> = BTreeMap::new();
    for one in &all {
        match first.get(one.record_id.as_str()) {
            Some(first) => breaches.extend(exactly_once::same_receipt(key, first, one)),
            None => {
                first.insert(&one.record_id, one);
            }
        }
    }
    breaches.extend(exactly_once::one_leaf_each(key, &all));
    breaches.extend(sizes.iter().filter_map(|size| exactly_once::no_other_leaf(*size, &all)));
    breaches.extend(seen.iter().filter_map(|(id, seen)| durable::judge(first.get(id.as_str())?, seen)));
    let stated = all.iter().filter_map(|one| {
        let checkpoint = kho_chaos_tests::auditor::verify(key, &one.receipt).ok()?.checkpoint;
        Some(Stated { by: format!("the receipt of {}", one.record_id), size: checkpoint.size, root: checkpoint.root })
    });
    breaches.extend(merkle::judge(stated));
    breaches
}
