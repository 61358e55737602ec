//! What the data directory takes, and what its file system has left.

use std::io;
use std::path::Path;

use crate::disk::Room;

/// Bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Of the files in the data directory.
    pub used: u64,
    /// Of the file system.
    pub total: u64,
    /// Left to this process.
    pub free: u64,
}

/// Walks the directory: not for a hot path.
pub fn disk_use(path: &Path) -> io::Result<DiskUse> {
    let Room { total, free } = Room::of(path)?;
    Ok(DiskUse { used: used(path)?, total, free })
}

/// A file that goes away while it is looked at counts nothing: compaction deletes files all the time.
fn used(path: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let found = match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => used(&entry.path()),
            Ok(metadata) => Ok(metadata.len()),
            Err(error) => Err(error),
        };
        match found {
            Ok(bytes) => sum += bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_files_of_all_levels() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/b"), [0; 1000]).unwrap();
        std::fs::write(dir.path().join("c"), [0; 24]).unwrap();
        let disk = disk_use(dir.path()).unwrap();
        assert_eq!(disk.used, 1024);
        assert!(disk.total >= disk.free && disk.free > 0);
    }
}
