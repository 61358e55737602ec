//! Finds texts in files in whatever dress: raw, hex, base64.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

/// A text of fewer bytes would be found by chance, or too short in base64 to be told from noise.
pub const TEXT_BYTES_MIN: usize = 12;
/// Read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// One form of one text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needle {
    /// What the text is.
    pub what: String,
    /// `raw`, `hex`...
    pub form: &'static str,
    bytes: Vec<u8>,
}

/// Where one was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// What the text is.
    pub what: String,
    /// In which form.
    pub form: &'static str,
}

/// All forms of a text: raw, hex in both cases, and base64 in both alphabets wherever it may stand in the encoded bytes.
pub fn forms(what: &str, text: &[u8]) -> Vec<Needle> {
    assert!(text.len() >= TEXT_BYTES_MIN, "{what} is too short to search for");
    let needle = |form, bytes: Vec<u8>| Needle { what: what.to_owned(), form, bytes };
    let mut all = vec![
        needle("raw", text.to_vec()),
        needle("hex", hex::encode(text).into_bytes()),
        needle("hex in capitals", hex::encode_upper(text).into_bytes()),
    ];
    for alignment in 0..3 {
        // characters that the bytes in front or behind have a part in are cut off
        let padded = [vec![0; alignment], text.to_vec()].concat();
        let (start, end) = ([0, 2, 3][alignment], padded.len() / 3 * 4);
        for (form, engine) in [("base64", &BASE64_STANDARD_NO_PAD), ("base64url", &BASE64_URL_SAFE_NO_PAD)] {
            all.push(needle(form, engine.encode(&padded).as_bytes()[start..end].to_vec()));
        }
    }
    all.sort_by(|a, b| a.bytes.cmp(&b.bytes));
    all.dedup_by(|a, b| a.bytes == b.bytes);
    all
}

/// Looks for all `needles` in `file`.
fn search_file(path: &Path, mut file: impl Read, needles: &[Needle], found: &mut BTreeSet<Found>) -> io::Result<()> {
    let longest = needles.iter().map(|needle| needle.bytes.len()).max().unwrap_or(0);
    // most places of a file start none of the needles: two looks at a bitmap tell
    let mut starts = vec![false; 1 << 16];
    for needle in needles {
        starts[usize::from(u16::from_le_bytes([needle.bytes[0], needle.bytes[1]]))] = true;
    }
    let mut window: Vec<u8> = Vec::with_capacity(CHUNK_BYTES + longest);
    loop {
        // what was read before stays as far as a needle may reach across
        let read = file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut window)?;
        for place in 0..window.len().saturating_sub(1) {
            if starts[usize::from(u16::from_le_bytes([window[place], window[place + 1]]))] {
                for needle in needles.iter().filter(|needle| window[place..].starts_with(&needle.bytes)) {
                    found.insert(Found { path: path.to_owned(), what: needle.what.clone(), form: needle.form });
                }
            }
        }
        if read == 0 {
            return Ok(());
        }
        window.drain(..window.len().saturating_sub(longest));
    }
}

/// Looks for `needles` in every file below `top`, and in the names of files; says how many bytes it has read.
pub fn search(top: &Path, needles: &[Needle]) -> io::Result<(u64, BTreeSet<Found>)> {
    let (mut bytes, mut found) = (0, BTreeSet::new());
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            search_file(&path, path.as_os_str().as_encoded_bytes(), needles, &mut found)?;
            let kind = fs::symlink_metadata(&path)?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                bytes += kind.len();
                search_file(&path, File::open(&path)?, needles, &mut found)?;
            }
        }
    }
    Ok((bytes, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = "dấu-vết-0123456789>>>???".as_bytes();

    /// The forms in which `TEXT` is found in a file of `content`.
    fn found_in(content: &[u8]) -> Vec<&'static str> {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("deep")).expect("a folder");
        fs::write(folder.path().join("deep/file"), content).expect("a file");
        let (bytes, found) = search(folder.path(), &forms("the text", TEXT)).expect("searched");
        assert_eq!(bytes, content.len() as u64);
        found.into_iter().map(|found| found.form).collect()
    }

    #[test]
    fn every_form_is_found_wherever_it_stands() {
        for noise in 0..7 {
            let around = |text: &[u8]| [vec![b'#'; noise], text.to_vec(), vec![0xff; 5]].concat();
            assert_eq!(found_in(&around(TEXT)), ["raw"]);
            assert_eq!(found_in(hex::encode(around(TEXT)).as_bytes()), ["hex"]);
            assert_eq!(found_in(hex::encode_upper(around(TEXT)).as_bytes()), ["hex in capitals"]);
            assert_eq!(found_in(BASE64_STANDARD_NO_PAD.encode(around(TEXT)).as_bytes()), ["base64"]);
            assert_eq!(found_in(BASE64_URL_SAFE_NO_PAD.encode(around(TEXT)).as_bytes()), ["base64url"]);
        }
        assert_eq!(found_in(&vec![b'#'; 3 * CHUNK_BYTES]), Vec::<&str>::new());
    }

    #[test]
    fn a_text_across_two_reads_is_found() {
        for cut in [1, 7, TEXT.len() - 1] {
            let content = [vec![0; CHUNK_BYTES - cut], TEXT.to_vec(), vec![0; 100]].concat();
            assert_eq!(found_in(&content), ["raw"]);
        }
    }

    #[test]
    fn names_of_files_are_searched() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(hex::encode(TEXT)), b"").expect("a file");
        let (_, found) = search(folder.path(), &forms("the text", TEXT)).expect("searched");
        assert_eq!(found.len(), 1);
    }
}
