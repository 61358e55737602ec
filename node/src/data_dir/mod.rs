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
const LOGS_DIR: &str = "logs";

/// A data directory that this process holds until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: Identity,
    _lock: File,
}

impl DataDir {
    /// Opens or creates the directory and takes its lock.
    ///
    /// `keyring`: fingerprint of the node's keyring, if it has one. The first that comes is written down; another refuses.
    pub fn open(path: &Path, cluster: ClusterId, node: NodeId, keyring: Option<Digest>) -> Result<DataDir, Error> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = lock(path)?;
        let file = path.join(IDENTITY_FILE);
        let mut identity = match std::fs::read_to_string(&file) {
            Ok(text) => Identity::decode(&text).map_err(|why| Error::Damaged { path: file.clone(), why })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if path.join(LOGS_DIR).exists() {
                    let why = "the directory holds logs but no identity".to_owned();
                    return Err(Error::Damaged { path: file, why });
                }
                let identity = Identity { cluster, node, keyring: None };
                identity.store(path).map_err(failed)?;
                identity
            }
            Err(source) => return Err(Error::Io { path: file, source }),
        };
        if identity.cluster != cluster {
            return Err(Error::OtherCluster { path: path.to_owned(), expected: cluster, found: identity.cluster });
        }
        if identity.node != node {
            return Err(Error::OtherNode { path: path.to_owned(), expected: node, found: identity.node });
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
