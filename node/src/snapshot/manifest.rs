//! The files of a snapshot with their SHA-256, as they are offered to another node.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use aws_lc_rs::digest::{Context as Hasher, SHA256};
use kho_proto::digest::Digest;
use kho_proto::pb::peer::v1 as pb;
use prost::Message;

use super::SnapshotFiles;
use super::files::{self, Context, FileError};

/// Version of a manifest.
pub const VERSION: u32 = 1;
/// Files of a snapshot, at most: 2^20 table files of 64 MiB are 64 TiB.
pub const FILES_MAX: usize = 1 << 20;
/// Bytes of a file name, at most.
const NAME_BYTES_MAX: usize = 64;
/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// A manifest that is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Of another version.
    #[error("expected a snapshot manifest of version {VERSION}, found {0}")]
    Version(u32),
    /// Too many files, or none.
    #[error("expected 1 to {FILES_MAX} files in a snapshot, found {0}")]
    Files(usize),
    /// A name that could lead out of the directory, or appears twice.
    #[error("expected a plain file name, once, found {0:?}")]
    Name(String),
    /// A digest of another length.
    #[error("expected a digest of 32 bytes for {name}, found {found}")]
    Digest {
        /// File.
        name: String,
        /// Bytes there.
        found: usize,
    },
    /// It does not say where in the log it stands.
    #[error("expected the log position of the snapshot, found none")]
    Position,
}

/// The manifest of a snapshot; digests are computed once and kept beside it.
pub fn make(snapshot: &SnapshotFiles, meta: pb::SnapshotMeta) -> Result<pb::SnapshotManifest, FileError> {
    let kept = snapshot.manifest_path();
    if let Ok(bytes) = fs::read(&kept)
        && let Ok(manifest) = pb::SnapshotManifest::decode(bytes.as_slice())
        && manifest.meta.as_ref() == Some(&meta)
        && check(&manifest).is_ok()
    {
        return Ok(manifest);
    }
    let mut listed = Vec::new();
    for name in files::names(snapshot.path())? {
        let path = snapshot.path().join(&name);
        // The lock file is empty and of no use elsewhere.
        if name != "LOCK" {
            let (length, digest) = digest(&path)?;
            listed.push(pb::SnapshotFile { name, length, digest: digest.0.to_vec().into() });
        }
    }
    let manifest = pb::SnapshotManifest { version: VERSION, meta: Some(meta), files: listed };
    files::replace(&kept, &manifest.encode_to_vec())?;
    Ok(manifest)
}

/// Checks a manifest from outside.
pub fn check(manifest: &pb::SnapshotManifest) -> Result<(), ManifestError> {
    if manifest.version != VERSION {
        return Err(ManifestError::Version(manifest.version));
    }
    if manifest.files.is_empty() || manifest.files.len() > FILES_MAX {
        return Err(ManifestError::Files(manifest.files.len()));
    }
    if manifest.meta.as_ref().and_then(|meta| meta.last_log_id).is_none() {
        return Err(ManifestError::Position);
    }
    let mut seen = BTreeMap::new();
    for file in &manifest.files {
        let plain = !file.name.is_empty()
            && file.name.len() <= NAME_BYTES_MAX
            && !file.name.starts_with('.')
            && file.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !plain || seen.insert(&file.name, ()).is_some() {
            return Err(ManifestError::Name(file.name.clone()));
        }
        if file.digest.len() != 32 {
            return Err(ManifestError::Digest { name: file.name.clone(), found: file.digest.len() });
        }
    }
    Ok(())
}

/// Name of a transfer: the same manifest resumes, another begins anew.
pub fn transfer_id(manifest: &pb::SnapshotManifest) -> Digest {
    Digest::of(&manifest.encode_to_vec())
}

/// Length and SHA-256 of a file.
pub fn digest(path: &Path) -> Result<(u64, Digest), FileError> {
    let mut file = File::open(path).context("open", path)?;
    let mut hasher = Hasher::new(&SHA256);
    let mut buffer = vec![0; READ_BYTES];
    let mut length = 0;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("read", path),
        };
        hasher.update(&buffer[..read]);
        length += read as u64;
    }
    let digest = Digest::try_from(hasher.finish().as_ref()).expect("SHA-256 has 32 bytes");
    Ok((length, digest))
}
