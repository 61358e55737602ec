//! The data directory: held by one process, of one cluster and one node, sealed with one keyring.

mod error;
mod identity;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, NodeId};

pub use error::Error;
pub use identity::Identity;

const IDENTITY_FILE: &str = "identity";
const LOCK_FILE: &str = "lock";
/// What a new ext4 holds.
const LOST_AND_FOUND: &str = "lost+found";
const LOGS_DIR: &str = "logs";

/// A data directory that this process holds until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: Identity,
    _lock: File,
}

impl DataDir {
    /// Makes the directory of a new node. Only on request: a node whose disk is not mounted, or gone, must not begin again
    /// under its old id, having forgotten how it voted and what it confirmed.
    pub fn create(path: &Path, cluster: ClusterId, node: NodeId) -> Result<(), Error> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let found = entry.map_err(failed)?.file_name();
            if found != LOST_AND_FOUND {
                return Err(Error::NotEmpty { path: path.to_owned(), found });
            }
        }
        Identity { cluster, node, started: false, keyring: None }.store(path).map_err(failed)
    }

    /// Opens the directory and takes its lock.
    ///
    /// `keyring`: fingerprint of the node's keyring, if it has one. The first that comes is written down; another refuses.
    pub fn open(path: &Path, cluster: ClusterId, node: NodeId, keyring: Option<Digest>) -> Result<DataDir, Error> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        let (file, logs) = (path.join(IDENTITY_FILE), path.join(LOGS_DIR));
        if !file.exists() && !logs.exists() {
            return Err(Error::Missing { path: path.to_owned() });
        }
        let lock = lock(path)?;
        let mut identity = match std::fs::read_to_string(&file) {
            Ok(text) => Identity::decode(&text).map_err(|why| Error::Damaged { path: file.clone(), why })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let why = "the directory holds logs but no identity".to_owned();
                return Err(Error::Damaged { path: file, why });
            }
            Err(source) => return Err(Error::Io { path: file, source }),
        };
        if identity.cluster != cluster {
            return Err(Error::OtherCluster { path: path.to_owned(), expected: cluster, found: identity.cluster });
        }
        if identity.node != node {
            return Err(Error::OtherNode { path: path.to_owned(), expected: node, found: identity.node });
        }
        if identity.started && !logs.exists() {
            return Err(Error::Damaged { path: logs, why: "expected the logs of a node that ran before".to_owned() });
        }
        match (identity.keyring, keyring) {
            (Some(first), Some(now)) if first != now => {
                return Err(Error::OtherKeyring { path: path.to_owned(), expected: first, found: now });
            }
            (None, Some(now)) => {
                identity.keyring = Some(now);
                identity.store(path).map_err(failed)?;
            }
            _ => {}
        }
        Ok(DataDir { path: path.to_owned(), identity, _lock: lock })
    }

    /// Writes down that the node takes part: call it when its log stands.
    pub fn mark_started(&mut self) -> Result<(), Error> {
        if self.identity.started {
            return Ok(());
        }
        self.identity.started = true;
        self.identity.store(&self.path).map_err(|source| Error::Io { path: self.path.clone(), source })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of itself.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

fn lock(path: &Path) -> Result<File, Error> {
    let file = path.join(LOCK_FILE);
    let failed = |source| Error::Io { path: file.clone(), source };
    let mut options = OpenOptions::new();
    let lock = options.create(true).truncate(false).write(true).mode(0o600).open(&file).map_err(failed)?;
    match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Locked { path: path.to_owned() }),
        Err(error) => Err(failed(error.into())),
    }
}

impl Identity {
    /// Replaces the file so that a crash leaves the old one or the new one: temporary file, fsync, rename, fsync of the
    /// directory.
    fn store(&self, dir: &Path) -> std::io::Result<()> {
        let temporary = dir.join("identity.new");
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(self.encode().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, dir.join(IDENTITY_FILE))?;
        File::open(dir)?.sync_all()
    }
}
