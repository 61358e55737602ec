//! A regime, ready to judge reports by.

use kho_proto::period::Period;

use crate::calendar::{self, Due};
use crate::check::Check;
use crate::day::Day;
use crate::decimal;
use crate::document::{FieldDocument, FieldType, Mode, RegimeDocument};

/// `key = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub key: String,
    pub value: String,
}

impl Condition {
    pub fn parse(text: &str) -> Option<Self> {
        let (key, value) = text.split_once(" = ")?;
        (!value.is_empty()).then(|| Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// A field, its limits in units of 10^-scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub document: FieldDocument,
    pub required_if: Option<Condition>,
}

impl Field {
    pub fn is_number(&self) -> bool {
        matches!(self.document.field_type, FieldType::Integer | FieldType::Decimal)
    }

    pub fn scale(&self) -> u8 {
        if self.document.field_type == FieldType::Decimal { self.document.scale } else { 0 }
    }

    pub fn min(&self) -> Option<i128> {
        self.document.min.map(|min| i128::from(min) * decimal::one(self.scale()))
    }

    pub fn max(&self) -> Option<i128> {
        self.document.max.map(|max| i128::from(max) * decimal::one(self.scale()))
    }

    /// What people call it.
    pub fn label_vi(&self) -> &str {
        &self.document.label.vi
    }

    pub fn label_en(&self) -> &str {
        self.document.label.en.as_deref().unwrap_or(&self.document.key)
    }
}

/// A version of a regime, its texts read. Made of a checked document only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regime {
    pub(crate) document: RegimeDocument,
    pub(crate) valid: (Option<Day>, Option<Day>),
    pub(crate) fields: Vec<Field>,
    pub(crate) checks: Vec<Check>,
}

impl Regime {
    /// As it was signed.
    pub fn document(&self) -> &RegimeDocument {
        &self.document
    }

    pub(crate) fn field(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.document.key == key)
    }

    pub(crate) fn is_checked(&self) -> bool {
        self.document.mode == Mode::Checked
    }

    /// When a period's report is due.
    pub fn due(&self, period: &Period) -> Due {
        let document = &self.document;
        calendar::due(document.frequency, document.cutoff_day, document.deadline, period)
    }

    /// Whether a unit of a kind reports.
    pub(crate) fn asks(&self, unit: &str, unit_kind: &str) -> bool {
        let reporters = &self.document.reporters;
        reporters.units.iter().any(|code| code == unit) || reporters.unit_kinds.iter().any(|kind| kind == unit_kind)
    }
}
