//! The ledger: any bytes as an entry, and histories of entries. The same entries give the same rows, effects and root, also
//! from a state that was copied row by row in between.

use std::sync::OnceLock;

use bytes::Bytes;
use kho_ledger::memory::Memory;
use kho_ledger::{Applied, Change, Changes, Outcome, Table, Tip, apply};
use kho_proto::digest::Digest;
use kho_proto::id::RecordId;
use kho_proto::leaf::Leaf;
use kho_proto::merkle;
use kho_proto::pb::ledger::v1::{Command, CreateDataKey, Entry, Genesis, SealedCertificate, Submit, command::Kind};
use prost::Message;

use crate::vectors;

/// Entries and commands of a history, at most.
const STEPS_MAX: usize = 400;

/// A state and its tip.
#[derive(Clone)]
struct Ledger {
    rows: Memory,
    tip: Tip,
}

impl Ledger {
    fn empty() -> Self {
        Self { rows: Memory::new(), tip: Tip::empty() }
    }

    fn apply(&mut self, entry: &Bytes) -> Option<Applied> {
        let applied = apply(&self.rows, &self.tip, entry).ok()?;
        self.rows.write(&applied.changes);
        self.tip = applied.tip.clone();
        Some(applied)
    }

    /// As another node gets it: the rows, and the tip computed from them.
    fn snapshot(&self) -> Self {
        let mut rows = Memory::new();
        for (table, key, value) in self.rows.rows() {
            let change = Change::Put { table, key: key.clone(), value: value.clone() };
            rows.write(&Changes(vec![change]));
        }
        let tip = Tip::load(&rows).expect("rows that apply wrote are sound");
        Self { rows, tip }
    }
}

/// The state after the entry of the vectors.
fn formed() -> &'static Ledger {
    static FORMED: OnceLock<Ledger> = OnceLock::new();
    FORMED.get_or_init(|| {
        let mut ledger = Ledger::empty();
        ledger.apply(&vectors::bytes(&vectors::command()["entry"]).into()).expect("the vectors' entry");
        ledger
    })
}

fn took(applied: &Applied) -> bool {
    applied
        .effects
        .outcomes
        .iter()
        .any(|outcome| matches!(outcome, Outcome::Accepted { .. } | Outcome::Duplicate { .. }))
}

/// Any bytes, on an empty state and on one that has records.
pub fn entry(bytes: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(bytes);
    let mut taken = false;
    for ledger in [&Ledger::empty(), formed()] {
        let (one, two) = (apply(&ledger.rows, &ledger.tip, &bytes).ok(), apply(&ledger.rows, &ledger.tip, &bytes).ok());
        assert_eq!(one, two, "an entry applied twice");
        if let Some(applied) = one {
            let mut after = ledger.clone();
            after.apply(&bytes);
            check(&after);
            taken |= took(&applied);
        }
    }
    taken
}

/// The tip is the rows', and the root that of the leaves.
fn check(ledger: &Ledger) {
    assert_eq!(Tip::load(&ledger.rows).expect("sound rows"), ledger.tip, "the tip is the one of the rows");
    let leaves = ledger.rows.rows().filter(|row| row.0 == Table::Leaves);
    let hashes: Vec<Digest> = leaves.map(|(_, _, leaf)| Leaf::decode(leaf).expect("a leaf").hash()).collect();
    assert_eq!(merkle::root_of(&hashes), ledger.tip.root(), "the root is the one over the leaves");
}

/// One step of a history.
enum Step {
    Entry(Bytes),
    Snapshot,
}

/// A history in the words of `Reader::steps`.
pub fn history(bytes: &[u8]) -> bool {
    let steps = Reader(bytes).steps();
    let (mut straight, mut split) = (Ledger::empty(), Ledger::empty());
    let mut taken = false;
    for step in &steps {
        match step {
            Step::Snapshot => split = split.snapshot(),
            Step::Entry(entry) => {
                let (one, two) = (straight.apply(entry), split.apply(entry));
                assert_eq!(one, two, "the same entry on the same state");
                // an entry that can't be applied stops a node for good
                let Some(applied) = one else { break };
                taken |= took(&applied);
            }
        }
    }
    assert_eq!(straight.rows, split.rows, "rows differ after a snapshot");
    check(&straight);
    taken
}

