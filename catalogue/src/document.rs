//! Entries as JSON, and their schema. `docs/formats/catalogue.md`.

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

const CODE: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$";
const DAY: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$";
const KEY: &str = "^[A-Za-z][A-Za-z0-9_]{0,63}$";

/// What an entry is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A unit that reports or receives.
    Unit,
    /// A report regime.
    Regime,
    /// What the nodes make of the other two.
    Policy,
}

/// A name, or the label of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// In Vietnamese.
    #[schemars(length(min = 1, max = 400))]
    pub vi: String,
    /// In English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 400))]
    pub en: Option<String>,
}

/// A unit, from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitDocument {
    /// `unit`.
    pub kind: Kind,
    /// Code, e.g. `BYT`, `T01`.
    #[schemars(regex(pattern = CODE))]
    pub code: String,
    /// The version counts from this day on, until the next one's.
    #[schemars(regex(pattern = DAY))]
    pub effective_from: String,
    /// Name.
    pub name: Names,
    /// What it is, e.g. `ministry`, `province`.
    #[schemars(regex(pattern = KEY))]
    pub unit_kind: String,
    /// Code of the unit above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = CODE))]
    pub parent: Option<String>,
    /// First day on which it reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DAY))]
    pub valid_from: Option<String>,
    /// Last day on which it reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DAY))]
    pub valid_to: Option<String>,
    /// Codes of the units that report after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(regex(pattern = CODE)))]
    pub successors: Vec<String>,
}

/// How often a regime asks for a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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
    /// Every two years, the second one even: `2019-01/2020-12`.
    TwoYearly,
    /// When something happened: a date-time.
    AdHoc,
}

/// Whether figures are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Figures that break a rule are refused.
    Checked,
    /// The payload is whatever was signed.
    Opaque,
}

/// Who reports: the units of these codes, and all of these kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reporters {
    /// Codes of units.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096), inner(regex(pattern = CODE)))]
    pub units: Vec<String>,
    /// Kinds of units.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(regex(pattern = KEY)))]
    pub unit_kinds: Vec<String>,
}

/// By when a report must be accepted: through the end of a day, or an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Deadline {
    /// Through this day of the period's last month, or of one after it; in a shorter month its last day.
    DayOfMonth {
        /// 1 to 31.
        #[schemars(range(min = 1, max = 31))]
        day: u8,
        /// 0 to 12.
        #[serde(default)]
        #[schemars(range(max = 12))]
        months_after: u8,
    },
    /// Through so many days after the last day that the figures are of; 0: that day itself.
    DaysAfter(#[schemars(range(max = 366))] u16),
    /// So many hours after the time that the figures are of; of ad-hoc reports, after the period's moment.
    HoursAfter(#[schemars(range(max = 8784))] u16),
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// A JSON number without fraction.
    Integer,
    /// A string with exactly `scale` digits after the point.
    Decimal,
    /// A string.
    Text,
    /// The code of a unit that is valid on the period's last day.
    ReportingUnit,
}

/// A field of a report, and its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldDocument {
    /// Key in the payload.
    #[schemars(regex(pattern = KEY))]
    pub key: String,
    /// What people call it.
    pub label: Names,
    /// What it holds.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// Of a reporting unit: its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = KEY))]
    pub unit_kind: Option<String>,
    /// Unit of measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub measure: Option<String>,
    /// Digits after the point of a decimal.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(max = 9))]
    pub scale: u8,
    /// Least value, in whole units of measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// Greatest value, in whole units of measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// Words of a text, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_words: Option<u32>,
    /// All that may stand there; empty: anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub one_of: Vec<String>,
    /// Whether it may be left out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
    /// `key = value`: it may be left out unless another field holds this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub required_if: Option<String>,
}

/// A report regime, from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegimeDocument {
    /// `regime`.
    pub kind: Kind,
    /// Code, e.g. `YT-01`.
    #[schemars(regex(pattern = CODE))]
    pub code: String,
    /// The version counts from this day on, until the next one's.
    #[schemars(regex(pattern = DAY))]
    pub effective_from: String,
    /// Name.
    pub name: Names,
    /// Code of the unit that keeps the regime.
    #[schemars(regex(pattern = CODE))]
    pub owner: String,
    /// The legal text behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000))]
    pub legal_basis: Option<String>,
    /// First day on which it asks for reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DAY))]
    pub valid_from: Option<String>,
    /// Last day on which it asks for reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DAY))]
    pub valid_to: Option<String>,
    /// How often.
    pub frequency: Frequency,
    /// Of frequencies by months: the day of the month on which the next period's figures begin. None: the calendar's months.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 28))]
    pub cutoff_day: Option<u8>,
    /// By when. None: a report is never late, and never missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// Who reports.
    pub reporters: Reporters,
    /// Codes of the units that receive the reports, and may ask for their statistics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(regex(pattern = CODE)))]
    pub receivers: Vec<String>,
    /// Whether files may be attached.
    #[serde(default, skip_serializing_if = "is_false")]
    pub attachments: bool,
    /// Whether figures are looked at.
    pub mode: Mode,
    /// Whether a report is a table of rows of `fields`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rows: bool,
    /// Fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub fields: Vec<FieldDocument>,
    /// Conditions between the figures of a row: `a = b + c - d`, `a <= b`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub checks: Vec<String>,
    /// Keys of the fields that say on which subject a report is, where a unit has several for a period.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub subject: Vec<String>,
}

/// What the nodes make of units and regimes, from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// `policy`.
    pub kind: Kind,
    /// `catalogue`.
    pub code: String,
    /// It counts for periods whose last day is this one or later, until the next version's.
    #[schemars(regex(pattern = DAY))]
    pub effective_from: String,
    /// Whether reports must be as the catalogue has it.
    pub enforced: bool,
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

fn is_false(yes: &bool) -> bool {
    !*yes
}

/// An entry of whatever kind.
#[derive(JsonSchema)]
#[schemars(
    untagged,
    title = "Kho catalogue entry",
    description = "A version of a unit, a regime or the policy, for `kho catalogue load`."
)]
#[expect(dead_code, reason = "for the schema")]
enum Document {
    Unit(UnitDocument),
    Regime(Box<RegimeDocument>),
    Policy(PolicyDocument),
}

/// JSON Schema of a document (draft 2020-12). Committed as `docs/formats/catalogue.schema.json`.
pub fn schema() -> Schema {
    schema_for!(Document)
}
