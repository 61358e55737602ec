//! What is attached, read piece by piece.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use kho_proto::digest::Digester;
use kho_proto::header::Attachment;
use kho_proto::nfc::nfc;
use kho_proto::object::CHUNK_LENGTH;
use parking_lot::Mutex;

/// A content that can be read at any place, more than once: an upload that was cut off goes on where it stopped.
pub trait Content: Send + Sync + 'static {
    /// Bytes of it.
    fn length(&self) -> io::Result<u64>;
    /// Fills `piece` from `offset` on. Blocks.
    fn read_at(&self, offset: u64, piece: &mut [u8]) -> io::Result<()>;
}

/// A file.
pub struct FileContent(Mutex<File>);

impl FileContent {
    /// Opens it for reading.
    pub fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(|file| Self(Mutex::new(file)))
    }
}

impl Content for FileContent {
    fn length(&self) -> io::Result<u64> {
        let metadata = self.0.lock().metadata()?;
        // a directory or a pipe has no length to speak of
        if metadata.is_file() { Ok(metadata.len()) } else { Err(io::Error::other("expected a file")) }
    }

    fn read_at(&self, offset: u64, piece: &mut [u8]) -> io::Result<()> {
        let mut file = self.0.lock();
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(piece)
    }
}

impl Content for Bytes {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, piece: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|from| self.get(from..)?.get(..piece.len()));
        piece.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// The next piece of a content of `length` bytes.
pub(super) fn piece(content: &dyn Content, length: u64, offset: u64) -> io::Result<Bytes> {
    let left = usize::try_from(length - offset).unwrap_or(usize::MAX);
    let mut piece = vec![0; left.min(CHUNK_LENGTH)];
    content.read_at(offset, &mut piece)?;
    Ok(piece.into())
}

/// Measures a content: how the header of a record names it, in NFC whatever the file system made of the name. Reads all of it.
/// Blocks.
pub fn describe(name: &str, media_type: &str, content: &dyn Content) -> io::Result<Attachment> {
    let (length, mut digester, mut at) = (content.length()?, Digester::default(), 0);
    while at < length {
        let piece = piece(content, length, at)?;
        digester.update(&piece);
        at += piece.len() as u64;
    }
    Ok(Attachment { name: nfc(name), media_type: media_type.to_owned(), length, digest: digester.finish() })
}
