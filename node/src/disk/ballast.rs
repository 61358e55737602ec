//! A file that only takes room. RocksDB writes before it reads: it can't open on a disk without any.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

const FILE: &str = "ballast";
/// Where a file system can't reserve, it is written in pieces of this size.
const PIECE: usize = 1 << 20;

/// The file, and its length in bytes if there is room.
pub struct Ballast {
    path: PathBuf,
    length: u64,
}

impl Ballast {
    /// Of a data directory.
    pub fn of(data_dir: &Path, length: u64) -> Self {
        Self { path: data_dir.join(FILE), length }
    }

    fn there(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// Lays it if it fits into `spare` bytes, and takes away what is there of another length. The bytes that are there now.
    pub fn keep(&self, spare: u64) -> u64 {
        let there = self.there();
        if there == self.length {
            return there;
        }
        if there > 0 {
            self.remove();
        }
        if self.length == 0 || spare + there < self.length {
            return self.there();
        }
        if let Err(error) = self.lay() {
            tracing::warn!(%error, path = %self.path.display(), "no ballast was laid");
            self.remove();
        }
        self.there()
    }

    fn lay(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&self.path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, self.length) {
            Ok(()) => {}
            Err(rustix::io::Errno::OPNOTSUPP) => self.write(&mut file)?,
            Err(error) => return Err(error.into()),
        }
        file.sync_all()
    }

    fn write(&self, file: &mut File) -> io::Result<()> {
        let piece = vec![0; PIECE];
        let mut left = self.length;
        while left > 0 {
            let now = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            file.write_all(&piece[..now])?;
            left -= now as u64;
        }
        Ok(())
    }

    /// Gives it up: the disk has too little room to open the databases.
    pub fn give_up(&self, free: u64) {
        match self.there() {
            0 => tracing::error!(free, "the disk is all but full, and there is no ballast to give up"),
            ballast => {
                tracing::error!(
                    free,
                    ballast,
                    "the disk is all but full: the ballast is given up so that the node can open"
                );
                self.remove();
            }
        }
    }

    fn remove(&self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.path.display(), "the ballast was not removed");
        }
    }
}
