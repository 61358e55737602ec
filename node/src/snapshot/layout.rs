//! Where things stand in a log's directory, and which state is live.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{self, Context, FileError};

/// What `CURRENT` begins with: magic and version.
const CURRENT_PREFIX: &str = "kho-current 1 state-";

/// Why the directory of a log is not understood.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// `CURRENT` is not what this version writes.
    #[error("expected {} to hold \"{CURRENT_PREFIX}N\", found {found:?}", path.display())]
    Current {
        /// The file.
        path: PathBuf,
        /// Its content.
        found: String,
    },
    /// `CURRENT` names a state that is not there.
    #[error("expected the live state in {}, found nothing", path.display())]
    StateMissing {
        /// Where it should be.
        path: PathBuf,
    },
}

/// What can be damaged by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Log and vote: without them the node may not come back under its id.
    Log,
    /// All else: it can be had from others again.
    State,
}

/// The directory of one log.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of log `log_id` under a data directory; makes the directories.
    pub fn create(data_dir: &Path, log_id: u64) -> Result<Self, LayoutError> {
        let root = data_dir.join("logs").join(log_id.to_string());
        let layout = Self { root };
        files::create_directory(&layout.snapshots())?;
        files::create_directory(&layout.incoming())?;
        files::create_directory(&layout.raft())?;
        Ok(layout)
    }

    /// The raft log.
    pub fn raft(&self) -> PathBuf {
        self.root.join("raft")
    }

    /// The state with a number.
    pub fn state(&self, number: u64) -> PathBuf {
        self.root.join(format!("state-{number}"))
    }

    /// Snapshots made here.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// Snapshots on their way in.
    pub fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    fn pointer(&self) -> PathBuf {
        self.root.join("CURRENT")
    }

    /// How far the raft log was on disk.
    pub fn tide(&self) -> PathBuf {
        self.root.join("TIDE")
    }

    fn mark(&self, part: Part) -> PathBuf {
        self.root.join(match part {
            Part::Log => "LOG-DAMAGED",
            Part::State => "STATE-DAMAGED",
        })
    }

    /// Writes down that a part is damaged, and how that was seen: the next start must know, for the same bytes may look
    /// sound until they are read again.
    pub fn mark_damaged(&self, part: Part, why: &str) -> Result<(), LayoutError> {
        Ok(files::replace(&self.mark(part), why.as_bytes())?)
    }

    /// Why a part is known to be damaged.
    pub fn damage(&self, part: Part) -> Result<Option<String>, LayoutError> {
        let path = self.mark(part);
        match fs::read(&path) {
            Ok(why) => Ok(Some(String::from_utf8_lossy(&why).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("read", &path).map_err(LayoutError::from),
        }
    }

    /// A number that no state has.
    pub fn unused(&self) -> Result<u64, LayoutError> {
        let used = directories(&self.root)?;
        let numbers = used.iter().filter_map(|path| name(path).strip_prefix("state-")?.parse::<u64>().ok());
        Ok(numbers.max().unwrap_or(0) + 1)
    }

    /// The state was built anew as `number`: it is live from now on, and what the damaged one left goes, its snapshots
    /// too, since they share its files.
    pub fn rebuilt(&self, number: u64) -> Result<(), LayoutError> {
        self.set_current(number)?;
        for snapshot in directories(&self.snapshots())? {
            files::remove_directory(&snapshot)?;
        }
        let mark = self.mark(Part::State);
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("remove", &mark)?,
            _ => files::sync_directory(&self.root)?,
        }
        self.sweep(number)
    }

    /// Number of the live state; none before the first start.
    pub fn current(&self) -> Result<Option<u64>, LayoutError> {
        let path = self.pointer();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("read", &path).map_err(LayoutError::from),
        };
        let number = text.strip_prefix(CURRENT_PREFIX).and_then(|rest| rest.trim_end().parse().ok());
        let Some(number) = number else {
            return Err(LayoutError::Current { path, found: text });
        };
        if !self.state(number).is_dir() {
            return Err(LayoutError::StateMissing { path: self.state(number) });
        }
        Ok(Some(number))
    }

    /// Makes another state the live one.
    pub fn set_current(&self, number: u64) -> Result<(), LayoutError> {
        Ok(files::replace(&self.pointer(), format!("{CURRENT_PREFIX}{number}\n").as_bytes())?)
    }

    /// Removes what a crash left: states that are not live, unfinished snapshots.
    pub fn sweep(&self, live: u64) -> Result<(), LayoutError> {
        for path in directories(&self.root)? {
            let name = name(&path);
            if name.starts_with("state-") && path != self.state(live) {
                files::remove_directory(&path)?;
            }
        }
        for path in directories(&self.snapshots())? {
            if name(&path).starts_with("tmp") {
                files::remove_directory(&path)?;
            }
        }
        Ok(())
    }
}

pub(super) fn directories(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).context("list", path)? {
        let entry = entry.context("list", path)?.path();
        if entry.is_dir() {
            found.push(entry);
        }
    }
    found.sort_unstable();
    Ok(found)
}

pub(super) fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
