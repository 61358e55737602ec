//! Beside the faults: all nodes are asked for their state again and again (I5, I6, I7), and acknowledged records are read
//! from any of them (I3: an answer reflects every write acknowledged before the question).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::future::try_join_all;
use kho_client::{Client, GetError, Signed};
use kho_proto::error::Code;
use kho_proto::pb::admin::v1::NodeStatusResponse;

use super::board::Board;
use crate::invariants::durable::{self, Seen};
use crate::invariants::merkle::{self, Stated};
use crate::invariants::{Breach, log, one_leader};
use crate::observation::Observation;
use crate::sampler::Lives;

/// Between questions to one node.
const POLL: Duration = Duration::from_millis(150);
/// Between two reads.
const READ_PAUSE: Duration = Duration::from_millis(30);
/// A node that does not answer a reader within this is left alone.
const READ_LIMIT: Duration = Duration::from_millis(1500);

/// What was watched.
#[derive(Debug, Default)]
pub struct Counts {
    /// States that were judged.
    pub statuses: AtomicU64,
    /// Reads that found the record.
    pub reads: AtomicU64,
    /// Reads that nobody answered in time.
    pub unanswered: AtomicU64,
    /// What nodes said of themselves.
    pub said: Mutex<Said>,
}

/// What nodes said of themselves, in the order in which it came.
#[derive(Debug, Default)]
pub struct Said {
    observations: Vec<Observation>,
    /// Of each node.
    lives: BTreeMap<u64, Lives>,
    /// Size, and who first named which root.
    roots: BTreeMap<u64, Stated>,
}

impl Said {
    fn add(&mut self, status: &NodeStatusResponse, asked_us: u64, answered_us: u64) -> Result<()> {
        let life = self.lives.entry(status.node_id).or_default().of(asked_us, answered_us, status.uptime_ms);
        self.observations.push(Observation::of(status, asked_us, answered_us, life));
        if status.tree_size > 0 {
            let root = status.tree_root.as_ref().try_into()?;
            let stated = Stated { by: format!("node {}", status.node_id), size: status.tree_size, root };
            let first = self.roots.entry(stated.size).or_insert_with(|| stated.clone()).clone();
            if let Some(breach) = merkle::judge([first, stated]).first() {
                bail!("{breach}");
            }
        }
        Ok(())
    }

    /// I6 and I7 on all of it.
    pub fn judge(&self) -> Vec<Breach> {
        let mut breaches = log::judge(&self.observations);
        breaches.extend(one_leader::judge(&self.observations));
        breaches
    }

    /// Terms that had a leader.
    pub fn terms(&self) -> usize {
        let leading = self.observations.iter().filter(|one| one.leads()).map(|one| one.term);
        leading.collect::<std::collections::BTreeSet<_>>().len()
    }
}

/// Asks all nodes for their state until something is broken.
pub async fn states(board: &Board, counts: &Counts) -> Result<()> {
    let begun = Instant::now();
    let us = move || u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let one = |machine: usize| async move {
        loop {
            let (node, asked_us) = (board.places()[machine].node, us());
            if let Ok(status) = board.admin(node).status().await {
                counts.said.lock().expect("no thread panics while it adds").add(&status, asked_us, us())?;
                counts.statuses.fetch_add(1, Ordering::Relaxed);
                board.said(node, status);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let all: Result<Vec<()>> = try_join_all((0..board.places().len()).map(one)).await;
    all.map(|_| ())
}

/// Reads what was acknowledged until something is broken: one reader to each machine.
pub async fn reads(board: &Board, counts: &Counts) -> Result<()> {
    let reader = |machine: usize| reader(board, counts, machine);
    try_join_all((0..board.places().len()).map(reader)).await.map(|_| ())
}

async fn reader(board: &Board, counts: &Counts, machine: usize) -> Result<()> {
    let mut client: Option<(std::net::SocketAddrV4, Client)> = None;
    let mut turn = machine;
    loop {
        tokio::time::sleep(READ_PAUSE).await;
        turn += 1;
        // the newest most of the time: what was just acknowledged is what a stale node lacks
        let Some(one) = board.recent(if turn.is_multiple_of(4) { turn } else { 0 }) else { continue };
        let address = board.places()[machine].client;
        let reader = match &client {
            Some((known, reader)) if *known == address => reader.clone(),
            _ => {
                let reader = board.client(vec![address.to_string()], |config| config.timing.deadline = READ_LIMIT)?;
                client.insert((address, reader)).1.clone()
            }
        };
        let record = Signed::from_record(one.record.clone())?;
        let answer = match reader.get(record.record_id()).await {
            Ok(found) => Ok(found.record),
            Err(GetError::Refused { refusal, .. }) if refusal.code == Code::RecordUnknown => Err(refusal.to_string()),
            Err(GetError::Receipt { source, .. }) => bail!("I4 broken: {source}"),
            Err(GetError::Breach { breach, .. }) => bail!("I3 broken: {breach}"),
            Err(GetError::Refused { refusal, .. }) if refusal.code == Code::RecordDamaged => {
                bail!("I1 broken: {refusal}")
            }
            Err(GetError::Refused { .. } | GetError::Unreachable { .. }) => {
                counts.unanswered.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        };
        let node = board.places()[machine].node.0;
        if let Some(breach) = durable::judge(&one, &Seen { node, answer }) {
            bail!("a read after the acknowledgement: I3 and {breach}");
        }
        counts.reads.fetch_add(1, Ordering::Relaxed);
    }
}
