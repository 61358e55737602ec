//! A record in a list.

use std::fmt::Display;
use std::str::FromStr;

use kho_proto::header::SubmittedAt;
use kho_proto::id::{RecordId, RegimeCode, Seq, UnitCode};
use kho_proto::leaf::Leaf;
use kho_proto::pb::v1 as pb;
use kho_proto::period::Period;

use crate::ask::ReadError;

/// A record without its content: [`crate::Client::get`] has that, and the receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Index of its leaf.
    pub sequence: Seq,
    /// The record.
    pub record_id: RecordId,
    /// When it was accepted.
    pub accepted_at: SubmittedAt,
    /// What it says of itself; not to auditors.
    pub about: Option<Box<About>>,
    /// Its leaf; to auditors only.
    pub leaf: Option<Box<Leaf>>,
}

/// What a record's header says, and where it stands in its series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Who sent it.
    pub unit: UnitCode,
    /// Its regime.
    pub regime: RegimeCode,
    /// What it covers.
    pub period: Period,
    /// Its subject within unit, regime and period; may be empty.
    pub series: String,
    /// Who receives it.
    pub receivers: Vec<UnitCode>,
    /// When its sender made it.
    pub submitted_at: SubmittedAt,
    /// From 1.
    pub revision: u32,
    /// The revision before.
    pub supersedes: Option<RecordId>,
    /// `type/subtype`.
    pub media_type: String,
    /// Bytes.
    pub payload_length: u64,
    /// Whether a later revision has taken its place, as of the list's size.
    pub superseded: bool,
}

/// Reads the fields of one node's answer.
struct Answer<'a>(&'a str);

impl Answer<'_> {
    fn wrong(&self, field: &'static str, expected: impl Display, found: impl Display) -> ReadError {
        let address = self.0.to_owned();
        ReadError::Answer { address, field, expected: expected.to_string(), found: found.to_string() }
    }

    fn parse<T: FromStr<Err: Display>>(&self, field: &'static str, text: &str) -> Result<T, ReadError> {
        text.parse().map_err(|error| self.wrong(field, "a value of its grammar", error))
    }

    fn id(&self, field: &'static str, bytes: &[u8]) -> Result<RecordId, ReadError> {
        RecordId::try_from(bytes).map_err(|error| self.wrong(field, "16 bytes", format!("{} bytes", error.found)))
    }
}

impl Entry {
    /// Reads what the node at `address` answered.
    pub(crate) fn of(entry: pb::RecordEntry, address: &str) -> Result<Self, ReadError> {
        let answer = Answer(address);
        let leaf = match &entry.leaf[..] {
            [] => None,
            bytes => Some(Leaf::decode(bytes).map_err(|error| answer.wrong("leaf", "leaf v1", error))?),
        };
        let about = if leaf.is_none() { Some(Box::new(About::of(&entry, &answer)?)) } else { None };
        Ok(Self {
            sequence: Seq(entry.sequence),
            record_id: answer.id("record_id", &entry.record_id)?,
            accepted_at: answer.parse("accepted_at", &entry.accepted_at)?,
            about,
            leaf: leaf.map(Box::new),
        })
    }
}

impl About {
    fn of(entry: &pb::RecordEntry, answer: &Answer<'_>) -> Result<Self, ReadError> {
        let superseded = match entry.state() {
            pb::RecordState::Latest => false,
            pb::RecordState::Superseded => true,
            pb::RecordState::Any => return Err(answer.wrong("state", "LATEST or SUPERSEDED", entry.state)),
        };
        let receivers = entry.receivers.iter().map(|unit| answer.parse("receivers", unit)).collect::<Result<_, _>>()?;
        let supersedes = match &entry.supersedes[..] {
            [] => None,
            id => Some(answer.id("supersedes", id)?),
        };
        Ok(Self {
            unit: answer.parse("unit", &entry.unit)?,
            regime: answer.parse("regime", &entry.regime)?,
            period: answer.parse("period", &entry.period)?,
            series: entry.series.clone(),
            receivers,
            submitted_at: answer.parse("submitted_at", &entry.submitted_at)?,
            revision: entry.revision,
            supersedes,
            media_type: entry.media_type.clone(),
            payload_length: entry.payload_length,
            superseded,
        })
    }
}
