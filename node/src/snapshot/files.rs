//! Directories of files that survive a crash.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::mutants::Mutant;

/// A file operation that failed, and where.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}", path.display())]
pub struct FileError {
    /// What was tried.
    pub operation: &'static str,
    /// On what.
    pub path: PathBuf,
    /// How it failed.
    pub source: io::Error,
}

/// Says what was tried, and where.
pub trait Context<T> {
    /// Adds it to an error.
    fn context(self, operation: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, operation: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError { operation, path: path.to_owned(), source })
    }
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        io::Error::new(error.source.kind(), error)
    }
}

/// Makes the entries of a directory durable.
pub fn sync_directory(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|directory| directory.sync_all()).context("sync directory", path)
}

/// Makes a directory with its parents; durable in its parent.
pub fn create_directory(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).context("create directory", path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Replaces a file: readers see the old content or the new, also after a crash.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, content).context("write", &temporary)?;
    if Mutant::UnsyncedRename.planted() {
        return fs::rename(&temporary, path).context("rename to", path);
    }
    File::open(&temporary).and_then(|file| file.sync_all()).context("sync", &temporary)?;
    fs::rename(&temporary, path).context("rename to", path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Removes a directory with all it holds, if it is there.
pub fn remove_directory(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("remove directory", path),
        _ => Ok(()),
    }
}

/// Names of the plain files in a directory, in order.
pub fn names(path: &Path) -> Result<Vec<String>, FileError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).context("list", path)? {
        let entry = entry.context("list", path)?;
        if entry.file_type().context("look at", &entry.path())?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Makes every file of a directory durable, and the directory.
pub fn sync_tree(path: &Path) -> Result<(), FileError> {
    for name in names(path)? {
        let file = path.join(name);
        File::open(&file).and_then(|file| file.sync_all()).context("sync", &file)?;
    }
    sync_directory(path)
}

/// Makes a durable copy of a directory. Table files never change, so they are shared; all else is copied.
pub fn link_tree(from: &Path, to: &Path) -> Result<(), FileError> {
    create_directory(to)?;
    for name in names(from)? {
        let (source, target) = (from.join(&name), to.join(&name));
        let shared = [".sst", ".blob"].iter().any(|end| name.ends_with(end)) && fs::hard_link(&source, &target).is_ok();
        if !shared {
            fs::copy(&source, &target).context("copy to", &target)?;
        }
    }
    sync_tree(to)
}
