//! Holds a payload against its regime: shape, types, limits, checks.

use serde_json::{Map, Value};

use crate::decimal;
use crate::regime::{Field, FieldType, Regime};

/// What is wrong with a payload. `row` counts from 0; a report without rows is row 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Not JSON.
    #[error("expected JSON in UTF-8: {reason}")]
    Malformed {
        /// What the parser said.
        reason: String,
    },
    /// Not the shape of the regime.
    #[error("expected {expected}, found {found}")]
    Shape {
        /// What the regime asks for.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A key that the regime does not have.
    #[error("row {row}: unknown field {key:?}")]
    UnknownField {
        /// Row.
        row: usize,
        /// Key.
        key: String,
    },
    /// A field that must be there is not.
    #[error("row {row}: field {key:?} is missing")]
    Missing {
        /// Row.
        row: usize,
        /// Key.
        key: String,
    },
    /// Not of the field's type, or a decimal with another number of digits.
    #[error("row {row}: field {key:?}: expected {expected}, found {found}")]
    Type {
        /// Row.
        row: usize,
        /// Key.
        key: String,
        /// What the regime asks for.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Outside `min` and `max`.
    #[error("row {row}: field {key:?}: expected {min} to {max}, found {found}")]
    Range {
        /// Row.
        row: usize,
        /// Key.
        key: String,
        /// Least.
        min: i64,
        /// Greatest.
        max: i64,
        /// What stands there.
        found: String,
    },
    /// More words than `max_words`.
    #[error("row {row}: field {key:?}: expected at most {max} words, found {found}")]
    Words {
        /// Row.
        row: usize,
        /// Key.
        key: String,
        /// Most.
        max: usize,
        /// Words that stand there.
        found: usize,
    },
    /// None of `one_of`.
    #[error("row {row}: field {key:?}: found {found:?}, which is not in the list")]
    NotListed {
        /// Row.
        row: usize,
        /// Key.
        key: String,
        /// What stands there.
        found: String,
    },
    /// An arithmetic condition does not hold.
    #[error("row {row}: expected {check}")]
    Check {
        /// Row.
        row: usize,
        /// The condition.
        check: String,
    },
}

/// Holds `payload` against `regime`; all violations, in the order of rows and fields.
pub fn validate(regime: &Regime, payload: &[u8]) -> Result<(), Vec<Violation>> {
    let value: Value =
        serde_json::from_slice(payload).map_err(|error| vec![Violation::Malformed { reason: error.to_string() }])?;
    let expected = if regime.rows { "an array of objects" } else { "an object" };
    let shape = |value: &Value| vec![Violation::Shape { expected, found: name_of(value) }];
    let rows: Vec<&Map<String, Value>> = match (&value, regime.rows) {
        (Value::Object(row), false) => vec![row],
        (Value::Array(rows), true) => {
            rows.iter().map(|row| row.as_object().ok_or_else(|| shape(row))).collect::<Result<_, _>>()?
        }
        _ => return Err(shape(&value)),
    };
    let violations: Vec<_> = rows.iter().enumerate().flat_map(|(n, row)| validate_row(regime, n, row)).collect();
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

fn validate_row(regime: &Regime, row: usize, values: &Map<String, Value>) -> Vec<Violation> {
    let mut violations: Vec<_> = values
        .keys()
        .filter(|key| regime.field(key).is_none())
        .map(|key| Violation::UnknownField { row, key: key.clone() })
        .collect();
    for field in &regime.fields {
        match values.get(&field.key) {
            Some(value) => violations.extend(validate_field(field, row, value)),
            None if !required(field, values) => {}
            None => violations.push(Violation::Missing { row, key: field.key.clone() }),
        }
    }
    let number = |key: &str| number(regime.field(key)?, values.get(key)?);
    let broken = regime.checks.iter().filter(|check| check.holds(number) == Some(false));
    violations.extend(broken.map(|check| Violation::Check { row, check: check.to_string() }));
    violations
}

fn required(field: &Field, values: &Map<String, Value>) -> bool {
    let Some(condition) = &field.required_if else { return true };
    values.get(&condition.key).and_then(Value::as_str) == Some(&condition.value)
}

/// A number in units of 10^-scale.
fn number(field: &Field, value: &Value) -> Option<i64> {
    match field.kind {
        FieldType::Integer => value.as_i64(),
        FieldType::Decimal => decimal::parse(value.as_str()?, field.scale),
        FieldType::Text | FieldType::ReportingUnit => None,
    }
}

fn validate_field(field: &Field, row: usize, value: &Value) -> Option<Violation> {
    let key = field.key.clone();
    let wrong_type = |expected: String| Violation::Type { row, key: key.clone(), expected, found: value.to_string() };
    match field.kind {
        FieldType::Integer | FieldType::Decimal => {
            let Some(number) = number(field, value) else {
                return Some(wrong_type(match field.kind {
                    FieldType::Integer => "an integer".to_owned(),
                    _ => format!("a string with {} digits after the point", field.scale),
                }));
            };
            let (min, max) = (field.min.unwrap_or(i64::MIN), field.max.unwrap_or(i64::MAX));
            let one = 10_i64.pow(field.scale);
            let within = (min.saturating_mul(one)..=max.saturating_mul(one)).contains(&number);
            (!within).then(|| Violation::Range { row, key, min, max, found: value.to_string() })
        }
        FieldType::Text | FieldType::ReportingUnit => {
            let Some(text) = value.as_str() else { return Some(wrong_type("a string".to_owned())) };
            if !field.one_of.is_empty() && !field.one_of.iter().any(|allowed| allowed == text) {
                return Some(Violation::NotListed { row, key, found: text.to_owned() });
            }
            let found = text.split_whitespace().count();
            let max = field.max_words.unwrap_or(usize::MAX);
            (found > max).then_some(Violation::Words { row, key, max, found })
        }
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
