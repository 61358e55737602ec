//! Reports that were read and wait to be signed and sent together: from whatever files, as many as a message takes.

use std::path::Path;

use kho_proto::pb::v1::SignedRecord;
use kho_proto::record;
use kho_proto::report::Report;

use super::line;
use crate::exit::Result;

/// Reports that are read and signed before they are sent: as many as a message takes.
pub const REPORTS_MAX: usize = kho_proto::batch::SUBMIT_MANY_RECORDS_MAX;
/// Bytes of them: bounds the memory, since a document may have 16 MiB, and the file that one names 4 MiB.
pub const BYTES_MAX: u64 = 32 << 20;

/// What a document turned out to be.
pub enum Read {
    /// To be signed.
    Report(Report),
    /// Signed before.
    Record(SignedRecord),
}

impl Read {
    /// Reads a document, and the file that it names.
    pub fn of(bytes: Vec<u8>, base: &Path, is_record: bool) -> Result<Self> {
        match is_record {
            true => Ok(Read::Record(record::from_file(bytes)?)),
            false => Ok(Read::Report(line::parse(&bytes, base)?)),
        }
    }

    fn payload_length(&self) -> u64 {
        let payload = match self {
            Read::Report(report) => &report.payload,
            Read::Record(record) => &record.payload,
        };
        payload.len() as u64
    }
}

/// They, and where each of them stands.
#[derive(Default)]
pub struct Gathered {
    reports: Vec<(String, Read)>,
    bytes: u64,
}

impl Gathered {
    /// One more, read from `length` bytes.
    pub fn add(&mut self, place: String, read: Read, length: u64) {
        self.bytes += length.max(read.payload_length());
        self.reports.push((place, read));
    }

    /// Time to send them.
    pub fn is_full(&self) -> bool {
        self.reports.len() >= REPORTS_MAX || self.bytes >= BYTES_MAX
    }

    /// All of them; none is left.
    pub fn take(&mut self) -> Vec<(String, Read)> {
        std::mem::take(self).reports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_counts_also_where_it_is_a_file_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let payload = 4 << 20;
        std::fs::write(dir.path().join("map.tif"), vec![0; payload]).unwrap();
        let document = br#"{"unit":"BYT","regime":"YT-01","period":"2020-06-12","media_type":"image/tiff","payload_file":"map.tif"}"#;
        let mut gathered = Gathered::default();
        let mut reports = 0;
        while !gathered.is_full() {
            let read = Read::of(document.to_vec(), dir.path(), false).unwrap_or_else(|failure| panic!("{failure:?}"));
            gathered.add(String::new(), read, document.len() as u64);
            reports += 1;
        }
        assert_eq!(reports, BYTES_MAX.div_ceil(payload as u64));
        assert_eq!(gathered.take().len() as u64, reports);
        assert!(!gathered.is_full(), "none is left");
    }
}
