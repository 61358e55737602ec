//! Figures against the fields and checks of their regime: every field that breaks a rule is named, in both languages.

use kho_proto::error::excerpt;
use kho_proto::fields::{FieldError, FieldErrors};
use kho_proto::report::{FIGURES_MEDIA_TYPE, Figures, VALUES_MAX, values};
use serde_json::{Map, Value};
use unicode_normalization::is_nfc;

use crate::check::Check;
use crate::decimal;
use crate::document::FieldType;
use crate::regime::{Field, Regime};

/// Says why no unit of a code may stand in a field; none: it may. The second argument is the kind that is asked for.
pub(crate) type UnitRule<'a> = dyn Fn(&str, Option<&str>) -> Option<NotAUnit> + 'a;

/// Why a code in a field is not of a unit that may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAUnit {
    Unknown,
    NotValid,
    OtherKind,
}

/// Holds a payload against its regime.
pub(crate) fn validate(regime: &Regime, media_type: &str, payload: &[u8], units: &UnitRule<'_>) -> FieldErrors {
    let mut found = Found { regime, units, errors: FieldErrors::default() };
    found.payload(media_type, payload);
    found.errors
}

struct Found<'a> {
    regime: &'a Regime,
    units: &'a UnitRule<'a>,
    errors: FieldErrors,
}

/// Where a row's fields are.
#[derive(Clone, Copy)]
struct Place {
    row: Option<usize>,
}

impl Place {
    fn path(self, key: &str) -> String {
        match self.row {
            None => key.to_owned(),
            Some(row) => format!("rows[{row}].{key}"),
        }
    }

    /// For people, who count rows from 1.
    fn vi(self) -> String {
        self.row.map_or_else(String::new, |row| format!("dòng {}: ", row + 1))
    }

    fn en(self) -> String {
        self.row.map_or_else(String::new, |row| format!("row {}: ", row + 1))
    }
}

/// Wrong fields that are counted, give or take a row: a table in which all is wrong takes no longer.
const COUNTED_MAX: u32 = 1_000;

/// What is wrong with a field, in a few words of each language.
struct Wrong {
    expected: String,
    found: String,
    vi: String,
    en: String,
}

fn wrong(expected: impl Into<String>, found: impl Into<String>, vi: impl Into<String>, en: impl Into<String>) -> Wrong {
    Wrong { expected: expected.into(), found: found.into(), vi: vi.into(), en: en.into() }
}

/// A value, cut short.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => excerpt(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

