//! Where reports come from: documents, lines of NDJSON, standard input, directories of these.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use kho_proto::error::{Code, Refusal};
use kho_proto::report::REPORT_LENGTH_MAX;

use crate::exit::Result;
use crate::lang;

/// Ends of names of NDJSON.
const LINES: [&str; 2] = ["ndjson", "jsonl"];

fn ends_with(path: &Path, ends: &[&str]) -> bool {
    path.extension().and_then(|end| end.to_str()).is_some_and(|end| ends.contains(&end))
}

/// A file that holds many reports, or a place of such.
pub fn holds_many(path: &Path) -> bool {
    path == Path::new("-") || path.is_dir() || ends_with(path, &LINES)
}

/// Files of the arguments in their order; of a directory those of reports, below it too, by name.
pub fn files(arguments: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for argument in arguments {
        if argument.is_dir() {
            walk(argument, &mut files)?;
        } else {
            files.push(argument.clone());
        }
    }
    Ok(files)
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.display()));
    let mut entries = std::fs::read_dir(dir).map_err(at)?.collect::<io::Result<Vec<_>>>().map_err(at)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // a link to a directory above would have no end
        if entry.file_type().map_err(at)?.is_dir() {
            walk(&path, files)?;
        } else if ends_with(&path, &["json"]) || ends_with(&path, &LINES) {
            files.push(path);
        }
    }
    Ok(())
}

/// A document, and where it stands.
pub struct Document {
    /// `FILE`, or `FILE:LINE`.
    pub place: String,
    /// What a `payload_file` is relative to.
    pub base: PathBuf,
    /// The document, or why there is none.
    pub bytes: Result<Vec<u8>>,
    /// Bytes that were read for it.
    pub length: u64,
    /// A signed record, no document.
    pub is_record: bool,
}

/// Documents of one file.
pub enum Source {
    /// The file is one.
    One(PathBuf),
    /// Each line is one.
    Lines { name: String, base: PathBuf, number: u64, first: bool, reader: Box<dyn BufRead> },
    /// There is none any more.
    Done,
}

impl Source {
    /// Opens a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            let (name, base) = ("standard input".to_owned(), PathBuf::from("."));
            return Ok(Source::Lines { name, base, number: 0, first: true, reader: Box::new(io::stdin().lock()) });
        }
        if !ends_with(path, &LINES) {
            return Ok(Source::One(path.to_owned()));
        }
        let (name, base) = (path.display().to_string(), path.parent().unwrap_or(Path::new(".")).to_owned());
        Ok(Source::Lines { name, base, number: 0, first: true, reader: Box::new(BufReader::new(File::open(path)?)) })
    }

    /// The next document; lines without any are passed over.
    pub fn next(&mut self) -> Option<Document> {
        match std::mem::replace(self, Source::Done) {
            Source::Done => None,
            Source::One(path) => {
                let mut bytes = Vec::new();
                let read =
                    File::open(&path).and_then(|file| file.take(REPORT_LENGTH_MAX as u64 + 1).read_to_end(&mut bytes));
                Some(Document {
                    place: path.display().to_string(),
                    base: path.parent().unwrap_or(Path::new(".")).to_owned(),
                    length: bytes.len() as u64,
                    bytes: read.map(|_| bytes).map_err(Into::into),
                    is_record: ends_with(&path, &["record"]),
                })
            }
            Source::Lines { name, base, mut number, first, mut reader } => loop {
                number += 1;
                let (line, length) = read_line(&mut *reader);
                let failed = line.is_err() && length == 0;
                if length == 0 && !failed {
                    return None;
                }
                if line.as_ref().is_ok_and(|line| line.trim_ascii().is_empty()) {
                    continue;
                }
                let place = format!("{name}:{number}");
                if first && line.as_ref().is_ok_and(|line| goes_on(line)) {
                    // nor is any other line a report: one message instead of one for each
                    let refusal = Refusal::new(Code::ReportInvalid, lang::NOT_IN_LINES.get());
                    return Some(Document { place, base, bytes: Err(refusal.into()), length, is_record: false });
                }
                let document = Document { place, base: base.clone(), bytes: line, length, is_record: false };
                if !failed {
                    *self = Source::Lines { name, base, number, first: false, reader };
                }
                return Some(document);
            },
        }
    }
}

/// Whether a line is the beginning of a document that goes on behind it: JSON as people write it.
fn goes_on(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err_and(|error| error.is_eof())
}

/// A line, and how many bytes it has; of one that is longer than a document may be the rest is passed over.
fn read_line(reader: &mut dyn BufRead) -> (Result<Vec<u8>>, u64) {
    let (mut line, mut length) = (Vec::new(), 0);
    loop {
        let piece = match reader.fill_buf() {
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return (Err(error.into()), 0),
        };
        let end = piece.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(piece.len(), |end| end + 1);
        if line.len() <= REPORT_LENGTH_MAX {
            line.extend_from_slice(&piece[..used]);
        }
        let last = end.is_some() || used == 0;
        reader.consume(used);
        length += used as u64;
        if last {
            break;
        }
    }
    if line.len() > REPORT_LENGTH_MAX + 1 {
        let message = format!("report: expected at most {REPORT_LENGTH_MAX} bytes in a line, found {length}");
        return (Err(Refusal::new(Code::ReportInvalid, message).into()), length);
    }
    (Ok(line), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_numbers_and_a_long_one_does_not_sink_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reports.ndjson");
        let long = "x".repeat(REPORT_LENGTH_MAX + 2);
        std::fs::write(&path, format!("{{}}\n\n  \r\n{long}\nlast")).unwrap();
        let mut source = Source::open(&path).unwrap();
        let told: Vec<_> = std::iter::from_fn(|| source.next())
            .map(|document| (document.place.rsplit_once(':').unwrap().1.to_owned(), document.bytes.ok()))
            .collect();
        let line = |number: &str, bytes: Option<&[u8]>| (number.to_owned(), bytes.map(<[u8]>::to_vec));
        assert_eq!(told, [line("1", Some(b"{}\n")), line("4", None), line("5", Some(b"last"))]);
    }

    #[test]
    fn a_document_over_several_lines_is_one_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pretty.ndjson");
        std::fs::write(&path, "\n{\n  \"unit\": \"BYT\"\n}\n").unwrap();
        let mut source = Source::open(&path).unwrap();
        let document = source.next().unwrap();
        let failure = document.bytes.expect_err("no report");
        assert!(document.place.ends_with(":2") && format!("{failure:?}").contains("jq -c"), "{failure:?}");
        assert_eq!(failure.code(), Some(Code::ReportInvalid));
        assert!(source.next().is_none(), "told once");
        // further behind it is a bad line among others
        std::fs::write(&path, "{}\n{\n{}\n").unwrap();
        let mut source = Source::open(&path).unwrap();
        assert_eq!(std::iter::from_fn(|| source.next()).filter(|document| document.bytes.is_ok()).count(), 3);
    }

    #[test]
    fn a_directory_is_its_reports_by_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["c.json", "a.ndjson", "b/x.jsonl", "b/id.record", ".hidden.json", "notes.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let files = files(&[dir.path().to_owned(), "other".into()]).unwrap();
        let names: Vec<_> =
            files.iter().map(|path| path.strip_prefix(dir.path()).unwrap_or(path).to_str().unwrap()).collect();
        assert_eq!(names, ["a.ndjson", "b/x.jsonl", "c.json", "other"]);
    }
}
