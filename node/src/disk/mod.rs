//! Room on the disk. Below a reserve a node takes no new records and goes on reading; a full disk behind that ends it. The
//! ballast, a file of no use, is given up so that it can open again.

mod ballast;
pub(crate) mod metric_definitions;
mod room;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kho_proto::error::{Code, Refusal};

pub use ballast::Ballast;
pub use room::Room;

use crate::config::DiskConfig;
use crate::seams::Tasks;

/// Between two looks at the file system: at a thousand of the largest records a second it may fill by some 4 GiB meanwhile,
/// at what one disk takes in fact by some hundred MiB, which is less than the reserve.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Attachments leave room for so many reserves: they stop while records still go on.
const OBJECTS_RESERVES: u64 = 2;

/// What a node knows of its disk.
pub struct Disk {
    config: DiskConfig,
    data_dir: PathBuf,
    short: AtomicBool,
    /// Below twice the reserve.
    tight: AtomicBool,
    free: AtomicU64,
    ballast: AtomicU64,
}

impl Disk {
    /// Looks once, and gives up the ballast if there is too little room to open a database. Blocks.
    pub fn open(config: &DiskConfig, data_dir: PathBuf) -> Arc<Self> {
        let ballast = Ballast::of(&data_dir, config.ballast_mib << 20);
        let disk = Self {
            config: config.clone(),
            data_dir,
            short: AtomicBool::new(false),
            tight: AtomicBool::new(false),
            free: AtomicU64::new(0),
            ballast: AtomicU64::new(0),
        };
        if disk.watched() {
            match Room::of(&disk.data_dir) {
                Ok(room) if room.free < config.opening() => ballast.give_up(room.free),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the room on the disk is not known"),
            }
            disk.look();
        }
        Arc::new(disk)
    }

    /// Whether there is anything to watch.
    fn watched(&self) -> bool {
        self.config.reserve_mib > 0 || self.config.reserve_percent > 0 || self.config.ballast_mib > 0
    }

    /// Looks again and again, for ever.
    pub async fn watch(self: Arc<Self>, tasks: Arc<dyn Tasks>) {
        while self.watched() {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let disk = self.clone();
            if let Err(error) = tasks.blocking(move || disk.look()).await {
                tracing::debug!(%error, "the disk was not looked at");
            }
        }
    }

    fn look(&self) {
        let room = match Room::of(&self.data_dir) {
            Ok(room) => room,
            Err(error) => return tracing::warn!(%error, "the room on the disk is not known"),
        };
        let reserve = self.config.reserve(room.total);
        let ballast =
            Ballast::of(&self.data_dir, self.config.ballast_mib << 20).keep(room.free.saturating_sub(reserve));
        let short = room.free < reserve;
        if self.short.swap(short, Ordering::Relaxed) != short {
            if short {
                tracing::error!(free = room.free, reserve, "the disk is below its reserve: no new records are taken");
            } else {
                tracing::info!(free = room.free, reserve, "the disk has room again");
            }
        }
        self.tight.store(room.free < reserve.saturating_mul(OBJECTS_RESERVES), Ordering::Relaxed);
        self.free.store(room.free, Ordering::Relaxed);
        self.ballast.store(ballast, Ordering::Relaxed);
        metric_definitions::observe(room, reserve, short, ballast);
    }

    /// Whether what is free is below the reserve.
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// Bytes of the ballast.
    pub fn ballast(&self) -> u64 {
        self.ballast.load(Ordering::Relaxed)
    }

    /// Refuses a piece of an attachment that would have to be written here: earlier than a record.
    pub fn check_object(&self) -> Result<(), Refusal> {
        self.check()?;
        if !self.tight.load(Ordering::Relaxed) {
            return Ok(());
        }
        let text = "the node's disk is close to its reserve; what is left is for records, it takes no attachments";
        let DiskConfig { reserve_mib, reserve_percent, .. } = self.config;
        Err(Refusal::new(Code::DiskReserve, text).expected_found(
            format!("{OBJECTS_RESERVES} times {reserve_mib} MiB and {reserve_percent} % free"),
            format!("{} MiB", self.free.load(Ordering::Relaxed) >> 20),
        ))
    }

    /// Refuses a record that would have to be written here.
    pub fn check(&self) -> Result<(), Refusal> {
        if !self.is_short() {
            return Ok(());
        }
        let text = "the node's disk is below its reserve; it takes no new records";
        let DiskConfig { reserve_mib, reserve_percent, .. } = self.config;
        Err(Refusal::new(Code::DiskReserve, text).expected_found(
            format!("{reserve_mib} MiB and {reserve_percent} % free"),
            format!("{} MiB", self.free.load(Ordering::Relaxed) >> 20),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(dir: &tempfile::TempDir, reserve_mib: u64, ballast_mib: u64) -> Arc<Disk> {
        let config = DiskConfig { reserve_mib, reserve_percent: 0, ballast_mib };
        Disk::open(&config, dir.path().to_owned())
    }

    #[test]
    fn below_the_reserve_nothing_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        disk(&dir, 1, 0).check().unwrap();
        // more than any disk has
        disk(&dir, 1, 0).check_object().unwrap();
        // between one and two reserves
        let free = Room::of(dir.path()).unwrap().free >> 20;
        let tight = disk(&dir, free * 2 / 3, 0);
        tight.check().unwrap();
        assert_eq!(tight.check_object().unwrap_err().code, Code::DiskReserve);
        let refusal = disk(&dir, 1 << 40, 0).check().unwrap_err();
        assert_eq!(refusal.code, Code::DiskReserve);
        assert!(refusal.expected.contains(&(1u64 << 40).to_string()) && refusal.found.ends_with("MiB"), "{refusal:?}");
    }

    #[test]
    fn ballast_is_laid_where_there_is_room_beyond_the_reserve() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(disk(&dir, 1, 3).ballast(), 3 << 20);
        assert_eq!(disk(&dir, 1, 1).ballast(), 1 << 20, "as configured now");
        assert_eq!(disk(&dir, 1, 0).ballast(), 0);
        assert_eq!(disk(&dir, 1 << 40, 3).ballast(), 0, "nothing of the reserve");
    }

    #[test]
    fn ballast_goes_where_nothing_else_would_open() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(disk(&dir, 1, 2).ballast(), 2 << 20);
        Ballast::of(dir.path(), 2 << 20).give_up(0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