impl Found<'_> {
    fn whole(&mut self, path: String, expected: &str, found: String, vi: &str, en: &str) {
        let (message_vi, message_en) = (vi.to_owned(), en.to_owned());
        self.errors.push(FieldError { path, expected: expected.to_owned(), found, message_vi, message_en });
    }

    fn field(&mut self, place: Place, field: &Field, wrong: Wrong) {
        self.errors.push(FieldError {
            path: place.path(&field.document.key),
            message_vi: format!("{}\u{201c}{}\u{201d} {}", place.vi(), field.label_vi(), wrong.vi),
            message_en: format!("{}\"{}\" {}", place.en(), field.label_en(), wrong.en),
            expected: wrong.expected,
            found: wrong.found,
        });
    }

    fn payload(&mut self, media_type: &str, payload: &[u8]) {
        if media_type.split(';').next() != Some(FIGURES_MEDIA_TYPE) {
            self.whole(
                "media_type".to_owned(),
                FIGURES_MEDIA_TYPE,
                excerpt(media_type),
                "báo cáo theo chế độ này phải gửi số liệu dạng JSON",
                "reports of this regime are figures in JSON",
            );
            return;
        }
        let found = values(payload);
        if found > VALUES_MAX {
            let (vi, en) = ("số liệu có quá nhiều giá trị", "the figures have too many values");
            self.whole(String::new(), &format!("at most {VALUES_MAX} values"), found.to_string(), vi, en);
            return;
        }
        // each name once, no number that is no longer what was written, no nesting without end
        // (and one tree at a time)
        let read = serde_json::from_slice::<Figures>(payload).map(drop);
        let value = match read.and_then(|()| serde_json::from_slice::<Value>(payload)) {
            Ok(value) => value,
            Err(error) => {
                let (vi, en) = ("số liệu không phải là JSON hợp lệ", "the figures are not well-formed JSON");
                self.whole(String::new(), "JSON in UTF-8, each name once", error.to_string(), vi, en);
                return;
            }
        };
        match (value, self.regime.document.rows) {
            (Value::Object(row), false) => self.row(Place { row: None }, &row),
            (Value::Array(rows), true) => {
                for (n, row) in rows.iter().enumerate() {
                    if self.errors.total() >= COUNTED_MAX {
                        break;
                    }
                    match row {
                        Value::Object(row) => self.row(Place { row: Some(n) }, row),
                        other => {
                            let vi = format!("dòng {} phải là một đối tượng JSON", n + 1);
                            let en = format!("row {} must be a JSON object", n + 1);
                            self.whole(format!("rows[{n}]"), "an object", shown(other), &vi, &en);
                        }
                    }
                }
            }
            (other, true) => self.whole(
                String::new(),
                "a list of rows",
                shown(&other),
                "báo cáo phải là một bảng gồm nhiều dòng",
                "the report must be a table of rows",
            ),
            (other, false) => self.whole(
                String::new(),
                "an object",
                shown(&other),
                "báo cáo phải là một đối tượng JSON",
                "the report must be a JSON object",
            ),
        }
    }

    fn row(&mut self, place: Place, values: &Map<String, Value>) {
        let regime = self.regime;
        for (key, value) in values {
            if regime.field(key).is_none() {
                let vi = format!("{}chỉ tiêu {} không có trong chế độ báo cáo", place.vi(), excerpt(key));
                let en = format!("{}the regime has no field {}", place.en(), excerpt(key));
                // the key is the sender's
                let key: String = key.chars().take(64).filter(|c| !c.is_control()).collect();
                self.whole(place.path(&key), "a field of the regime", shown(value), &vi, &en);
            }
        }
        for field in &regime.fields {
            let value = values.get(&field.document.key);
            let blank = matches!(value, None | Some(Value::Null))
                || value.and_then(Value::as_str).is_some_and(|text| text.trim().is_empty());
            let wrong = if !blank {
                value.and_then(|value| self.value(field, value))
            } else if self.required(field, values) {
                self.missing(field, value)
            } else {
                // left out, or there and empty: `null` is neither
                value.filter(|value| value.is_null() || field.is_number()).and_then(|value| self.value(field, value))
            };
            if let Some(wrong) = wrong {
                self.field(place, field, wrong);
            }
        }
        for check in &regime.checks {
            self.check(place, check, values);
        }
    }

    fn required(&self, field: &Field, values: &Map<String, Value>) -> bool {
        let Some(condition) = &field.required_if else { return !field.document.optional };
        match values.get(&condition.key) {
            Some(Value::String(text)) => *text == condition.value,
            Some(Value::Number(number)) => number.to_string() == condition.value,
            _ => false,
        }
    }

    fn missing(&self, field: &Field, value: Option<&Value>) -> Option<Wrong> {
        let found = value.map_or("nothing".to_owned(), shown);
        Some(match &field.required_if {
            None => wrong("a value", found, "chưa có giá trị", "has no value"),
            Some(condition) => {
                let other = self.regime.field(&condition.key)?;
                wrong(
                    format!("a value, as {} = {}", condition.key, condition.value),
                    found,
                    format!("phải có khi \u{201c}{}\u{201d} là \u{201c}{}\u{201d}", other.label_vi(), condition.value),
                    format!("must be given as \"{}\" is \"{}\"", other.label_en(), condition.value),
                )
            }
        })
    }

    fn value(&self, field: &Field, value: &Value) -> Option<Wrong> {
        match field.document.field_type {
            FieldType::Integer | FieldType::Decimal => number_wrong(field, value),
            FieldType::Text | FieldType::ReportingUnit => {
                let Value::String(text) = value else {
                    return Some(wrong("a string", shown(value), "phải là chuỗi ký tự", "must be a string"));
                };
                text_wrong(field, text).or_else(|| match field.document.field_type {
                    FieldType::ReportingUnit => self.unit(field, text),
                    _ => None,
                })
            }
        }
    }

    fn unit(&self, field: &Field, code: &str) -> Option<Wrong> {
        let kind = field.document.unit_kind.as_deref();
        let why = (self.units)(code, kind)?;
        let shown = excerpt(code);
        let expected = kind.map_or("a unit's code".to_owned(), |kind| format!("code of a {kind}"));
        let (vi, en) = match why {
            NotAUnit::Unknown => ("không có trong danh mục đơn vị", "is no unit of the catalogue"),
            NotAUnit::NotValid => {
                ("là đơn vị không còn hoặc chưa có hiệu lực trong kỳ báo cáo", "is no unit of the period's time")
            }
            NotAUnit::OtherKind => ("là đơn vị không thuộc loại được phép", "is a unit of another kind"),
        };
        let (vi, en) = (format!("{vi}: {shown}"), format!("{en}: {shown}"));
        Some(wrong(expected, shown, vi, en))
    }

    fn check(&mut self, place: Place, check: &Check, values: &Map<String, Value>) {
        let regime = self.regime;
        let scale = check.keys().filter_map(|key| regime.field(key)).map(Field::scale).max().unwrap_or(0);
        let value = |key: &str| {
            let field = regime.field(key)?;
            number(field, values.get(key)?)?.checked_mul(decimal::one(scale - field.scale()))
        };
        let Some(sides) = check.sides(value).filter(|sides| !sides.holds) else { return };
        let (left, right) = (decimal::format(sides.left, scale), decimal::format(sides.right, scale));
        let label = |name: fn(&Field) -> &str| {
            check.written(|key| regime.field(key).map_or_else(|| key.to_owned(), |field| name(field).to_owned()))
        };
        let (vi, en) = (label(Field::label_vi), label(Field::label_en));
        self.errors.push(FieldError {
            path: place.path(&check.left),
            expected: check.to_string(),
            found: format!("{left}, and {right} on the right"),
            message_vi: format!("{}cần {vi}, nhưng hai vế là {left} và {right}", place.vi()),
            message_en: format!("{}expected {en}, but the sides are {left} and {right}", place.en()),
        });
    }
}

