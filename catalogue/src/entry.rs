//! Entries: signed records of reserved regimes, whose payload is a document.

use kho_proto::error::excerpt;
use kho_proto::fields::{FieldError, FieldErrors};
use kho_proto::header::Header;
use kho_proto::id::{RegimeCode, UnitCode};
use kho_proto::report::Figures;
use serde::Serialize;
use serde::de::DeserializeOwned;
use unicode_normalization::is_nfc;

use crate::check::{Check, is_key};
use crate::day::Day;
use crate::decimal::SCALE_MAX;
use crate::document::{Deadline, FieldType, Kind, Mode, PolicyDocument, RegimeDocument, UnitDocument};
use crate::regime::{Condition, Field, Regime};

/// Media type of every entry's payload.
pub const MEDIA_TYPE: &str = "application/vnd.kho.catalogue.v1+json";
/// Bytes of a document, at most: a regime of some hundred fields has a tenth of it.
pub const DOCUMENT_LENGTH_MAX: usize = 256 << 10;
/// Code of the one policy.
pub const POLICY_CODE: &str = "catalogue";
/// Regimes with this beginning are the catalogue's.
pub const RESERVED: &str = "kho.";

/// Whether a regime is reserved.
pub fn is_reserved(regime: &RegimeCode) -> bool {
    regime.as_str().starts_with(RESERVED)
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Unit, Kind::Regime, Kind::Policy];

    /// The regime that its entries are recorded under.
    pub fn regime(self) -> RegimeCode {
        format!("{RESERVED}{}", self.as_str()).parse().expect("a code")
    }

    /// As it stands in a document.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Unit => "unit",
            Kind::Regime => "regime",
            Kind::Policy => "policy",
        }
    }

    /// Of a reserved regime.
    pub fn of_regime(regime: &RegimeCode) -> Option<Kind> {
        let name = regime.as_str().strip_prefix(RESERVED)?;
        Kind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A document whose every rule holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A unit, and the days from and to which it reports.
    Unit(UnitDocument, (Option<Day>, Option<Day>)),
    /// A regime.
    Regime(Box<Regime>),
    /// The policy.
    Policy(PolicyDocument),
}

impl Entry {
    /// Reads a document of any kind; each place that breaks a rule is named.
    pub fn from_json(bytes: &[u8]) -> Result<Entry, FieldErrors> {
        let mut rules = Rules::default();
        if bytes.len() > DOCUMENT_LENGTH_MAX {
            rules.wrong("", format!("at most {DOCUMENT_LENGTH_MAX} bytes"), format!("{} bytes", bytes.len()));
            return Err(rules.0);
        }
        // names twice and numbers that are no longer what was written
        if let Err(error) = serde_json::from_slice::<Figures>(bytes) {
            rules.wrong("", "JSON with each name once", error.to_string());
            return Err(rules.0);
        }
        #[derive(serde::Deserialize)]
        struct Kinded {
            kind: Kind,
        }
        match parsed::<Kinded>(bytes, &mut rules).map(|kinded| kinded.kind) {
            Some(Kind::Unit) => parsed(bytes, &mut rules).map(|document| unit(document, &mut rules)),
            Some(Kind::Regime) => parsed(bytes, &mut rules).map(|document| regime(document, &mut rules)),
            Some(Kind::Policy) => parsed(bytes, &mut rules).map(|document| policy(document, &mut rules)),
            None => None,
        }
        .filter(|_| rules.0.is_empty())
        .ok_or(rules.0)
    }

    /// The entry of a record, held against its header.
    pub fn of_record(header: &Header, payload: &[u8]) -> Result<Entry, FieldErrors> {
        let entry = Self::from_json(payload)?;
        let mut rules = Rules::default();
        let mut same = |field: &str, expected: &str, found: &str| {
            if expected != found {
                rules.wrong(format!("header.{field}"), expected, excerpt(found));
            }
        };
        same("regime", entry.kind().regime().as_str(), header.regime.as_str());
        same("period", entry.effective_from(), &header.period.to_string());
        same("series", entry.code(), &header.series);
        same("media_type", MEDIA_TYPE, &header.media_type);
        if entry.canonical() != payload {
            rules.wrong("", "the canonical form of the document", "another");
        }
        if rules.0.is_empty() { Ok(entry) } else { Err(rules.0) }
    }

    /// What it is of.
    pub fn kind(&self) -> Kind {
        match self {
            Entry::Unit(..) => Kind::Unit,
            Entry::Regime(_) => Kind::Regime,
            Entry::Policy(_) => Kind::Policy,
        }
    }

    /// The code of the unit or regime.
    pub fn code(&self) -> &str {
        match self {
            Entry::Unit(document, _) => &document.code,
            Entry::Regime(regime) => &regime.document.code,
            Entry::Policy(document) => &document.code,
        }
    }

    /// The day from which it counts, as it is written.
    pub fn effective_from(&self) -> &str {
        match self {
            Entry::Unit(document, _) => &document.effective_from,
            Entry::Regime(regime) => &regime.document.effective_from,
            Entry::Policy(document) => &document.effective_from,
        }
    }

