//! What was given to an outbox, what it acknowledged, and what has to have become of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use kho_client::{Client, Draft, Limits, Outbox, Place, Signed};
use kho_proto::id::RecordId;
use kho_proto::record;
use rand::Rng;
use rand::rngs::StdRng;

use super::is_doubted;
use crate::invariants::Acknowledged;
use crate::rig::Senders;

/// Series that grow at a time.
const SERIES: usize = 6;

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It is in.
    Delivered,
    /// It is refused with this code.
    Refused(&'static str),
}

struct Given {
    signed: Signed,
    expected: Expected,
    acknowledged: bool,
}

/// A series, as far as it was given.
struct Series {
    draft: Draft,
    head: RecordId,
    /// Its head is one that will be refused.
    broken: bool,
}

/// All records of one outbox.
#[derive(Default)]
pub struct Account {
    given: Vec<Given>,
    series: Vec<Series>,
    named: u64,
}

/// What an outbox came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// In the cluster, as the outbox says, with what it has in hand.
    pub delivered: Vec<Acknowledged>,
    /// Refused with the code that was expected.
    pub refused: usize,
}

impl Account {
    /// So many further records, signed: revisions of series, new series, and some that will be refused. What was given
    /// before and not acknowledged comes first, as a service would do it.
    pub async fn next(
        &mut self,
        name: &str,
        count: usize,
        random: &mut StdRng,
        (senders, client): (&Senders, &Client),
    ) -> Result<Vec<Vec<u8>>> {
        let open = |given: &&Given| !given.acknowledged;
        let mut frames: Vec<_> =
            self.given.iter().filter(open).map(|given| record::to_file(given.signed.record())).collect();
        for _ in 0..count {
            let (draft, expected, place) = self.draw(name, random, senders)?;
            let mut signed = draft.clone();
            signed.record_id = None;
            let signed = senders.sign(client, signed).await?;
            match place {
                None => {
                    let broken = expected != Expected::Delivered;
                    self.series.push(Series { draft, head: signed.record_id(), broken });
                }
                Some(place) => {
                    // one that does not name the head leaves it the head
                    let series = &mut self.series[place];
                    if signed_supersedes(&signed)? == Some(series.head) {
                        series.head = signed.record_id();
                    }
                }
            }
            frames.push(record::to_file(signed.record()));
            self.given.push(Given { signed, expected, acknowledged: false });
        }
        while self.series.len() > SERIES {
            self.series.remove(random.random_range(0..self.series.len()));
        }
        Ok(frames)
    }

    fn draw(&mut self, name: &str, random: &mut StdRng, senders: &Senders) -> Result<(Draft, Expected, Option<usize>)> {
        if self.series.len() < SERIES / 2 || random.random_ratio(1, 4) {
            let mut draft = senders.draft()?;
            self.named += 1;
            draft.series = format!("{name}-{}", self.named);
            // one in eight supersedes a record that nobody has
            if random.random_ratio(1, 8) {
                draft.supersedes = Some(RecordId::new_v7(1, &random.random()));
                return Ok((draft, Expected::Refused("supersedes-unknown"), None));
            }
            return Ok((draft, Expected::Delivered, None));
        }
        let place = random.random_range(0..self.series.len());
        let series = &self.series[place];
        let mut draft = series.draft.clone();
        if !series.broken && random.random_ratio(1, 10) {
            // a second original
            draft.supersedes = None;
            return Ok((draft, Expected::Refused("series-has-head"), Some(place)));
        }
        draft.supersedes = Some(series.head);
        let expected =
            if series.broken { Expected::Refused("outbox-predecessor-refused") } else { Expected::Delivered };
        Ok((draft, expected, Some(place)))
    }

    /// What a child said.
    pub fn heard(&mut self, lines: &[String]) {
        let added: BTreeSet<&str> = lines.iter().filter_map(|line| line.strip_prefix("added ")).collect();
        for given in &mut self.given {
            given.acknowledged |= added.contains(given.signed.record_id().to_string().as_str());
        }
    }

