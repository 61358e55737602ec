//! Report documents: the JSON that `kho submit` reads. `docs/formats/report.md`.

mod canonical;
mod document;
#[cfg(test)]
mod tests;
mod values;

use bytes::Bytes;

pub use canonical::Figures;
use document::Document;
pub use document::schema;
pub use values::{VALUES_MAX, values};

use crate::error::{Code, Refusal, excerpt};
use crate::header::SubmittedAt;
use crate::id::{RecordId, RegimeCode, UnitCode};
use crate::nfc::is_nfc;
use crate::period::{self, Period};
use crate::record::Draft;

/// Bytes of a document, at most: a payload of 4 MiB, escaped and laid out.
pub const REPORT_LENGTH_MAX: usize = 16 << 20;
/// Media type of `figures`, unless the document says otherwise.
pub const FIGURES_MEDIA_TYPE: &str = "application/json";
/// Media type of `text`, unless the document says otherwise.
pub const TEXT_MEDIA_TYPE: &str = "text/plain; charset=utf-8";

/// A report, read from its document.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    /// Given by the document, so that another can name it; else the sender makes one.
    pub id: Option<RecordId>,
    /// Reporting unit.
    pub unit: UnitCode,
    /// Report regime.
    pub regime: RegimeCode,
    /// What it covers.
    pub period: Period,
    /// Subject; empty where there is only one.
    pub series: String,
    /// The revision before.
    pub supersedes: Option<RecordId>,
    /// As in the document.
    pub receivers: Vec<UnitCode>,
    /// Of the payload.
    pub media_type: String,
    /// Canonical figures, or text.
    pub payload: Bytes,
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Report({:?}, {} {} {}, {} bytes)", self.id, self.unit, self.regime, self.period, self.payload.len())
    }
}

/// Why a document is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Longer than [`REPORT_LENGTH_MAX`].
    #[error("report: expected at most {REPORT_LENGTH_MAX} bytes, found {found}")]
    TooLong {
        /// Bytes.
        found: usize,
    },
    /// More values than [`VALUES_MAX`].
    #[error("report: expected at most {VALUES_MAX} values, found {found}")]
    TooMany {
        /// Values.
        found: usize,
    },
    /// No JSON of the schema; names the field, the line and the column.
    #[error("report: {0}")]
    Json(#[from] serde_json::Error),
    /// A field breaks its rule.
    #[error("report field {field}: expected {expected}, found {found}")]
    Field {
        /// Name.
        field: &'static str,
        /// Its rule.
        expected: &'static str,
        /// What it holds, cut short.
        found: String,
    },
    /// The period is not of the grammar.
    #[error("report field period: {0}")]
    Period(#[from] period::Error),
    /// Not exactly one content.
    #[error("report: expected exactly one of figures and text, found {found}")]
    Content {
        /// Which.
        found: &'static str,
    },
}

impl Error {
    /// `report-invalid`, or `period-invalid`.
    pub fn code(&self) -> Code {
        match self {
            Error::Period(error) => error.code(),
            _ => Code::ReportInvalid,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::new(error.code(), error.to_string())
    }
}

impl Report {
    /// Reads a document. Rules of the header that need more than one field are checked when it is signed.
    pub fn from_json(bytes: &[u8]) -> Result<Report, Error> {
        if bytes.len() > REPORT_LENGTH_MAX {
            return Err(Error::TooLong { found: bytes.len() });
        }
        let found = values(bytes);
        if found > VALUES_MAX {
            return Err(Error::TooMany { found });
        }
        let document: Document = serde_json::from_slice(bytes)?;
        let (payload, media_type) = match (document.figures, document.text) {
            (Some(figures), None) => (figures.into_canonical().into_bytes(), FIGURES_MEDIA_TYPE),
            (None, Some(text)) => (text.into_bytes(), TEXT_MEDIA_TYPE),
            (None, None) => return Err(Error::Content { found: "none" }),
            (Some(_), Some(_)) => return Err(Error::Content { found: "both" }),
        };
        Ok(Report {
            id: document.id.map(|id| record_id("id", &id)).transpose()?,
            unit: code("unit", &document.unit)?,
            regime: code("regime", &document.regime)?,
            period: document.period.parse()?,
            series: series(document.series)?,
            supersedes: document.supersedes.map(|id| record_id("supersedes", &id)).transpose()?,
            receivers: document.receivers.iter().map(|unit| code("receivers", unit)).collect::<Result<_, _>>()?,
            media_type: document.media_type.unwrap_or_else(|| media_type.to_owned()),
            payload: payload.into(),
        })
    }

    /// What the sender signs, and the payload. `record_id` counts where the document has none; `salt` is random.
    pub fn into_draft(self, record_id: RecordId, submitted_at: SubmittedAt, salt: [u8; 16]) -> (Draft, Bytes) {
        let draft = Draft {
            record_id: self.id.unwrap_or(record_id),
            unit: self.unit,
            regime: self.regime,
            period: self.period,
            series: self.series,
            supersedes: self.supersedes,
            receivers: self.receivers,
            submitted_at,
            media_type: self.media_type,
            salt,
        };
        (draft, self.payload)
    }
}

fn record_id(field: &'static str, text: &str) -> Result<RecordId, Error> {
    let id = text.parse().ok().filter(RecordId::is_v7);
    id.ok_or_else(|| Error::Field { field, expected: "a UUIDv7", found: excerpt(text) })
}

/// Refused and not rewritten: who compares the header's bytes would not find the document's own text again.
fn series(text: String) -> Result<String, Error> {
    if !is_nfc(&text) {
        let found = format!("{} in another form", excerpt(&text));
        return Err(Error::Field { field: "series", expected: "text in NFC", found });
    }
    Ok(text)
}

fn code<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T, Error> {
    const EXPECTED: &str = "1 to 32 of A-Z a-z 0-9 . _ - starting with a letter or digit";
    text.parse().map_err(|_| Error::Field { field, expected: EXPECTED, found: excerpt(text) })
}
