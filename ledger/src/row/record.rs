use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::id::{Seq, Token};

use super::reader::Reader;
use super::{Fault, ROW_VERSION};
use crate::bounds::PERIOD_LENGTH_MAX;

/// Where a record stands and whose it is, found by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// Index of its leaf.
    pub seq: Seq,
    /// SHA-256 of its header: its identity.
    pub header_digest: Digest,
    /// Token of the unit that it is of.
    pub unit_token: Token,
    /// Token of its regime.
    pub regime_token: Token,
    /// Token of its series.
    pub series_token: Token,
    /// Revision within the series, from 1.
    pub revision: u32,
    /// Period, in clear.
    pub period: String,
    /// Tokens of the units that may read it besides its own.
    pub receiver_tokens: Vec<Token>,
}

impl RecordRow {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(94 + self.period.len() + 16 * self.receiver_tokens.len());
        out.push(ROW_VERSION);
        out.extend_from_slice(&self.seq.0.to_be_bytes());
        out.extend_from_slice(self.header_digest.as_ref());
        for token in [&self.unit_token, &self.regime_token, &self.series_token] {
            out.extend_from_slice(token.as_ref());
        }
        out.extend_from_slice(&self.revision.to_be_bytes());
        out.push(u8::try_from(self.period.len()).expect("apply bounds a period to 64 bytes"));
        out.extend_from_slice(self.period.as_bytes());
        for token in &self.receiver_tokens {
            out.extend_from_slice(token.as_ref());
        }
        out.into()
    }

    pub(crate) fn decode(value: Bytes) -> Result<Self, Fault> {
        let mut reader = Reader::new(value)?;
        let seq = Seq(reader.u64("sequence number")?);
        let header_digest = Digest(reader.array("header digest")?);
        let unit_token = Token(reader.array("unit token")?);
        let regime_token = Token(reader.array("regime token")?);
        let series_token = Token(reader.array("series token")?);
        let revision = reader.u32("revision")?;
        let [length] = reader.array("length of the period")?;
        let period = reader.bytes(usize::from(length), "period")?;
        let period = std::str::from_utf8(&period).ok().filter(|text| text.len() <= PERIOD_LENGTH_MAX);
        let period = period.ok_or(Fault::Content { expected: "a period" })?.to_owned();
        let rest = reader.rest();
        let (tokens, left) = rest.as_chunks::<16>();
        if !left.is_empty() {
            return Err(Fault::Length { expected: "receiver tokens of 16 bytes" });
        }
        let receiver_tokens = tokens.iter().copied().map(Token).collect();
        Ok(Self { seq, header_digest, unit_token, regime_token, series_token, revision, period, receiver_tokens })
    }
}