    /// Records that were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.given.iter().filter(|given| given.acknowledged).count()
    }

    /// In the midst of it: everything that was acknowledged is somewhere in the outbox, and only there.
    pub fn check_held(&self, dir: &Path) -> Result<()> {
        let held = held(dir)?;
        for given in self.given.iter().filter(|given| given.acknowledged) {
            let id = given.signed.record_id();
            ensure!(held.contains_key(&id), "lost: record {id} was acknowledged, and the outbox does not have it");
        }
        Ok(())
    }

    /// At the end: each acknowledged record is in with its receipt, or refused with the code that it must have; and nothing
    /// else is there.
    pub async fn check_settled(&self, dir: &Path) -> Result<Tally> {
        self.check_held(dir)?;
        let outbox = Outbox::open_existing(dir, Limits::default())?;
        let given: BTreeMap<RecordId, &Given> =
            self.given.iter().map(|given| (given.signed.record_id(), given)).collect();
        let mut tally = Tally::default();
        for listed in outbox.list(None) {
            let id = listed.record_id;
            let given = given.get(&id).with_context(|| format!("record {id} was never given to it"))?;
            let found = match (listed.place, &listed.why) {
                (Place::Queued, why) => anyhow::bail!("record {id} still waits after it was drained: {why:?}"),
                (Place::Delivered, _) => "delivered".to_owned(),
                (Place::Refused, why) => why.as_ref().map_or_else(String::new, |(code, _)| code.clone()),
            };
            let expected = match given.expected {
                Expected::Delivered => "delivered",
                Expected::Refused(code) => code,
            };
            // one that may have been sent goes with nobody: the cluster refuses it, for the same reason
            let sent = is_doubted(id) && expected == "outbox-predecessor-refused" && found == "supersedes-unknown";
            ensure!(found == expected || sent, "record {id}: expected {expected}, found {found}: {:?}", listed.why);
            if listed.place == Place::Refused {
                tally.refused += 1;
                continue;
            }
            let stored = outbox.read(id).await?.with_context(|| format!("record {id} is listed and not there"))?;
            ensure!(
                stored.record == record::to_file(given.signed.record()),
                "record {id}: other bytes than were given"
            );
            tally.delivered.push(Acknowledged {
                record_id: id.to_string(),
                record: given.signed.record().clone(),
                receipt: stored.receipt.with_context(|| format!("record {id} has no receipt"))?,
                duplicate: false,
            });
        }
        self.check_order(&outbox)?;
        Ok(tally)
    }

    /// Of each series, what superseded comes behind what it superseded.
    fn check_order(&self, outbox: &Outbox) -> Result<()> {
        let delivered = outbox.list(Some(Place::Delivered));
        let places: BTreeMap<RecordId, u64> =
            delivered.iter().filter_map(|listed| Some((listed.record_id, listed.sequence?.0))).collect();
        for given in &self.given {
            let id = given.signed.record_id();
            let before = signed_supersedes(&given.signed)?.and_then(|before| places.get(&before));
            if let (Some(before), Some(place)) = (before, places.get(&id)) {
                ensure!(before < place, "record {id} is in before the one that it supersedes");
            }
        }
        Ok(())
    }
}

fn signed_supersedes(signed: &Signed) -> Result<Option<RecordId>> {
    Ok(kho_proto::header::Header::decode(&signed.record().header)?.supersedes)
}

fn held(dir: &Path) -> Result<BTreeMap<RecordId, Place>> {
    let mut held = BTreeMap::new();
    for listed in Outbox::open_existing(dir, Limits::default())?.list(None) {
        let twice = held.insert(listed.record_id, listed.place);
        ensure!(twice.is_none(), "twice: record {} is {twice:?} and {:?}", listed.record_id, listed.place);
    }
    Ok(held)
}
