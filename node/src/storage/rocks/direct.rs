//! Whether a directory's file system takes writes that go past the page cache.

use std::io;
use std::path::Path;

use rustix::fs::{self, Mode, OFlags};

/// Made and removed again; RocksDB does not know the name.
const PROBE: &str = "direct-probe";

/// Whether files below `directory` may be written past the page cache: not on every network or overlay file system, and not
/// on older kernels' tmpfs. False where nothing can be made there: whoever opens the database will say why.
pub(super) fn is_possible(directory: &Path) -> bool {
    let path = directory.join(PROBE);
    let made = match std::fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    };
    let probed = made.and_then(|()| open(&path));
    if let Err(error) = &probed {
        tracing::info!(%error, directory = %directory.display(), "files are written through the page cache");
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "not removed");
        }
        _ => {}
    }
    probed.is_ok()
}

fn open(path: &Path) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("new");
        is_possible(&database);
        assert_eq!(std::fs::read_dir(&database).unwrap().count(), 0);
    }

    #[test]
    fn where_nothing_can_be_made_nothing_is_possible() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "a file").unwrap();
        assert!(!is_possible(&file));
        assert_eq!(std::fs::read(&file).unwrap(), b"a file");
    }
}
