//! The simulation's engine: whether it could have shown the same, and have left the same.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use kho_node::storage::sim::{SimDisk, SimStorage};
use kho_node::storage::{Batch, Durability, KvEngine, KvError, KvRead, Profile, Storage};

use crate::operations::{Crash, DATABASES, Operation, Runner};

/// What a crash leaves is drawn by chance: after so many chances the fake never leaves it. There are at most some fifty
/// possible ends of a life, and the rarest comes once in a hundred times.
const CHANCES: u64 = 1_500;

/// Makes a fake's storage on a disk.
pub type Fake = fn(Arc<SimDisk>) -> Arc<dyn Storage>;

/// What is in the simulation.
pub fn honest(disk: Arc<SimDisk>) -> Arc<dyn Storage> {
    Arc::new(SimStorage(disk))
}

/// An operation, and what it showed; of a crash all rows afterwards.
pub struct Shown {
    /// Which of the course's steps it is.
    pub at: usize,
    /// What was done.
    pub operation: Operation,
    /// Digest.
    pub what: String,
}

/// Where a database stands that has just lost power: what it holds is on disk.
pub type Base = Batch;

/// Whether the fake can do what the engine did from one loss of power to the next; where it stands then.
pub fn explain(fake: Fake, database: usize, base: &Base, life: &[Shown]) -> Result<Base> {
    let mut furthest = 0;
    for chance in 0..CHANCES {
        let dir = tempfile::tempdir()?;
        match replay(fake, chance, database, base, life, dir.path())? {
            Replayed::Same(base) => return Ok(base),
            Replayed::Otherwise(at) => furthest = furthest.max(at),
        }
    }
    let name = DATABASES[database].name;
    anyhow::bail!(
        "{name}: after {:?} (step {furthest}) the fake never leaves what the engine left",
        crash_at(life, furthest)
    )
}

fn crash_at(life: &[Shown], at: usize) -> Option<&Operation> {
    life.iter().find(|shown| shown.at == at).map(|shown| &shown.operation)
}

enum Replayed {
    Same(Base),
    /// A crash left something else.
    Otherwise(usize),
}

fn replay(fake: Fake, chance: u64, database: usize, base: &Base, life: &[Shown], dir: &Path) -> Result<Replayed> {
    let disk = SimDisk::new(chance);
    let storage = fake(Arc::clone(&disk));
    let of = &DATABASES[database];
    let engine = storage.open(&dir.join(of.name), of.profile, of.tables)?;
    engine.write(base, Durability::Sync)?;
    drop(engine);
    let mut runner = Runner::open(Arc::clone(&storage), of, dir)?;
    for Shown { at, operation, what } in life {
        if let Operation::Crash(crash) = operation {
            drop(runner);
            disk.crash(*crash == Crash::Power);
            if *crash == Crash::KillThenPower {
                disk.crash(true);
            }
            runner = Runner::open(Arc::clone(&storage), of, dir)?;
            if runner.rows()?.to_string() != *what {
                return Ok(Replayed::Otherwise(*at));
            }
        } else {
            let shown = runner.run(operation)?.to_string();
            ensure!(
                shown == *what,
                "{}: step {at}, {operation:?}: the fake shows something else than the engine: {shown}, {what}",
                of.name
            );
        }
    }
    Ok(Replayed::Same(runner.as_batch()?))
}

/// A dishonest fake: what was written is on disk, whether it was synced or not.
pub fn keeps_all(disk: Arc<SimDisk>) -> Arc<dyn Storage> {
    Arc::new(Dishonest { inner: SimStorage(disk), change: |batch, _| (batch.clone(), Durability::Sync) })
}

/// A dishonest fake: rows that were removed are still there.
pub fn removes_nothing(disk: Arc<SimDisk>) -> Arc<dyn Storage> {
    use kho_node::storage::Op;
    let change = |batch: &Batch, durability| {
        let puts = batch.0.iter().filter(|op| matches!(op, Op::Put { .. })).cloned();
        (Batch(puts.collect()), durability)
    };
    Arc::new(Dishonest { inner: SimStorage(disk), change })
}

type Change = fn(&Batch, Durability) -> (Batch, Durability);

struct Dishonest {
    inner: SimStorage,
    change: Change,
}

impl Storage for Dishonest {
    fn open(&self, path: &Path, profile: Profile, tables: &[&'static str]) -> Result<Arc<dyn KvEngine>, KvError> {
        let inner = self.inner.open(path, profile, tables)?;
        Ok(Arc::new(DishonestEngine { inner, change: self.change }))
    }

    fn open_read_only(
        &self,
        path: &Path,
        profile: Profile,
        tables: &[&'static str],
    ) -> Result<Arc<dyn KvRead>, KvError> {
        self.inner.open_read_only(path, profile, tables)
    }
}

struct DishonestEngine {
    inner: Arc<dyn KvEngine>,
    change: Change,
}

impl KvRead for DishonestEngine {
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<bytes::Bytes>, KvError> {
        self.inner.get(table, key)
    }

    fn iter(
        &self,
        table: &'static str,
        range: kho_node::storage::KeyRange,
        direction: kho_node::storage::Direction,
    ) -> Result<kho_node::storage::Rows<'_>, KvError> {
        self.inner.iter(table, range, direction)
    }
}

impl KvEngine for DishonestEngine {
    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), KvError> {
        let (batch, durability) = (self.change)(batch, durability);
        self.inner.write(&batch, durability)
    }

    fn snapshot(&self) -> Result<Arc<dyn KvRead>, KvError> {
        self.inner.snapshot()
    }

    fn flush(&self) -> Result<(), KvError> {
        self.inner.flush()
    }

    fn checkpoint(&self, directory: &Path) -> Result<(), KvError> {
        self.inner.checkpoint(directory)
    }

    fn ingest(&self, table: &'static str, files: &[std::path::PathBuf]) -> Result<(), KvError> {
        self.inner.ingest(table, files)
    }

    fn reclaim(&self, table: &'static str, from: &[u8], to: &[u8]) -> Result<(), KvError> {
        self.inner.reclaim(table, from, to)
    }

    fn approximate_bytes(&self, table: &'static str) -> Result<u64, KvError> {
        self.inner.approximate_bytes(table)
    }
}
