//! Random operations on two databases, drawn by a seed, and whoever carries them out: the same on the engine and on the fake.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use kho_node::storage::{
    Batch, Direction, Durability, KeyRange, KvEngine, KvError, KvRead, Op as Change, Profile, Storage,
};
use kho_proto::digest::Digest;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngCore, SeedableRng};

/// Keys of a table: few, so that rows are changed and removed again and again.
const KEYS: u8 = 24;
/// Operations between two crashes.
const LIFE: std::ops::Range<usize> = 10..50;
/// A value that fills write buffers, so that the engine flushes by itself.
const LARGE: usize = 48 << 10;

/// A database of a node.
pub struct Database {
    /// Its directory.
    pub name: &'static str,
    /// What it is for.
    pub profile: Profile,
    /// Tables of different kinds.
    pub tables: &'static [&'static str],
}

/// As a node has them.
pub const DATABASES: [Database; 2] = [
    Database { name: "raft", profile: Profile::Log, tables: &["log", "meta"] },
    Database { name: "state", profile: Profile::State, tables: &["leaves", "records", "applied"] },
];

/// How a process ends without its will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// It is killed, and begins again.
    Kill,
    /// The machine loses power.
    Power,
    /// Killed, and then the machine loses power before it has begun again.
    KillThenPower,
}

impl Crash {
    /// Whether the power goes.
    pub fn power(self) -> bool {
        self != Crash::Kill
    }
}

