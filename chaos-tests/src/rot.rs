//! Bytes of a node's files that change by themselves.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rot {
    /// One bit, so many thousandths into the file.
    Flip(u64),
    /// The last half is gone.
    Cut,
}

/// All files below `dir` whose path below it matches: `*` stands for any part of one name.
pub fn files(dir: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let mut found = vec![dir.to_owned()];
    for part in pattern.split('/') {
        let mut next = Vec::new();
        for place in found {
            for entry in fs::read_dir(&place).with_context(|| place.display().to_string())? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if matches(name, part) && (path.is_dir() || pattern.ends_with(part)) {
                    next.push(path);
                }
            }
        }
        found = next;
    }
    found.retain(|path| path.is_file() && fs::metadata(path).is_ok_and(|file| file.len() > 0));
    found.sort();
    Ok(found)
}

fn matches(name: &str, part: &str) -> bool {
    match part.split_once('*') {
        Some((before, after)) => {
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        }
        None => name == part,
    }
}

/// Damages the largest of the files that match; which one that was.
pub fn damage(dir: &Path, pattern: &str, rot: Rot) -> Result<PathBuf> {
    let found = files(dir, pattern)?;
    let length = |path: &PathBuf| fs::metadata(path).map_or(0, |file| file.len());
    let path = found.iter().max_by_key(|path| length(path)).with_context(|| format!("no {pattern} to damage"))?;
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = length(path);
    match rot {
        Rot::Cut => file.set_len(length / 2)?,
        Rot::Flip(thousandths) => {
            let place = (length - 1) * thousandths / 1000;
            let mut byte = [0];
            file.read_exact_at(&mut byte, place)?;
            file.write_all_at(&[byte[0] ^ 0x10], place)?;
        }
    }
    file.sync_all()?;
    ensure!(length > 0, "{}: empty", path.display());
    Ok(path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_file_that_matches_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("logs/1/raft")).unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join("logs/1/raft").join(name), bytes).unwrap();
        write("000001.sst", b"small");
        write("000002.sst", b"larger file");
        write("000003.log", b"the largest of all");
        let path = damage(dir.path(), "logs/*/raft/*.sst", Rot::Flip(0)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"|arger file");
        damage(dir.path(), "logs/1/raft/*.sst", Rot::Cut).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"|arge");
        assert!(damage(dir.path(), "logs/1/raft/MANIFEST-*", Rot::Cut).is_err());
    }
}
