//! A snapshot on its way in: resumable, verified file by file.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use kho_proto::digest::Digest;
use kho_proto::pb::peer::v1 as pb;

use super::SnapshotFiles;
use super::files::{self, Context, FileError};
use super::layout::{self, Layout};
use super::manifest::{self, ManifestError};

/// Why a transfer stopped.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The manifest is not acceptable.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The bytes are of another transfer than was offered last.
    #[error("expected bytes of the transfer offered last, found another or none")]
    OtherTransfer,
    /// A chunk for no file of the manifest, or not where the file ends, or past its length.
    #[error("expected the bytes of {name} at {expected}, found a chunk at {found}")]
    Place {
        /// File.
        name: String,
        /// Where it goes on.
        expected: u64,
        /// Where the chunk is for.
        found: u64,
    },
    /// A file is not what the manifest says; it was dropped and is wanted again.
    #[error("expected {name} with {expected}, found {found}")]
    Damaged {
        /// File.
        name: String,
        /// Length and digest promised.
        expected: String,
        /// Length and digest received.
        found: String,
    },
}

/// A transfer.
pub struct Incoming {
    manifest: pb::SnapshotManifest,
    id: Digest,
    home: PathBuf,
    lengths: BTreeMap<String, u64>,
    open: Option<(String, File, u64)>,
}

impl Incoming {
    /// Begins or resumes the transfer of a manifest; what another transfer left goes.
    pub fn begin(layout: &Layout, manifest: pb::SnapshotManifest) -> Result<Self, IncomingError> {
        manifest::check(&manifest)?;
        let id = manifest::transfer_id(&manifest);
        let home = layout.incoming().join(id.to_string());
        for other in layout::directories(&layout.incoming())? {
            if other != home {
                files::remove_directory(&other)?;
            }
        }
        files::create_directory(&home)?;
        let lengths = manifest.files.iter().map(|file| (file.name.clone(), file.length)).collect();
        Ok(Self { manifest, id, home, lengths, open: None })
    }

    /// Name of the transfer.
    pub fn id(&self) -> Digest {
        self.id
    }

    /// What is being received.
    pub fn manifest(&self) -> &pb::SnapshotManifest {
        &self.manifest
    }

    /// Files that are not complete, and from where.
    pub fn wanted(&self) -> Result<Vec<pb::WantedFile>, IncomingError> {
        let mut wanted = Vec::new();
        for file in &self.manifest.files {
            let path = self.home.join(&file.name);
            let there = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            let exists = path.exists();
            if there > file.length {
                fs::remove_file(&path).context("remove", &path)?;
                wanted.push(pb::WantedFile { name: file.name.clone(), offset: 0 });
            } else if there < file.length || !exists {
                wanted.push(pb::WantedFile { name: file.name.clone(), offset: there });
            }
        }
        Ok(wanted)
    }

    /// Takes a chunk; chunks of a file come in order.
    pub fn chunk(&mut self, name: &str, offset: u64, data: &[u8]) -> Result<(), IncomingError> {
        let misplaced = |expected| IncomingError::Place { name: name.to_owned(), expected, found: offset };
        let length = *self.lengths.get(name).ok_or_else(|| misplaced(0))?;
        if self.open.as_ref().is_none_or(|(open, _, _)| open != name) {
            let path = self.home.join(name);
            let mut file = OpenOptions::new().create(true).append(true).open(&path).context("open", &path)?;
            let end = file.seek(SeekFrom::End(0)).context("seek", &path)?;
            self.open = Some((name.to_owned(), file, end));
        }
        let Some((_, file, end)) = self.open.as_mut() else {
            return Err(misplaced(0));
        };
        if offset != *end || *end + data.len() as u64 > length {
            return Err(misplaced(*end));
        }
        file.write_all(data).context("write", &self.home.join(name))?;
        *end += data.len() as u64;
        Ok(())
    }

    /// Verifies all files against the manifest and makes them durable.
    pub fn finish(mut self) -> Result<(SnapshotFiles, pb::SnapshotManifest), IncomingError> {
        self.open = None;
        for file in &self.manifest.files {
            let path = self.home.join(&file.name);
            let (length, digest) = manifest::digest(&path)?;
            if length != file.length || digest.as_ref() != file.digest.as_ref() {
                fs::remove_file(&path).context("remove", &path)?;
                let expected = format!("{} bytes, SHA-256 {}", file.length, hex::encode(&file.digest));
                let found = format!("{length} bytes, SHA-256 {digest}");
                return Err(IncomingError::Damaged { name: file.name.clone(), expected, found });
            }
        }
        files::sync_tree(&self.home)?;
        let files = SnapshotFiles::new(&self.home, &self.home);
        files.retire();
        Ok((files, self.manifest))
    }
}
