//! Files as the tools write them: whole or not at all, private where they hold a key or what a report says.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// Writes a file that others may read.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, 0o644)
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, 0o600)
}

/// A reader sees the old file or the new one, never half of it; when this returns, a power cut does not take it back.
fn put(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let dir = directory(path);
    make_directory(dir, 0o777)?;
    // a new file under a name that nobody can guess, and gone unless it becomes `path`
    let mut file =
        tempfile::Builder::new().prefix(".kho-").permissions(Permissions::from_mode(mode)).tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // the name is the directory's content
    File::open(dir)?.sync_all()
}

/// Where a file lies.
pub fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a directory, and those above it; when this returns, a power cut takes none of them back.
pub fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = directory(path);
    make_directory(parent, mode)?;
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_and_has_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/file");
        for (put, mode) in [(write as fn(&Path, &[u8]) -> _, 0o644), (write_private, 0o600)] {
            put(&path, b"content").unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
        assert_eq!(names(&dir.path().join("below")), ["file"]);
    }

    #[test]
    fn a_bare_name_lies_in_the_working_directory() {
        assert_eq!(directory(Path::new("file")), Path::new("."));
        assert_eq!(directory(Path::new("below/file")), Path::new("below"));
    }

    #[test]
    fn directories_are_made_with_those_above_them() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("a/b");
        for _ in 0..2 {
            make_directory(&below, 0o700).unwrap();
        }
        for made in [below.as_path(), dir.path().join("a").as_path()] {
            assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
        fs::write(below.join("file"), "").unwrap();
        assert!(make_directory(&below.join("file/c"), 0o700).is_err());
        assert!(make_directory(&below.join("file"), 0o700).is_err());
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("taken")).unwrap();
        assert!(write(&dir.path().join("taken"), b"content").is_err());
        assert_eq!(names(dir.path()), ["taken"]);
    }

    #[test]
    fn nobody_chooses_where_a_key_goes() {
        let dir = tempfile::tempdir().unwrap();
        let planted = dir.path().join(format!("key.{}.tmp", std::process::id()));
        let elsewhere = dir.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, planted).unwrap();
        write_private(&dir.path().join("key"), b"key").unwrap();
        assert!(!elsewhere.exists());
    }
}
