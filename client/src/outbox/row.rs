//! What the tables hold, as protobuf with a version. `docs/outbox.md` has the tables.

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::header::Header;
use kho_proto::id::{RecordId, UnixMs};
use kho_proto::pb::v1::SignedRecord;
use kho_proto::record;
use prost::Message;

use super::OutboxError;

/// Version of the rows. Another one is not read: an older program must not take a newer outbox for its own.
pub(super) const VERSION: u32 = 1;

/// Bytes of a record's origin, at most: what is longer is cut, a name is only for people.
pub(super) const ORIGIN_LENGTH_MAX: usize = 512;

/// What a record is about, and where it came from: for lists. Rows of before this was written down have none.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct About {
    #[prost(string, tag = "1")]
    pub unit: String,
    #[prost(string, tag = "2")]
    pub regime: String,
    #[prost(string, tag = "3")]
    pub period: String,
    /// The subject.
    #[prost(string, tag = "4")]
    pub series: String,
    /// The file, or what else whoever added it calls it; empty: nothing was said.
    #[prost(string, tag = "5")]
    pub origin: String,
}

/// A record that waits, or was refused; its bytes stand in a table of their own.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Waiting {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub record_id: Bytes,
    /// SHA-256 of the header.
    #[prost(bytes = "bytes", tag = "3")]
    pub header_digest: Bytes,
    /// SHA-256 of unit, regime, period, subject.
    #[prost(bytes = "bytes", tag = "4")]
    pub series: Bytes,
    /// Empty: it supersedes nothing.
    #[prost(bytes = "bytes", tag = "5")]
    pub supersedes: Bytes,
    /// Of the record.
    #[prost(uint64, tag = "6")]
    pub length: u64,
    #[prost(uint64, tag = "7")]
    pub added_ms: u64,
    /// Since when it may have been taken; 0: it certainly was not.
    #[prost(uint64, tag = "8")]
    pub doubt_ms: u64,
    /// Rounds that it was sent in.
    #[prost(uint32, tag = "9")]
    pub rounds: u32,
    /// Why it still waits, or was refused; empty: it was never sent.
    #[prost(string, tag = "10")]
    pub code: String,
    #[prost(string, tag = "11")]
    pub sentence: String,
    /// When that was.
    #[prost(uint64, tag = "12")]
    pub told_ms: u64,
    #[prost(message, optional, tag = "13")]
    pub about: Option<About>,
}

/// A record that is in, with its receipt.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Delivered {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub record_id: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub header_digest: Bytes,
    /// Of the record.
    #[prost(uint64, tag = "4")]
    pub length: u64,
    #[prost(uint64, tag = "5")]
    pub added_ms: u64,
    #[prost(uint64, tag = "6")]
    pub delivered_ms: u64,
    /// Index of its leaf.
    #[prost(uint64, tag = "7")]
    pub sequence: u64,
    /// As `ID.tlog-proof`.
    #[prost(string, tag = "8")]
    pub receipt: String,
    #[prost(message, optional, tag = "9")]
    pub about: Option<About>,
}

impl Delivered {
    /// What it takes of the room for delivered ones.
    pub fn bytes(&self) -> u64 {
        self.length + self.receipt.len() as u64
    }
}

impl About {
    fn of(header: &Header, origin: &str) -> Self {
        let end =
            (0..=ORIGIN_LENGTH_MAX.min(origin.len())).rev().find(|end| origin.is_char_boundary(*end)).unwrap_or(0);
        Self {
            unit: header.unit.to_string(),
            regime: header.regime.to_string(),
            period: header.period.to_string(),
            series: header.series.clone(),
            origin: origin[..end].to_owned(),
        }
    }
}

impl Waiting {
    /// The row of a record that was just signed, and its bytes.
    pub fn of(record: &SignedRecord, origin: &str, now: UnixMs, doubt: bool) -> Result<(Self, Vec<u8>), OutboxError> {
        let header = Header::decode(&record.header)?;
        let bytes = record::to_file(record);
        if bytes.len() > record::RECORD_LENGTH_MAX {
            return Err(record::Error::TooLong { found: bytes.len() }.into());
        }
        let supersedes = header.supersedes.map_or_else(Bytes::new, |id| id.as_bytes().to_vec().into());
        let row = Self {
            version: VERSION,
            record_id: header.record_id.as_bytes().to_vec().into(),
            header_digest: Digest::of(&record.header).as_ref().to_vec().into(),
            series: series(&header).as_ref().to_vec().into(),
            supersedes,
            length: bytes.len() as u64,
            added_ms: now.0,
            doubt_ms: if doubt { now.0.max(1) } else { 0 },
            about: Some(About::of(&header, origin)),
            ..Self::default()
        };
        Ok((row, bytes))
    }
}

