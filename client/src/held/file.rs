//! What is remembered over a restart: the newest checkpoint, the proven one, those that wait for a proof, and a breach, of each
//! log.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kho_proto::checkpoint::{Origin, VerifierKey};
use kho_proto::error::Code;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Breach, Evidence, Log, Note, Said, UNPROVEN_MAX};

/// Version of the file's layout.
const VERSION: u64 = 1;

/// Why a memory can't be used. It is not begun anew: that would forget what the log is held to.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// It can't be read or written.
    #[error("memory of logs {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Another client has it.
    #[error("memory of logs {}: expected a file of this client alone, found another client that has it open", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// It is no memory of logs, or was tampered with.
    #[error("memory of logs {}: {field}: expected {expected}, found {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        field: &'static str,
        /// What should stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
}

impl MemoryError {
    /// `config-invalid`.
    pub fn code(&self) -> Code {
        Code::ConfigInvalid
    }
}

/// The file, as long as a client has it.
pub(super) struct Store {
    path: PathBuf,
    /// Of logs whose keys are not pinned any more, or not yet: they stay.
    others: Vec<Value>,
    /// What stands in the file. One writer at a time.
    last: Mutex<Option<Vec<Value>>>,
    /// Locked while it is open.
    _lock: File,
}

impl Store {
    /// Takes the file for this client alone and reads it.
    pub fn open(path: &Path, keys: &[VerifierKey]) -> Result<(Self, BTreeMap<Origin, Log>), MemoryError> {
        let failed = |source| MemoryError::File { path: path.to_owned(), source };
        create(directory(path)).map_err(failed)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let lock = File::options().create(true).append(true).open(&beside).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(MemoryError::Taken { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let text = match fs::read(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let wrong = |field, expected, found: String| MemoryError::Malformed {
            path: path.to_owned(),
            field,
            expected,
            found: found.chars().take(80).collect(),
        };
        let (mut logs, mut others) = (BTreeMap::new(), Vec::new());
        let Some(text) = text else {
            return Ok((Self { path: path.to_owned(), others, last: Mutex::default(), _lock: lock }, logs));
        };
        let document: Value =
            serde_json::from_slice(&text).map_err(|error| wrong("file", "JSON", error.to_string()))?;
        if document["version"].as_u64() != Some(VERSION) {
            return Err(wrong("version", "1", document["version"].to_string()));
        }
        let entries = document["logs"].as_array();
        for entry in entries.ok_or_else(|| wrong("logs", "a list", document["logs"].to_string()))? {
            let origin = entry["origin"].as_str().unwrap_or_default();
            if !keys.iter().any(|key| key.origin().as_str() == origin) {
                others.push(entry.clone());
                continue;
            }
            let log = log(entry, keys).map_err(|(field, expected, found)| wrong(field, expected, found))?;
            logs.insert(log.newest.checkpoint.origin.clone(), log);
        }
        Ok((Self { path: path.to_owned(), others, last: Mutex::default(), _lock: lock }, logs))
    }

    /// Writes what `document` says, unless it stands there.
    pub fn save(&self, document: impl FnOnce() -> Vec<Value>) -> Result<(), MemoryError> {
        let mut last = self.last.lock();
        let logs = document();
        if last.as_ref() == Some(&logs) || (last.is_none() && logs.is_empty()) {
            return Ok(());
        }
        let all: Vec<_> = self.others.iter().chain(&logs).collect();
        let text = format!("{:#}\n", json!({ "version": VERSION, "logs": all }));
        let failed = |source| MemoryError::File { path: self.path.clone(), source };
        write(&self.path, text.as_bytes()).map_err(failed)?;
        *last = Some(logs);
        Ok(())
    }
}

/// Each log as it stands in the file.
pub(super) fn document(logs: &BTreeMap<Origin, Log>) -> Vec<Value> {
    let breach = |breach: &Breach| {
        let path = match &breach.evidence {
            Evidence::Written(path) => Some(path.display().to_string()),
            Evidence::NotAsked | Evidence::Failed(_) => None,
        };
        json!({ "code": breach.code.as_str(), "message": breach.message, "document": breach.document, "evidence": path })
    };
    let of = |(origin, log): (&Origin, &Log)| {
        json!({
            "origin": origin.as_str(), "newest": log.newest.text(), "proven": log.proven.as_ref().map(Note::text),
            "unproven": log.unproven.values().map(Note::text).collect::<Vec<_>>(), "breach": log.breach.as_ref().map(breach),
        })
    };
    logs.iter().map(of).collect()
}

type Wrong = (&'static str, &'static str, String);

fn log(entry: &Value, keys: &[VerifierKey]) -> Result<Log, Wrong> {
    let open = |field: &'static str, text: &Value| {
        let text = text.as_str().unwrap_or_default().to_owned();
        let opened = Note::open(keys, &Bytes::from(text));
        opened.map_err(|error| (field, "a checkpoint that a pinned key signed", error.to_string()))
    };
    let note = |field: &'static str| open(field, &entry[field]);
    let (newest, key) = note("newest")?;
    let proven = if entry["proven"].is_null() { None } else { Some(note("proven")?.0) };
    // none where an older version wrote the file
    let waiting = entry["unproven"].as_array().map(Vec::as_slice).unwrap_or_default();
    let waiting = waiting.iter().map(|text| Ok(open("unproven", text)?.0)).collect::<Result<Vec<_>, Wrong>>()?;
    let other = |note: &Note| note.checkpoint.origin.as_str() != entry["origin"].as_str().unwrap_or_default();
    if let Some(note) = [Some(&newest), proven.as_ref()].into_iter().flatten().chain(&waiting).find(|note| other(note))
    {
        return Err(("origin", "that of its checkpoints", note.checkpoint.origin.to_string()));
    }
    let (key, origin) = (key.clone(), newest.checkpoint.origin.clone());
    let breach = match &entry["breach"] {
        Value::Null => None,
        breach => {
            let text = |name: &str| breach[name].as_str().map(str::to_owned);
            let code = text("code").and_then(|code| Code::parse(&code));
            Some(Breach {
                code: code.ok_or(("breach", "a code", breach["code"].to_string()))?,
                origin,
                message: text("message").unwrap_or_default(),
                document: text("document").unwrap_or_default(),
                evidence: text("evidence").map_or(Evidence::NotAsked, |path| Evidence::Written(path.into())),
                said: Said::Before,
            })
        }
    };
    let proven_size = proven.as_ref().map(|proven| proven.checkpoint.size);
    let unproven = waiting.into_iter().chain([newest.clone()]).map(|note| (note.checkpoint.size, note));
    let mut unproven: BTreeMap<_, _> = unproven.filter(|(size, _)| Some(*size) != proven_size).collect();
    while unproven.len() > UNPROVEN_MAX {
        unproven.pop_first();
    }
    Ok(Log { key, newest, proven, unproven, breach })
}

/// A reader sees the old file or the new one, never half of it; when this returns, a power cut does not take it back.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = directory(path);
    create(directory)?;
    let mut file = tempfile::Builder::new().prefix(".kho-").tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // the name is the directory's content
    File::open(directory)?.sync_all()
}

/// With all above it; a power cut does not take them back.
fn create(dir: &Path) -> io::Result<()> {
    let named = dir.ancestors().filter(|dir| !dir.as_os_str().is_empty());
    let missing: Vec<_> = named.take_while(|dir| !dir.exists()).collect();
    fs::create_dir_all(dir)?;
    missing.into_iter().try_for_each(|new| File::open(directory(new))?.sync_all())
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
