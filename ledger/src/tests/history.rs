//! Random histories out of a small world, where ids, series and keys meet often.

use std::collections::BTreeMap;

use bytes::Bytes;
use kho_proto::pb::ledger::v1::{Command, Entry, command::Kind};
use proptest::prelude::*;

use super::build::*;
use crate::{Effects, Outcome};

const UNITS: &[&str] = &["BYT", "BCT", "T01"];

/// One command, before the history around it fills it in.
#[derive(Debug, Clone)]
pub enum Step {
    Genesis,
    Key { unit: usize, generation: u32 },
    Record { id: u64, header: u8, unit: usize, generation: u32, certificate: bool, receivers: u8 },
    Revision { id: u64, series: u8, unit: usize, guess: Option<u64> },
    Crl { issuer: u8, made: u64 },
    Chunk { unit: usize, object: u8, index: u32 },
    Complete { unit: usize, object: u8 },
    Attached { id: u64, unit: usize, object: u8 },
    Drop { unit: usize, object: u8, idle_since: u64 },
    Broken,
}

/// Chunks of every object.
const CHUNKS: u32 = 2;

fn step(drops: u32) -> impl Strategy<Value = Step> {
    let unit = 0..UNITS.len();
    prop_oneof![
        1 => Just(Step::Genesis),
        2 => (unit.clone(), 0..4u32).prop_map(|(unit, generation)| Step::Key { unit, generation }),
        8 => (0..40u64, 0..2u8, unit.clone(), 1..3u32, any::<bool>(), 0..4u8).prop_map(
            |(id, header, unit, generation, certificate, receivers)| Step::Record {
                id,
                header: u8::from(header == 1 && id % 4 == 0),
                unit,
                generation,
                certificate,
                receivers,
            }
        ),
        6 => (unit.clone(), 0..2u8, 0..CHUNKS).prop_map(|(unit, object, index)| Step::Chunk { unit, object, index }),
        3 => (unit.clone(), 0..2u8).prop_map(|(unit, object)| Step::Complete { unit, object }),
        3 => (90..99u64, unit.clone(), 0..2u8).prop_map(|(id, unit, object)| Step::Attached { id, unit, object }),
        drops => (unit.clone(), 0..2u8, 900..1_300u64)
            .prop_map(|(unit, object, idle_since)| Step::Drop { unit, object, idle_since }),
        6 => (40..90u64, 0..3u8, unit, prop::option::weighted(0.2, 40..90u64))
            .prop_map(|(id, series, unit, guess)| Step::Revision { id, series, unit, guess }),
        1 => (0..2u8, 1..6u64).prop_map(|(issuer, made)| Step::Crl { issuer, made }),
        1 => Just(Step::Broken),
    ]
}

/// Entries of up to a dozen commands, most of them after a genesis and the units' first keys.
pub fn histories() -> impl Strategy<Value = Vec<Entry>> {
    histories_with(2)
}

/// The same without objects that are dropped: nothing brings their bytes back.
pub fn histories_that_keep() -> impl Strategy<Value = Vec<Entry>> {
    histories_with(0)
}

fn histories_with(drops: u32) -> impl Strategy<Value = Vec<Entry>> {
    let entry = (0..50u64, prop::collection::vec(step(drops), 0..12), prop::bool::weighted(0.03));
    let formed = prop::bool::weighted(0.95);
    (formed, prop::collection::vec(entry, 1..14)).prop_map(|(formed, steps)| {
        let mut writer = Writer::default();
        let keys = UNITS.iter().map(|unit| create_key(unit, 1));
        let start = if formed { std::iter::once(genesis()).chain(keys).collect() } else { Vec::new() };
        let mut entries = vec![entry_of(1_000, start)];
        for (late, steps, other_epoch) in steps {
            let commands: Vec<_> = steps.iter().map(|step| writer.command(step)).collect();
            let mut entry = entry_of(1_000 + 20 * entries.len() as u64 - late, commands);
            entry.version = 2;
            entry.epoch += u64::from(other_epoch);
            entries.push(entry);
        }
        entries
    })
}

/// Remembers the last record tried in each series, so that most revisions name it.
#[derive(Default)]
struct Writer {
    heads: BTreeMap<u8, u64>,
    /// Of each authority the last list, and how many there are: nearly always what the state has.
    lists: BTreeMap<u8, u64>,
    installed: u64,
}

impl Writer {
    fn command(&mut self, step: &Step) -> Command {
        let mut command = self.command_before_lists(step);
        if let Some(Kind::Submit(submit)) = &mut command.kind {
            submit.crl_version = self.installed;
        }
        command
    }

    fn command_before_lists(&mut self, step: &Step) -> Command {
        match *step {
            Step::Crl { issuer, made } => {
                if self.lists.get(&issuer).is_none_or(|last| *last < made) {
                    self.lists.insert(issuer, made);
                    self.installed += 1;
                }
                install_crl(issuer, made)
            }
            Step::Genesis => genesis(),
            Step::Key { unit, generation } => create_key(UNITS[unit], generation),
            Step::Record { id, header, unit, generation, certificate, receivers } => record(id, UNITS[unit])
                .header(&format!("{id} {header}"))
                .with(|submit| {
                    submit.key_id = Bytes::copy_from_slice(key_id(UNITS[unit], generation).as_ref());
                    let token = |n: u8| Bytes::copy_from_slice(token(&format!("receiver {n}")).as_ref());
                    submit.receiver_tokens = (0..receivers).map(token).collect();
                    if !certificate {
                        submit.new_certificates.clear();
                    }
                })
                .command(),
            Step::Revision { id, series, unit, guess } => {
                let before = guess.or_else(|| self.heads.get(&series).copied());
                self.heads.insert(series, id);
                let record = record(id, UNITS[unit]).series(&format!("series {series}"));
                before.map_or(record.clone(), |before| record.supersedes(before)).command()
            }
            Step::Chunk { unit, object, index } => put_chunk(UNITS[unit], &object.to_string(), CHUNKS.into(), index),
            Step::Complete { unit, object } => complete(UNITS[unit], &object.to_string(), CHUNKS),
            Step::Attached { id, unit, object } => {
                record(id, UNITS[unit]).attaching(UNITS[unit], &object.to_string(), CHUNKS).command()
            }
            Step::Drop { unit, object, idle_since } => drop_object(UNITS[unit], &object.to_string(), idle_since),
            Step::Broken => record(1, UNITS[0]).with(|submit| submit.unit_token.truncate(3)).command(),
        }
    }
}

/// Applies all entries; the effects of each.
pub fn run(entries: &[Entry]) -> (Ledger, Vec<Effects>) {
    let mut ledger = Ledger::empty();
    let effects = entries.iter().map(|entry| ledger.apply_entry(entry)).collect();
    (ledger, effects)
}

/// Applies the shortest run of commands that leaves `size` leaves.
pub fn run_to(entries: &[Entry], effects: &[Effects], size: u64) -> Ledger {
    let mut ledger = Ledger::empty();
    for (entry, effects) in entries.iter().zip(effects) {
        if ledger.tip.size() == size {
            break;
        }
        let last = |outcome: &Outcome| accepted(outcome).is_some_and(|seq| seq.0 + 1 == size);
        let cut = effects.outcomes.iter().position(last).map_or(entry.commands.len(), |at| at + 1);
        let mut entry = entry.clone();
        entry.commands.truncate(cut);
        ledger.apply_entry(&entry);
    }
    assert_eq!(ledger.tip.size(), size);
    ledger
}