/// Which series a record is of. Each part has its length before it: two series are never one.
fn series(header: &Header) -> Digest {
    let period = header.period.to_string();
    let parts = [header.unit.as_str(), header.regime.as_str(), period.as_str(), header.series.as_str()];
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    Digest::of(&bytes)
}

/// A row's id; of another length only if somebody else wrote it.
pub(super) fn id(bytes: &[u8]) -> Result<RecordId, String> {
    RecordId::try_from(bytes).map_err(|error| format!("a record id: {error}"))
}

/// Reads a row.
pub(super) fn decode<R: Message + Default>(bytes: &[u8], version: impl Fn(&R) -> u32) -> Result<R, String> {
    let row = R::decode(bytes).map_err(|error| format!("a row: {error}"))?;
    let found = version(&row);
    if found == VERSION { Ok(row) } else { Err(format!("expected rows of version {VERSION}, found {found}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Held for ever: an outbox that was written down today is read by later versions.
    #[test]
    fn rows_keep_their_bytes() {
        let waiting = Waiting {
            version: 1,
            record_id: vec![1; 16].into(),
            header_digest: vec![2; 32].into(),
            series: vec![3; 32].into(),
            supersedes: vec![4; 16].into(),
            length: 300,
            added_ms: 1_591_925_400_000,
            doubt_ms: 1,
            rounds: 2,
            code: "no-leader".to_owned(),
            sentence: "x".to_owned(),
            told_ms: 3,
            about: None,
        };
        let golden = format!(
            "08011210{}1a20{}2220{}2a10{}30ac0238c0c397b1aa2e40014802{}5a01786003",
            "01".repeat(16),
            "02".repeat(32),
            "03".repeat(32),
            "04".repeat(16),
            "52096e6f2d6c6561646572"
        );
        assert_eq!(hex(&waiting.encode_to_vec()), golden);
        assert_eq!(decode(&waiting.encode_to_vec(), |row: &Waiting| row.version), Ok(waiting));
        let delivered = Delivered {
            version: 1,
            record_id: vec![1; 16].into(),
            header_digest: vec![2; 32].into(),
            length: 300,
            added_ms: 1,
            delivered_ms: 2,
            sequence: 7,
            receipt: "r".to_owned(),
            about: None,
        };
        let golden = format!("08011210{}1a20{}20ac02280130023807420172", "01".repeat(16), "02".repeat(32));
        assert_eq!(hex(&delivered.encode_to_vec()), golden);
    }

    /// Added after the first outboxes were written: a row without it is one of these, and is read.
    #[test]
    fn what_a_record_is_about_keeps_its_bytes_behind_them() {
        let about = About {
            unit: "BYT".to_owned(),
            regime: "YT-01".to_owned(),
            period: "2020-06".to_owned(),
            series: "a".to_owned(),
            origin: "b.json".to_owned(),
        };
        let told = ["0a03425954", "120559542d3031", "1a07323032302d3036", "220161", "2a06622e6a736f6e"].concat();
        let waiting = Waiting { version: 1, about: Some(about.clone()), ..Waiting::default() };
        assert_eq!(hex(&waiting.encode_to_vec()), format!("08016a20{told}"));
        let delivered = Delivered { version: 1, about: Some(about), ..Delivered::default() };
        assert_eq!(hex(&delivered.encode_to_vec()), format!("08014a20{told}"));
        let before = decode(&[8, 1], |row: &Waiting| row.version).expect("a row of before");
        assert_eq!(before.about, None);
    }

    #[test]
    fn a_later_version_is_not_read() {
        let row = Waiting { version: 2, ..Waiting::default() };
        let error = decode(&row.encode_to_vec(), |row: &Waiting| row.version).expect_err("another version");
        assert_eq!(error, "expected rows of version 1, found 2");
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