    /// The payload: members in the order of their names, what is at its default left out.
    pub fn canonical(&self) -> Vec<u8> {
        match self {
            Entry::Unit(document, _) => canonical(document),
            Entry::Regime(regime) => canonical(&regime.document),
            Entry::Policy(document) => canonical(document),
        }
    }
}

fn canonical(document: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_vec(document).expect("a document is JSON");
    let figures: Figures = serde_json::from_slice(&text).expect("its own JSON");
    figures.into_canonical().into_bytes()
}

fn parsed<T: DeserializeOwned>(bytes: &[u8], rules: &mut Rules) -> Option<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| {
            let path = error.path().to_string();
            rules.wrong(if path == "." { "" } else { &path }, "the schema of the document", error.inner().to_string());
        })
        .ok()
}

const CODE: &str = "1 to 32 of A-Z a-z 0-9 . _ - starting with a letter or digit";
const KEY: &str = "1 to 64 of A-Z a-z 0-9 _ starting with a letter";
const DAY: &str = "a day such as 2020-06-30";

/// Collects what breaks a rule.
#[derive(Default)]
pub(crate) struct Rules(pub FieldErrors);

impl Rules {
    pub fn wrong(&mut self, path: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) {
        let (path, expected, found) = (path.into(), expected.into(), found.into());
        let place = if path.is_empty() { "tài liệu" } else { &path };
        let message_vi = format!("{place} không đúng quy tắc của danh mục");
        let place = if path.is_empty() { "the document" } else { &path };
        let message_en = format!("{place}: expected {expected}, found {found}");
        self.0.push(FieldError { message_vi, message_en, path, expected, found });
    }

    fn code(&mut self, path: impl Into<String>, code: &str) {
        if code.parse::<UnitCode>().is_err() {
            self.wrong(path, CODE, excerpt(code));
        }
    }

    fn codes(&mut self, path: &str, codes: &[String], most: usize) {
        self.each_once(path, codes, most);
        codes.iter().enumerate().for_each(|(n, code)| self.code(format!("{path}[{n}]"), code));
    }

    fn each_once(&mut self, path: &str, texts: &[String], most: usize) {
        if texts.len() > most {
            self.wrong(path, format!("at most {most}"), texts.len().to_string());
        }
        let mut seen = std::collections::BTreeSet::new();
        for (n, text) in texts.iter().enumerate() {
            if !seen.insert(text) {
                self.wrong(format!("{path}[{n}]"), "each once", excerpt(text));
            }
        }
    }

    fn key(&mut self, path: impl Into<String>, key: &str) {
        if !is_key(key) {
            self.wrong(path, KEY, excerpt(key));
        }
    }

    fn day(&mut self, path: &str, day: &str) -> Option<Day> {
        let parsed = day.parse().ok();
        if parsed.is_none() {
            self.wrong(path, DAY, excerpt(day));
        }
        parsed
    }

    fn text(&mut self, path: impl Into<String>, text: &str, most: usize) {
        let length = text.chars().count();
        if text.trim().is_empty() || length > most || !is_nfc(text) || text.chars().any(|c| c.is_control() && c != '\n')
        {
            let found = if is_nfc(text) { excerpt(text) } else { format!("{} in another form", excerpt(text)) };
            self.wrong(path, format!("a text of 1 to {most} characters in NFC"), found);
        }
    }

    fn names(&mut self, path: &str, names: &crate::document::Names) {
        self.text(format!("{path}.vi"), &names.vi, 400);
        if let Some(en) = &names.en {
            self.text(format!("{path}.en"), en, 400);
        }
    }

    fn valid(&mut self, from: Option<&str>, to: Option<&str>) -> (Option<Day>, Option<Day>) {
        let from = from.and_then(|from| self.day("valid_from", from));
        let to_day = to.and_then(|to| self.day("valid_to", to));
        if let (Some(from), Some(last)) = (from, to_day)
            && last < from
        {
            self.wrong("valid_to", format!("{from} or later"), last.to_string());
        }
        (from, to_day)
    }
}

fn unit(document: UnitDocument, rules: &mut Rules) -> Entry {
    rules.code("code", &document.code);
    rules.day("effective_from", &document.effective_from);
    rules.names("name", &document.name);
    rules.key("unit_kind", &document.unit_kind);
    if let Some(parent) = &document.parent {
        rules.code("parent", parent);
        if *parent == document.code {
            rules.wrong("parent", "another unit", excerpt(parent));
        }
    }
    rules.codes("successors", &document.successors, 64);
    if document.successors.contains(&document.code) {
        rules.wrong("successors", "other units", excerpt(&document.code));
    }
    if !document.successors.is_empty() && document.valid_to.is_none() {
        rules.wrong("valid_to", "the unit's last day, as it has successors", "none");
    }
    let valid = rules.valid(document.valid_from.as_deref(), document.valid_to.as_deref());
    Entry::Unit(document, valid)
}

fn policy(document: PolicyDocument, rules: &mut Rules) -> Entry {
    if document.code != POLICY_CODE {
        rules.wrong("code", POLICY_CODE, excerpt(&document.code));
    }
    rules.day("effective_from", &document.effective_from);
    Entry::Policy(document)
}

