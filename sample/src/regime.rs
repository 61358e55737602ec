//! A report regime: who owes which figures how often, within which limits.

use serde::Deserialize;

use crate::check::Check;
use crate::country::UnitKind;

/// How often a regime asks for a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frequency {
    /// Every day: `2020-06-12`.
    Daily,
    /// Every ISO week: `2020-W24`.
    Weekly,
    /// Every month: `2020-06`.
    Monthly,
    /// Every quarter: `2020-04/2020-06`.
    Quarterly,
    /// Every six months: `2020-01/2020-06`.
    HalfYearly,
    /// Every year: `2020`.
    Yearly,
    /// Every two years: `2019-01/2020-12`.
    TwoYearly,
    /// When something happened: a date-time.
    AdHoc,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// A JSON number without fraction.
    Integer,
    /// A string with exactly `scale` digits after the point.
    Decimal,
    /// A string.
    Text,
    /// The code of a unit.
    ReportingUnit,
}

/// A field of a report, and its limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Key in the payload.
    pub key: String,
    /// Label in Vietnamese.
    pub label: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// Of a unit field: which units may stand there.
    #[serde(rename = "kind")]
    pub unit_kind: Option<UnitKind>,
    /// Unit of measurement.
    pub measure: Option<String>,
    /// Digits after the point.
    #[serde(default)]
    pub scale: u32,
    /// Least value, in whole units of measurement.
    pub min: Option<i64>,
    /// Greatest value, in whole units of measurement.
    pub max: Option<i64>,
    /// Words of a text, at most.
    pub max_words: Option<usize>,
    /// All that may stand there; empty: anything. Unit codes are filled in by `Country::load`.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// The field may be left out unless this holds.
    pub required_if: Option<Condition>,
}

/// `key = value`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Condition {
    /// Key of another field.
    pub key: String,
    /// What must stand there.
    pub value: String,
}

impl TryFrom<String> for Condition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (key, value) = text.split_once(" = ").ok_or_else(|| format!("expected `key = value`, found {text:?}"))?;
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// A report regime.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regime {
    /// Code, e.g. `YT-01`.
    pub code: String,
    /// Code of the unit that reports, or `*province`.
    pub owner: String,
    /// Name in Vietnamese.
    pub name: String,
    /// How often.
    pub frequency: Frequency,
    /// Whether a report is a table of rows of `fields`.
    pub rows: bool,
    /// Whether files may be attached.
    pub attachments: bool,
    /// First year of the series that is loaded in bulk.
    pub history_from: Option<i32>,
    /// Fields.
    pub fields: Vec<Field>,
    /// Arithmetic conditions between the fields of a row.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// Keys of the fields that, with unit, regime and period, say which series a report belongs to.
    #[serde(default)]
    pub subject: Vec<String>,
}

impl Regime {
    /// The field of a key.
    pub fn field(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.key == key)
    }
}