/// One operation on one database.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Writes.
    Write(Batch, Durability),
    /// Flushes.
    Flush,
    /// Copies, and reads the copy.
    Checkpoint,
    /// Reads a row.
    Get(&'static str, Bytes),
    /// Reads rows.
    Rows(&'static str, KeyRange, Direction),
    /// Keeps a view of this moment.
    View,
    /// Reads all of the view that is kept.
    ReadView,
    /// Closes and opens.
    Reopen,
    /// Of both databases at once.
    Crash(Crash),
}

/// An operation and its database.
pub type Step = (usize, Operation);

fn key(chance: &mut SmallRng) -> Bytes {
    Bytes::copy_from_slice(&[b'k', chance.random_range(0..KEYS)])
}

fn pair(chance: &mut SmallRng) -> (Bytes, Bytes) {
    let from = chance.random_range(0..KEYS);
    (Bytes::copy_from_slice(&[b'k', from]), Bytes::copy_from_slice(&[b'k', chance.random_range(from + 1..=KEYS)]))
}

fn batch(tables: &[&'static str], large: bool, chance: &mut SmallRng) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..chance.random_range(1..6) {
        let table = *tables.choose(chance).expect("tables");
        match chance.random_range(0..10) {
            0 => batch.delete(table, key(chance)),
            1 => {
                let (from, to) = pair(chance);
                batch.delete_range(table, from, to);
            }
            _ => {
                let length = if large && chance.random_bool(0.3) { LARGE } else { chance.random_range(0..64) };
                let mut value = vec![0; length];
                chance.fill_bytes(&mut value);
                batch.put(table, key(chance), value);
            }
        }
    }
    batch
}

fn operation(database: &Database, large: bool, chance: &mut SmallRng) -> Operation {
    let table = *database.tables.choose(chance).expect("tables");
    match chance.random_range(0..100) {
        0..50 => Operation::Write(batch(database.tables, large, chance), Durability::Buffered),
        50..58 => Operation::Write(batch(database.tables, large, chance), Durability::Sync),
        58..62 => Operation::Flush,
        62..65 => Operation::Checkpoint,
        65..77 => Operation::Get(table, key(chance)),
        77..89 => {
            let (from, to) = pair(chance);
            let range = if chance.random() { KeyRange::new(from, to) } else { KeyRange::starting(from) };
            let direction = if chance.random() { Direction::Forward } else { Direction::Backward };
            Operation::Rows(table, range, direction)
        }
        89..93 => Operation::View,
        93..97 => Operation::ReadView,
        _ => Operation::Reopen,
    }
}

/// What a seed decides: lives that end with a crash, the last without power. `power`: whether it may be cut.
pub fn draw(seed: u64, crashes: usize, power: bool) -> Vec<Step> {
    let mut chance = SmallRng::seed_from_u64(seed);
    let (mut steps, large) = (Vec::new(), seed % 2 == 1);
    for crash in 1..=crashes {
        for _ in 0..chance.random_range(LIFE) {
            let at = chance.random_range(0..DATABASES.len());
            steps.push((at, operation(&DATABASES[at], large, &mut chance)));
        }
        let kind = match chance.random_range(0..10) {
            _ if !power => Crash::Kill,
            0..3 if crash < crashes => Crash::Kill,
            3..5 => Crash::KillThenPower,
            _ => Crash::Power,
        };
        steps.push((0, Operation::Crash(kind)));
    }
    steps
}

/// A database on which operations are carried out.
pub struct Runner {
    storage: Arc<dyn Storage>,
    database: &'static Database,
    path: PathBuf,
    engine: Option<Arc<dyn KvEngine>>,
    view: Option<Arc<dyn KvRead>>,
}

impl Runner {
    /// Opens a database below `dir`, which is there.
    pub fn open(storage: Arc<dyn Storage>, database: &'static Database, dir: &Path) -> Result<Self, KvError> {
        let path = dir.join(database.name);
        let engine = Some(storage.open(&path, database.profile, database.tables)?);
        Ok(Self { storage, database, path, engine, view: None })
    }

    fn engine(&self) -> &Arc<dyn KvEngine> {
        self.engine.as_ref().expect("open between two operations")
    }

    /// Carries an operation out. What it showed.
    pub fn run(&mut self, operation: &Operation) -> Result<Digest, KvError> {
        let mut shown = Vec::new();
        match operation {
            Operation::Write(batch, durability) => self.engine().write(batch, *durability)?,
            Operation::Flush => self.engine().flush()?,
            Operation::Checkpoint => {
                let copy = self.path.with_extension("copy");
                // a removal that was not synced may be undone by a loss of power
                match fs::remove_dir_all(&copy) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", copy.display()),
                    _ => {}
                }
                self.engine().checkpoint(&copy)?;
                shown = all(
                    &*self.storage.open_read_only(&copy, self.database.profile, self.database.tables)?,
                    self.database,
                )?;
                fs::remove_dir_all(&copy).expect("the copy goes");
            }
            Operation::Get(table, key) => {
                if let Some(value) = self.engine().get(table, key)? {
                    shown.put_u8(1);
                    shown.put_slice(&value);
                }
            }
            Operation::Rows(table, range, direction) => {
                for row in self.engine().iter(table, range.clone(), *direction)? {
                    put(&mut shown, &row?);
                }
            }
            Operation::View => self.view = Some(self.engine().snapshot()?),
            Operation::ReadView => {
                if let Some(view) = &self.view {
                    shown = all(&**view, self.database)?;
                }
            }
            Operation::Reopen => {
                (self.view, self.engine) = (None, None);
                let Self { storage, database, path, .. } = self;
                self.engine = Some(storage.open(path, database.profile, database.tables)?);
            }
            Operation::Crash(_) => {}
        }
        Ok(Digest::of(&shown))
    }

    /// All rows.
    pub fn rows(&self) -> Result<Digest, KvError> {
        Ok(Digest::of(&all(&**self.engine(), self.database)?))
    }

    /// All rows, as a batch that writes them.
    pub fn as_batch(&self) -> Result<Batch, KvError> {
        let mut batch = Batch::default();
        for table in self.database.tables {
            for row in self.engine().iter(table, KeyRange::starting([]), Direction::Forward)? {
                let (key, value) = row?;
                batch.0.push(Change::Put { table, key, value });
            }
        }
        Ok(batch)
    }
}

fn put(out: &mut Vec<u8>, (key, value): &(Bytes, Bytes)) {
    for part in [key, value] {
        out.put_u32(part.len() as u32);
        out.put_slice(part);
    }
}

fn all(rows: &dyn KvRead, database: &Database) -> Result<Vec<u8>, KvError> {
    let mut out = Vec::new();
    for table in database.tables {
        out.put_slice(table.as_bytes());
        for row in rows.iter(table, KeyRange::starting([]), Direction::Forward)? {
            put(&mut out, &row?);
        }
    }
    Ok(out)
}
