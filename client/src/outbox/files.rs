//! The directory of an outbox: its lock, and a store that is there whole or not at all.
//!
//! `lock` (held while it is open), `outbox.redb` (the store), `outbox.redb.new` (one that is being made), `evidence/`
//! (receipts that prove nothing, proofs that a log broke its promise). Directory and files are their owner's alone: they hold reports in clear.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::OutboxError;
use super::step::{Step, Steps};

const STORE: &str = "outbox.redb";
const LOCK: &str = "lock";
const EVIDENCE: &str = "evidence";
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Bytes of the lock's file that are read for a message.
const HOLDER_LENGTH_MAX: usize = 100;

/// The file's path, for an error of the system.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> OutboxError + use<> {
    let path = path.to_owned();
    move |source| OutboxError::File { path, source }
}

/// Syncs a directory: names are its content.
fn sync_directory(path: &Path) -> Result<(), OutboxError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(at(path))
}

/// Makes a directory and those above it; when this returns, a power cut takes none of them back.
fn make_directory(path: &Path) -> Result<(), OutboxError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_directory(parent)?;
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(path)(error)),
        _ => {}
    }
    sync_directory(parent)
}

/// The lock: the system gives it up with the process, however that ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it, in a directory that is made if need be.
    pub fn take(dir: &Path) -> Result<Self, OutboxError> {
        make_directory(dir)?;
        // another process may have made it a moment ago, and not yet synced it
        sync_directory(dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        let path = dir.join(LOCK);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(&path);
        let mut file = open.map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
                if holder.is_empty() || holder.len() > HOLDER_LENGTH_MAX {
                    holder = "a process that has just begun".to_owned();
                }
                return Err(OutboxError::Locked { path: dir.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
        }
        // only for people; what counts is the lock
        file.set_len(0).map_err(at(&path))?;
        writeln!(file, "process {}", std::process::id()).map_err(at(&path))?;
        Ok(Self { _file: file })
    }
}

/// The store's file. Who calls this holds the lock.
pub(super) fn open_store(
    dir: &Path,
    steps: &Arc<dyn Steps>,
    make: impl FnOnce(Disk) -> Result<(), OutboxError>,
) -> Result<Disk, OutboxError> {
    let path = dir.join(STORE);
    if !is_there(&path)? {
        // what a crash left half made has no name that anybody opens
        let new = dir.join(format!("{STORE}.new"));
        let options =
            || OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(FILE_MODE).open(&new);
        make(Disk::of(options().map_err(at(&new))?, steps)?)?;
        File::open(&new).and_then(|file| file.sync_all()).map_err(at(&new))?;
        steps.at(Step::Made);
        // fails where something has come meanwhile
        let made = tempfile::TempPath::try_from_path(&new).map_err(at(&new))?;
        made.persist_noclobber(&path).map_err(|failed| at(&path)(failed.error))?;
        steps.at(Step::Named);
    }
    // also where it was there: who renamed it may have lost power before this
    sync_directory(dir)?;
    let file = OpenOptions::new().read(true).write(true).open(&path).map_err(at(&path))?;
    Disk::of(file, steps)
}

/// Whether there is an outbox, or anything in its place.
pub(super) fn exists(dir: &Path) -> Result<bool, OutboxError> {
    is_there(&dir.join(STORE))
}

/// Whether anything has this name, a link that leads nowhere included. A disk that does not answer is no answer.
fn is_there(path: &Path) -> Result<bool, OutboxError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(at(path)(error)),
    }
}

/// Keeps what a node sent in the place of a receipt. One file of a kind for each record, the last.
pub(super) fn keep_evidence(dir: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, OutboxError> {
    let evidence = dir.join(EVIDENCE);
    make_directory(&evidence)?;
    let (path, new) = (evidence.join(name), evidence.join(format!("{name}.new")));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    write().map_err(at(&path))?;
    sync_directory(&evidence)?;
    Ok(path)
}

/// The file as redb uses it, each write and sync a step. redb's own locks are not taken: ours came first.
#[derive(Debug)]
pub(super) struct Disk {
    file: FileBackend,
    steps: Arc<dyn Steps>,
}

impl Disk {
    fn of(file: File, steps: &Arc<dyn Steps>) -> Result<Self, OutboxError> {
        Ok(Self { file: FileBackend::new(file)?, steps: steps.clone() })
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.steps.at(Step::Writing);
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.steps.at(Step::Syncing);
        self.file.sync_data()?;
        self.steps.at(Step::Synced);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.steps.at(Step::Writing);
        self.file.write(offset, data)
    }
}
