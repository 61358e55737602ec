//! The document as JSON, and its schema.

use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;

use super::Figures;

const CODE: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$";
const RECORD_ID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
const PERIOD: &str =
    "^[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}\\+07:00)?|/[0-9]{4}-[0-9]{2})?|-W[0-9]{2})?$";

/// A report for `kho submit`: the fields that its sender chooses, and either figures or text.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    title = "Kho report",
    extend("oneOf" = [{ "required": ["figures"] }, { "required": ["text"] }])
)]
pub(super) struct Document {
    /// Record id, a UUIDv7; without it one is made. Another submission under the same id is refused as another record.
    #[serde(default)]
    #[schemars(regex(pattern = RECORD_ID))]
    pub id: Option<String>,
    /// Code of the reporting unit: the signer's.
    #[schemars(regex(pattern = CODE))]
    pub unit: String,
    /// Code of the report regime.
    #[schemars(regex(pattern = CODE))]
    pub regime: String,
    /// What the report covers: 2020-06-12, 2020-W24, 2020-06, 2020, 2020-01/2020-03, or 2020-06-12T08:30:00+07:00.
    #[schemars(regex(pattern = PERIOD))]
    pub period: String,
    /// Subject within unit, regime and period, where there is more than one; at most 256 bytes, in NFC.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub series: String,
    /// Record id of the revision that this one replaces.
    #[serde(default)]
    #[schemars(regex(pattern = RECORD_ID))]
    pub supersedes: Option<String>,
    /// Codes of the units that may read the report besides the sender's; at most 256.
    #[serde(default)]
    #[schemars(length(max = 256), inner(regex(pattern = CODE)))]
    pub receivers: Vec<String>,
    /// Media type of the payload. Else application/json for figures, text/plain; charset=utf-8 for text.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub media_type: Option<String>,
    /// Any JSON but null. The payload is its canonical form.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    pub figures: Option<Figures>,
    /// The payload as text.
    #[serde(default)]
    pub text: Option<String>,
}

/// JSON Schema of a document (draft 2020-12). Committed as `docs/formats/report.schema.json`.
pub fn schema() -> Schema {
    schema_for!(Document)
}