/// Reads a history.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A byte each: 0 closes an entry (then its time), 1 genesis, 2 a data key (unit, generation), 3 a record (see
    /// `record`), 4 any command (length, bytes), 5 the next entry has a byte changed (place, change), 6 a snapshot.
    fn steps(mut self) -> Vec<Step> {
        let (mut steps, mut commands, mut flip) = (Vec::new(), Vec::new(), None);
        let mut time = 1_593_568_800_000;
        for _ in 0..STEPS_MAX {
            if self.0.is_empty() {
                break;
            }
            match self.byte() % 7 {
                0 => {
                    time += u64::from(self.byte());
                    steps.push(entry_of(time, std::mem::take(&mut commands), flip.take()));
                }
                1 => commands.push(genesis()),
                2 => commands.push(data_key(self.byte() % 3, self.byte() % 4)),
                3 => commands.push(record([(); 6].map(|()| self.byte()))),
                4 => {
                    let length = usize::from(self.byte()).min(self.0.len());
                    let (command, rest) = self.0.split_at(length);
                    self.0 = rest;
                    commands.extend(Command::decode(command).ok());
                }
                5 => flip = Some((self.byte(), self.byte())),
                _ => steps.push(Step::Snapshot),
            }
        }
        steps.push(entry_of(time, commands, flip));
        steps
    }
}

fn entry_of(proposed_at_ms: u64, commands: Vec<Command>, flip: Option<(u8, u8)>) -> Step {
    let version = commands.iter().map(kho_ledger::entry_version).max().unwrap_or(1);
    let mut bytes = Entry { version, epoch: 1, proposed_at_ms, commands }.encode_to_vec();
    if let Some((place, change)) = flip {
        let place = usize::from(place) * bytes.len() / 256;
        bytes.get_mut(place).into_iter().for_each(|byte| *byte ^= change);
    }
    Step::Entry(bytes.into())
}

fn digest(name: &str, n: u8) -> Bytes {
    Bytes::copy_from_slice(Digest::of_parts(&[name.as_bytes(), &[n]]).as_bytes())
}

fn token(name: &str, n: u8) -> Bytes {
    digest(name, n).slice(..16)
}

fn genesis() -> Command {
    let (cluster_id, log_public_key) = (token("cluster", 0), digest("key", 0));
    Command {
        kind: Some(Kind::Genesis(Genesis { cluster_id, epoch: 1, created_at_ms: 1_593_568_700_000, log_public_key })),
    }
}

fn data_key(unit: u8, generation: u8) -> Command {
    Command {
        kind: Some(Kind::CreateDataKey(CreateDataKey {
            key_id: token("key", unit * 4 + generation),
            unit_token: token("unit", unit),
            generation: generation.into(),
            wrapped_by: digest("wrapped by", 0),
            wrapped_key: Bytes::from_static(&[0x5a; 60]),
        })),
    }
}

fn id(n: u8) -> Bytes {
    Bytes::copy_from_slice(RecordId::new_v7(1_593_568_800_000, &[n; 10]).as_ref())
}

/// Number, unit, series, what it supersedes (16 and more: nothing), generation of its key, header and certificate. Few of
/// each: they meet again.
fn record([number, unit, series, supersedes, generation, other]: [u8; 6]) -> Command {
    let (number, unit) = (number % 16, unit % 3);
    let key_id = token("key", unit * 4 + generation % 4);
    let certificate = SealedCertificate {
        digest: digest("certificate", unit),
        key_id: key_id.clone(),
        sealed: Bytes::from_static(b"sealed"),
    };
    Command {
        kind: Some(Kind::Submit(Submit {
            record_id: id(number),
            key_id,
            header_digest: digest("header", number + 16 * (other & 1)),
            signature_block_digest: digest("block", other),
            sealed_head: Bytes::from_static(b"sealed head"),
            sealed_payload: Bytes::from_static(b"sealed payload"),
            attachment_digests: Vec::new(),
            unit_token: token("unit", unit),
            regime_token: token("regime", 0),
            receiver_tokens: vec![token("receiver", series % 2)],
            series_token: token("series", series % 8),
            period: "2020-06".to_owned(),
            supersedes: if supersedes < 16 { id(supersedes) } else { Bytes::new() },
            new_certificates: if other & 2 == 0 { vec![certificate] } else { Vec::new() },
            certificate_digests: vec![digest("certificate", unit)],
            crl_version: 0,
            object_ids: Vec::new(),
        })),
    }
}
