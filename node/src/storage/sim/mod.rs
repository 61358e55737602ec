//! An engine in memory whose crash is honest: what was synced stays, of what follows a part may stay, and what is left
//! is a moment that the database was in. For the simulation, one [`SimDisk`] a machine; it outlives the node's process.
//!
//! Rows live in memory. A directory holds only a file that names its database, and a checkpoint one with all rows, so
//! that what handles files (snapshots on their way between nodes) is the real code on real files.

mod database;
mod engine;
mod points;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

pub use self::points::{Cut, Point, Side};

use self::database::Database;
use self::engine::{SimEngine, SimRead, dead};
use self::points::Points;
use super::{KvEngine, KvError, KvErrorKind, KvRead, Profile, Storage};

/// Names the database of a directory.
const ID_FILE: &str = "sim-id";
/// All rows of a checkpoint.
const ROWS_FILE: &str = "sim-rows";

/// What may go wrong with a disk; chances are per write.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimFaults {
    /// A write or flush fails, and nobody knows what of it is on disk.
    pub write_fails: f64,
    /// The state is flushed though nobody asked: a full write buffer.
    pub flush_by_itself: f64,
}

/// A machine's disk.
pub struct SimDisk {
    databases: Mutex<BTreeMap<u64, Arc<Database>>>,
    chance: Mutex<SmallRng>,
    faults: Mutex<SimFaults>,
    points: Mutex<Points>,
    crashes: AtomicU64,
}

impl SimDisk {
    /// An empty disk; everything that happens to it by chance is drawn from `seed`.
    pub fn new(seed: u64) -> Arc<Self> {
        let chance = Mutex::new(SmallRng::seed_from_u64(seed));
        Arc::new(Self {
            databases: Mutex::default(),
            chance,
            faults: Mutex::default(),
            points: Mutex::default(),
            crashes: AtomicU64::default(),
        })
    }

    /// How often it crashed: tells what belongs to a process that is gone.
    pub fn crashes(&self) -> u64 {
        self.crashes.load(Ordering::Relaxed)
    }

    /// From now on.
    pub fn set_faults(&self, faults: SimFaults) {
        *self.faults.lock() = faults;
    }

    /// The machine lost its power, or its process was killed (`unsynced` then stays: the kernel has it). Handles that are
    /// still held are dead.
    pub fn crash(&self, power: bool) {
        self.crashes.fetch_add(1, Ordering::Relaxed);
        self.revive();
        self.databases_crash(power);
    }

    fn databases_crash(&self, power: bool) {
        let mut chance = self.chance.lock();
        for database in self.databases.lock().values() {
            database.crash(power, &mut chance);
        }
    }

    fn strikes(&self, chance: impl Fn(&SimFaults) -> f64) -> bool {
        let chance = chance(&self.faults.lock());
        chance > 0.0 && self.chance.lock().random_bool(chance)
    }

    fn find(&self, path: &Path, profile: Profile) -> Result<Arc<Database>, KvError> {
        let failed = |error: io::Error| self::error("open", KvErrorKind::Io, &format!("{}: {error}", path.display()));
        let file = path.join(ID_FILE);
        let mut databases = self.databases.lock();
        match fs::read_to_string(&file) {
            Ok(id) => {
                let database = id.parse().ok().and_then(|id: u64| databases.get(&id));
                database.cloned().ok_or_else(|| error("open", KvErrorKind::Corruption, "a database of another disk"))
            }
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path).map_err(failed)?;
                let tables = rows::read(&path.join(ROWS_FILE)).map_err(failed)?.unwrap_or_default();
                let id = databases.len() as u64;
                fs::write(&file, id.to_string()).map_err(failed)?;
                let database = Arc::new(Database::new(profile, tables));
                databases.insert(id, Arc::clone(&database));
                Ok(database)
            }
            Err(unreadable) => Err(failed(unreadable)),
        }
    }
}

/// Opens databases on a [`SimDisk`].
pub struct SimStorage(pub Arc<SimDisk>);

impl Storage for SimStorage {
    fn open(&self, path: &Path, profile: Profile, _: &[&'static str]) -> Result<Arc<dyn KvEngine>, KvError> {
        let point = |side| profile == Profile::State && self.0.cut(Point::OpenState, side);
        if self.0.is_cut() || point(Side::Before) {
            return Err(dead("open"));
        }
        let database = self.0.find(path, profile)?;
        let opened = database.open().ok_or_else(|| error("open", KvErrorKind::Locked, "it is open already"))?;
        if point(Side::After) {
            return Err(dead("open"));
        }
        Ok(Arc::new(SimEngine { disk: Arc::clone(&self.0), database, opened }))
    }

    fn open_read_only(&self, path: &Path, _: Profile, _: &[&'static str]) -> Result<Arc<dyn KvRead>, KvError> {
        match rows::read(&path.join(ROWS_FILE)) {
            Ok(Some(tables)) => Ok(Arc::new(SimRead(tables))),
            Ok(None) => Err(error("open", KvErrorKind::Io, &format!("{} is no checkpoint", path.display()))),
            Err(damaged) => Err(error("open", KvErrorKind::Corruption, &damaged.to_string())),
        }
    }
}

fn error(operation: &'static str, kind: KvErrorKind, detail: &str) -> KvError {
    KvError { operation, kind, detail: detail.to_owned() }
}