/// A number in units of 10^-scale.
fn number(field: &Field, value: &Value) -> Option<i128> {
    match field.document.field_type {
        FieldType::Integer => value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from)),
        FieldType::Decimal => decimal::parse(value.as_str()?, field.scale()),
        FieldType::Text | FieldType::ReportingUnit => None,
    }
}

fn number_wrong(field: &Field, value: &Value) -> Option<Wrong> {
    let (scale, found) = (field.scale(), shown(value));
    let Some(number) = number(field, value) else {
        return Some(match field.document.field_type {
            FieldType::Decimal => wrong(
                format!("a string with {scale} digits after the point"),
                found,
                format!("phải là chuỗi số có đúng {scale} chữ số sau dấu chấm"),
                format!("must be a string with exactly {scale} digits after the point"),
            ),
            _ => wrong("an integer", found, "phải là số nguyên", "must be an integer"),
        });
    };
    let (min, max) = (field.min(), field.max());
    if min.is_none_or(|min| min <= number) && max.is_none_or(|max| number <= max) {
        return None;
    }
    let write = |bound: Option<i128>| bound.map(|bound| decimal::format(bound, scale));
    let number = decimal::format(number, scale);
    Some(match (write(min), write(max)) {
        (Some(min), Some(max)) => wrong(
            format!("{min} to {max}"),
            found,
            format!("phải từ {min} đến {max}, đang là {number}"),
            format!("must be from {min} to {max}, and is {number}"),
        ),
        (Some(min), None) => wrong(
            format!("at least {min}"),
            found,
            format!("phải từ {min} trở lên, đang là {number}"),
            format!("must be at least {min}, and is {number}"),
        ),
        (None, max) => {
            let max = max.unwrap_or_default();
            wrong(
                format!("at most {max}"),
                found,
                format!("không được quá {max}, đang là {number}"),
                format!("must be at most {max}, and is {number}"),
            )
        }
    })
}

fn text_wrong(field: &Field, text: &str) -> Option<Wrong> {
    let found = excerpt(text);
    if !is_nfc(text) {
        let (vi, en) = ("phải viết theo chuẩn Unicode dựng sẵn (NFC)", "must be written in Unicode's form NFC");
        return Some(wrong("text in NFC", format!("{found} in another form"), vi, en));
    }
    let one_of = &field.document.one_of;
    if !one_of.is_empty() && !one_of.iter().any(|allowed| allowed == text) {
        // a list of a few is told
        let listed = if one_of.len() <= 8 { one_of.join(", ") } else { format!("{} values", one_of.len()) };
        return Some(wrong(
            format!("one of {listed}"),
            found.clone(),
            format!("không nằm trong danh sách cho phép: {found}"),
            format!("is not in its list: {found}"),
        ));
    }
    let (words, most) = (text.split_whitespace().count(), field.document.max_words.unwrap_or(u32::MAX));
    if words <= most as usize {
        return None;
    }
    Some(wrong(
        format!("at most {most} words"),
        format!("{words} words"),
        format!("không được quá {most} từ, đang có {words} từ"),
        format!("must have at most {most} words, and has {words}"),
    ))
}
