//! The file keyring: one file, the same on every keyed node of a cluster, made by `kho keys init`.
//!
//! Whoever holds it can open every record: it is refused unless only its owner may read it.

mod format;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use bytes::Bytes;
use kho_proto::checkpoint::LogKey;
use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, Epoch};
use kho_proto::sealed::{self, DataKey, KeyEncryptionKey, WrapContext};
use kho_proto::tokens::TokenKey;
use zeroize::Zeroizing;

use super::{Error, KeyProvider};
use crate::seams::Entropy;
use format::Content;

/// Bytes of a keyring file, at most.
const LENGTH_MAX: u64 = 1 << 20;

/// A loaded keyring.
pub struct Keyring {
    fingerprint: Digest,
    wrapped_by: Digest,
    content: Content,
}

/// Makes a new keyring with fresh keys, mode 0600. Never overwrites.
pub fn create(path: &Path, cluster_id: ClusterId, entropy: &dyn Entropy) -> Result<Keyring, Error> {
    let content = Content::generate(cluster_id, entropy);
    let text = content.encode();
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let mut options = OpenOptions::new();
    let opened = options.create_new(true).write(true).mode(0o600).open(path);
    let mut file = opened.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
        _ => failed(error),
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed)?;
    Ok(Keyring::of(content))
}

/// Reads a keyring of `cluster_id`.
pub fn load(path: &Path, cluster_id: ClusterId) -> Result<Keyring, Error> {
    let keyring = load_any(path)?;
    let found = keyring.content.cluster_id;
    if found != cluster_id {
        return Err(Error::OtherCluster { path: path.to_owned(), expected: cluster_id, found });
    }
    Ok(keyring)
}

/// Reads a keyring of whatever cluster; for tools that show its public parts.
pub fn load_any(path: &Path) -> Result<Keyring, Error> {
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Of the open file, so that it can't be swapped between check and read.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::Permissions { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LENGTH_MAX).read_to_end(&mut bytes).map_err(failed)?;
    let corrupt = |why| Error::Corrupt { path: path.to_owned(), why };
    let text = std::str::from_utf8(&bytes).map_err(|_| corrupt("expected text, found other bytes".to_owned()))?;
    Ok(Keyring::of(Content::decode(text).map_err(corrupt)?))
}

impl Keyring {
    fn of(content: Content) -> Self {
        Self { fingerprint: content.fingerprint(), wrapped_by: content.wrapping.fingerprint(), content }
    }

    /// The cluster it belongs to.
    pub fn cluster_id(&self) -> ClusterId {
        self.content.cluster_id
    }

    fn wrapping(&self, by: Digest) -> Result<&KeyEncryptionKey, Error> {
        if by == self.wrapped_by {
            return Ok(&self.content.wrapping);
        }
        Err(Error::Mismatch { what: "key-encryption key", expected: by, found: self.wrapped_by })
    }
}

impl KeyProvider for Keyring {
    fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    fn wrapped_by(&self) -> Digest {
        self.wrapped_by
    }

    fn wrap(&self, context: &WrapContext, nonce: [u8; 12], key: &DataKey) -> Result<Bytes, Error> {
        Ok(sealed::wrap_key(context, &self.content.wrapping, nonce, key))
    }

    fn unwrap(&self, context: &WrapContext, wrapped_by: Digest, wrapped: &[u8]) -> Result<DataKey, Error> {
        sealed::unwrap_key(context, self.wrapping(wrapped_by)?, wrapped).map_err(Error::Unwrap)
    }

    fn token_key(&self) -> &TokenKey {
        &self.content.token
    }

    fn log_key(&self, epoch: Epoch) -> Result<&LogKey, Error> {
        self.content.log.iter().find(|(of, _)| *of == epoch).map(|(_, key)| key).ok_or(Error::NoLogKey { epoch })
    }
}
