//! Readers beside the senders: of records that were just sent, that are on their way, or that are long there, each from a
//! node drawn at random.

use std::time::Duration;

use anyhow::Result;
use futures::future::join_all;
use kho::dev::{DevCluster, Identity};
use kho_client::{Client, GetError, Timing};
use kho_proto::digest::Digest;
use kho_proto::error::Code;
use kho_proto::id::NodeId;
use kho_proto::pb::v1::SignedRecord;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

use crate::history::{History, Kind, Outcome};
use crate::load::{Named, covered, operation};
use crate::rig::Senders;

/// Readers at once.
const READERS: u64 = 2;
/// Between two reads of a reader: reads must not starve the writes.
const PAUSE: Duration = Duration::from_millis(5);
/// A paused or dead node keeps a reader this long.
const DEADLINE: Duration = Duration::from_secs(1);
/// One read in so many is of a record that may be on its way.
const NEW_ONE_IN: u32 = 3;

/// A client for each node, which asks no other.
pub fn clients(cluster: &DevCluster) -> Result<Vec<(NodeId, Client)>> {
    let client = |node| {
        let mut config = cluster.client_config(&Identity::Platform)?;
        config.nodes = vec![cluster.member(node)?.client.clone()];
        config.timing = Timing { deadline: DEADLINE, attempt: DEADLINE, ..config.timing };
        Ok((node, Client::new(config)?))
    };
    cluster.nodes().map(client).collect()
}

/// Reads until `stop` says so. What is read is judged by the history (I3).
pub async fn run(nodes: &[(NodeId, Client)], senders: &Senders, stop: watch::Receiver<bool>) {
    let reader = |seed: u64, mut stop: watch::Receiver<bool>| async move {
        let mut random = StdRng::seed_from_u64(seed);
        while !*stop.borrow() {
            let wanted = senders.drawn(|count| {
                let newest = count.saturating_sub(1);
                if random.random_ratio(1, NEW_ONE_IN) { newest } else { random.random_range(0..count) }
            });
            let (node, client) = &nodes[random.random_range(0..nodes.len())];
            let read = async {
                if let Some(wanted) = wanted {
                    // an error is in the history, and says nothing
                    drop(get(client, &senders.history, &wanted, *node).await);
                }
                tokio::time::sleep(PAUSE).await;
            };
            tokio::select! {
                () = read => {}
                _ = stop.wait_for(|stopped| *stopped) => {}
            }
        }
    };
    join_all((0..READERS).map(|seed| reader(seed, stop.clone()))).await;
}

/// Reads a record by a client of `node`; 0: of any.
pub(crate) async fn get(
    client: &Client,
    history: &History,
    wanted: &Named,
    node: NodeId,
) -> Result<SignedRecord, String> {
    let mut line = operation(history, Kind::Get, wanted);
    let answer = client.get(wanted.id).await;
    line.returned_us = history.now_us();
    let answer = match answer {
        Ok(found) => {
            (line.outcome, line.node, line.epoch) = (Outcome::Ok, found.node.0, found.epoch.0);
            (line.position, line.found) = (found.size, Some(found.receipt.sequence.0));
            line.digest = Digest::of(&found.record.header).to_string();
            line.checkpoint = covered(found.checkpoint.as_ref());
            Ok(found.record)
        }
        Err(error) => {
            line.detail = error.to_string();
            if let GetError::Refused { refusal, .. } = &error
                && refusal.code == Code::RecordUnknown
                && let Some(size) = refusal.log_size
            {
                (line.outcome, line.node, line.position) = (Outcome::Ok, node.0, size);
            }
            Err(line.detail.clone())
        }
    };
    history.add(&line);
    answer
}