fn regime(document: RegimeDocument, rules: &mut Rules) -> Entry {
    rules.code("code", &document.code);
    if document.code.starts_with(RESERVED) {
        rules.wrong("code", format!("a code that does not begin with {RESERVED}"), excerpt(&document.code));
    }
    rules.day("effective_from", &document.effective_from);
    rules.names("name", &document.name);
    rules.code("owner", &document.owner);
    if let Some(text) = &document.legal_basis {
        rules.text("legal_basis", text, 2000);
    }
    let valid = rules.valid(document.valid_from.as_deref(), document.valid_to.as_deref());
    if let Some(day) = document.cutoff_day.filter(|day| !(2..=28).contains(day)) {
        rules.wrong("cutoff_day", "2 to 28", day.to_string());
    }
    let deadline = match document.deadline {
        Some(Deadline::DayOfMonth { day, months_after }) => (1..=31).contains(&day) && months_after <= 12,
        Some(Deadline::DaysAfter(days)) => days <= 366,
        Some(Deadline::HoursAfter(hours)) => hours <= 8784,
        None => true,
    };
    if !deadline {
        rules.wrong("deadline", "day 1 to 31, months_after up to 12, days up to 366, hours up to 8784", "more");
    }
    let reporters = &document.reporters;
    rules.codes("reporters.units", &reporters.units, 4096);
    rules.each_once("reporters.unit_kinds", &reporters.unit_kinds, 64);
    for (n, kind) in reporters.unit_kinds.iter().enumerate() {
        rules.key(format!("reporters.unit_kinds[{n}]"), kind);
    }
    if reporters.units.is_empty() && reporters.unit_kinds.is_empty() {
        rules.wrong("reporters", "units or unit_kinds", "neither");
    }
    rules.codes("receivers", &document.receivers, 256);
    if document.mode == Mode::Checked && document.fields.is_empty() {
        rules.wrong("fields", "the fields of a checked regime", "none");
    }
    let (fields, checks) = fields(&document, rules);
    Entry::Regime(Box::new(Regime { document, valid, fields, checks }))
}

fn fields(document: &RegimeDocument, rules: &mut Rules) -> (Vec<Field>, Vec<Check>) {
    let keys: Vec<String> = document.fields.iter().map(|field| field.key.clone()).collect();
    rules.each_once("fields", &keys, 512);
    let mut fields = Vec::new();
    for (n, field) in document.fields.iter().enumerate() {
        let at = |part: &str| format!("fields[{n}].{part}");
        rules.key(at("key"), &field.key);
        rules.names(&at("label"), &field.label);
        let number = matches!(field.field_type, FieldType::Integer | FieldType::Decimal);
        if field.scale > if field.field_type == FieldType::Decimal { SCALE_MAX } else { 0 } {
            rules.wrong(at("scale"), format!("up to {SCALE_MAX}, of a decimal"), field.scale.to_string());
        }
        if !number && (field.min.is_some() || field.max.is_some()) {
            rules.wrong(at("min"), "limits of numbers only", "limits");
        }
        if let (Some(min), Some(max)) = (field.min, field.max)
            && max < min
        {
            rules.wrong(at("max"), format!("{min} or more"), max.to_string());
        }
        if field.max_words.is_some_and(|words| words == 0 || field.field_type != FieldType::Text) {
            rules.wrong(at("max_words"), "1 or more, of a text", "0, or of another type");
        }
        if field.unit_kind.is_some() && field.field_type != FieldType::ReportingUnit {
            rules.wrong(at("unit_kind"), "the kind of a reporting unit", "of another type");
        }
        if number && !field.one_of.is_empty() {
            rules.wrong(at("one_of"), "of texts and units only", "of a number");
        }
        rules.each_once(&at("one_of"), &field.one_of, 1024);
        for (m, text) in field.one_of.iter().enumerate() {
            rules.text(format!("fields[{n}].one_of[{m}]"), text, 400);
        }
        let required_if = field.required_if.as_deref().and_then(|text| {
            let condition = Condition::parse(text).filter(|condition| keys.contains(&condition.key));
            if condition.is_none() {
                rules.wrong(at("required_if"), "`key = value` of another field", excerpt(text));
            }
            condition
        });
        fields.push(Field { document: field.clone(), required_if });
    }
    let is_number = |key: &str| fields.iter().any(|field| field.document.key == key && field.is_number());
    let mut checks = Vec::new();
    rules.each_once("checks", &document.checks, 256);
    for (n, text) in document.checks.iter().enumerate() {
        match text.parse::<Check>() {
            Ok(check) if check.keys().all(is_number) => checks.push(check),
            _ => rules.wrong(format!("checks[{n}]"), "`a = b + c - d` between number fields", excerpt(text)),
        }
    }
    rules.each_once("subject", &document.subject, 8);
    for (n, key) in document.subject.iter().enumerate() {
        if !keys.contains(key) {
            rules.wrong(format!("subject[{n}]"), "the key of a field", excerpt(key));
        }
    }
    (fields, checks)
}
