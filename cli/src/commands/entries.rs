//! Records in a list, as people and as scripts read them.

use std::io;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use kho_client::{About, Entry, Fresh, Listing};
use serde_json::{Value, json};

use super::csv;
use crate::exit::Result;
use crate::lang::{self, Text};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON object a line.
    Json,
    /// Comma-separated values, with a header line.
    Csv,
}

/// The option for it, on every command that prints results.
#[derive(Debug, Clone, clap::Args)]
pub struct Output {
    /// How to write it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json: some commands knew only this.
    #[arg(long, hide = true, conflicts_with = "format")]
    json: bool,
}

impl Output {
    /// What was asked for.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// Fields of a record as [`object`] names them, in the order of CSV.
const FIELDS: [&str; 14] = [
    "sequence",
    "record_id",
    "accepted_at",
    "unit",
    "regime",
    "period",
    "series",
    "receivers",
    "submitted_at",
    "revision",
    "supersedes",
    "state",
    "media_type",
    "payload_length",
];
/// Those that an auditor gets.
const EVIDENCE_FIELDS: [&str; 6] = ["sequence", "record_id", "accepted_at", "leaf", "leaf_hash", "header_digest"];

/// Entries as comma-separated values: the fields of [`object`], receivers with spaces between them.
pub struct Csv {
    fields: Vec<&'static str>,
}

impl Csv {
    /// Fields by what the first entry is: a record, or an auditor's evidence; and what a command adds.
    pub fn new(first: Option<&Entry>, more: &[&'static str]) -> Self {
        let evidence = first.is_some_and(|entry| entry.about.is_none());
        let fields = if evidence { &EVIDENCE_FIELDS[..] } else { &FIELDS };
        Self { fields: [fields, more].concat() }
    }

    /// The header line.
    pub fn header(&self) -> io::Result<String> {
        csv::line(&self.fields)
    }

    /// A line.
    pub fn line(&self, object: &Value) -> io::Result<String> {
        csv::object(&self.fields, object)
    }
}

fn state(about: &About) -> &'static str {
    if about.superseded { "superseded" } else { "latest" }
}

/// An entry as a JSON object.
pub fn object(entry: &Entry) -> Value {
    let mut object = json!({
        "sequence": entry.sequence.0,
        "record_id": entry.record_id.to_string(),
        "accepted_at": entry.accepted_at.to_string(),
    });
    if let Some(about) = &entry.about {
        object["unit"] = json!(about.unit.as_str());
        object["regime"] = json!(about.regime.as_str());
        object["period"] = json!(about.period.to_string());
        object["series"] = json!(about.series);
        object["receivers"] = about.receivers.iter().map(|unit| unit.as_str()).collect();
        object["submitted_at"] = json!(about.submitted_at.to_string());
        object["revision"] = json!(about.revision);
        object["supersedes"] = json!(about.supersedes.map(|id| id.to_string()));
        object["state"] = json!(state(about));
        object["media_type"] = json!(about.media_type);
        object["payload_length"] = json!(about.payload_length);
    }
    if let Some(leaf) = &entry.leaf {
        object["leaf"] = json!(hex::encode(leaf.encode()));
        object["leaf_hash"] = json!(leaf.hash().to_string());
        object["header_digest"] = json!(leaf.header_digest.to_string());
    }
    object
}

/// An entry in cells: [`COLUMNS`], or [`EVIDENCE_COLUMNS`] for an auditor.
pub fn cells(entry: &Entry) -> Vec<String> {
    let (sequence, id, accepted_at) =
        (entry.sequence.to_string(), entry.record_id.to_string(), entry.accepted_at.to_string());
    match (&entry.about, &entry.leaf) {
        (Some(about), _) => vec![
            sequence,
            accepted_at,
            about.unit.to_string(),
            about.regime.to_string(),
            about.period.to_string(),
            about.series.clone(),
            about.receivers.iter().map(|unit| unit.as_str()).collect::<Vec<_>>().join(" "),
            about.revision.to_string(),
            if about.superseded { lang::SUPERSEDED } else { lang::LATEST }.get().to_owned(),
            id,
        ],
        (None, leaf) => {
            vec![sequence, accepted_at, leaf.as_ref().map(|leaf| leaf.hash().to_string()).unwrap_or_default(), id]
        }
    }
}

const COLUMNS: [Text; 10] = [
    lang::SEQUENCE,
    lang::ACCEPTED_AT,
    lang::UNIT,
    lang::REGIME,
    lang::PERIOD,
    lang::SERIES,
    lang::RECEIVERS,
    lang::REVISION,
    lang::STATE,
    lang::RECORD_ID,
];
const EVIDENCE_COLUMNS: [Text; 4] = [lang::SEQUENCE, lang::ACCEPTED_AT, lang::LEAF_HASH, lang::RECORD_ID];

fn table(entries: &[Entry]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    let evidence = entries.iter().any(|entry| entry.about.is_none());
    if evidence {
        table.set_header(EVIDENCE_COLUMNS.map(Text::get))
    } else {
        table.set_header(COLUMNS.map(Text::get))
    };
    for entry in entries {
        table.add_row(cells(entry));
    }
    for column in if evidence { &[0][..] } else { &[0, 7] } {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// How new an answer is, for people.
pub fn freshness(fresh: Fresh) -> String {
    let lang = lang::current();
    let of = lang::FRESH.with(lang, &[("size", &fresh.size), ("node", &fresh.node)]);
    match (fresh.linearizable, fresh.age) {
        (true, _) => of,
        (false, Some(age)) => format!("{of}; {}", lang::STALE.with(lang, &[("age", &age.as_millis())])),
        (false, None) => format!("{of}; {}", lang::STALE_UNKNOWN.of(lang)),
    }
}

/// Prints up to `limit` entries of a list.
pub async fn print(mut listing: Listing, format: Format, limit: Option<usize>) -> Result {
    let mut rows = Vec::new();
    let mut count = 0;
    let mut csv = Csv::new(None, &[]);
    while limit.is_none_or(|limit| count < limit) {
        let Some(entry) = listing.next().await? else { break };
        count += 1;
        match format {
            Format::Json => outln!("{}", object(&entry))?,
            Format::Csv => {
                if count == 1 {
                    csv = Csv::new(Some(&entry), &[]);
                    outln!("{}", csv.header()?)?;
                }
                outln!("{}", csv.line(&object(&entry))?)?;
            }
            Format::Table => rows.push(entry),
        }
    }
    match format {
        Format::Table => outln!("{}", table(&rows))?,
        // without a record, too, a reader finds the names
        Format::Csv if count == 0 => outln!("{}", csv.header()?)?,
        _ => {}
    }
    if let Some(fresh) = listing.fresh() {
        eprintln!("{} {}", lang::records(lang::current(), count as u64), freshness(fresh));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kho_proto::header::SubmittedAt;
    use kho_proto::id::{NodeId, RecordId, Seq, UnixMs};

    use super::*;

    fn entry() -> Entry {
        let at = SubmittedAt::from_unix_ms(UnixMs(1_591_925_400_250));
        Entry {
            sequence: Seq(7),
            record_id: RecordId([1; 16]),
            accepted_at: at,
            about: Some(Box::new(About {
                unit: "BYT".parse().expect("a code"),
                regime: "YT-01".parse().expect("a code"),
                period: "2020-06".parse().expect("a period"),
                series: "bệnh viện 1".to_owned(),
                receivers: vec!["VPCP".parse().expect("a code")],
                submitted_at: at,
                revision: 2,
                supersedes: Some(RecordId([2; 16])),
                media_type: "application/json".to_owned(),
                payload_length: 12,
                superseded: true,
            })),
            leaf: None,
        }
    }

    #[test]
    fn a_row_has_what_its_columns_say() {
        let text = table(&[entry()]).to_string();
        for part in ["sequence", "7", "bệnh viện 1", "VPCP", "superseded", "2020-06-12T08:30:00.250+07:00"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert_eq!(cells(&entry()).len(), COLUMNS.len());
        let evidence = Entry { about: None, ..entry() };
        assert_eq!(cells(&evidence).len(), EVIDENCE_COLUMNS.len());
        assert!(!table(&[evidence]).to_string().contains("unit"));
    }

    #[test]
    fn json_has_every_field() {
        let object = object(&entry());
        assert_eq!(
            (&object["sequence"], &object["revision"], &object["state"]),
            (&json!(7), &json!(2), &json!("superseded"))
        );
        assert_eq!(object["receivers"], json!(["VPCP"]));
        assert_eq!(object["supersedes"], json!("02020202-0202-0202-0202-020202020202"));
    }

    #[test]
    fn csv_has_the_fields_of_json() {
        let mut entry = entry();
        if let Some(about) = &mut entry.about {
            about.series = "khoa \"A\", tầng 2".to_owned();
            about.receivers.push("BTC".parse().expect("a code"));
        }
        let csv = Csv::new(Some(&entry), &["next"]);
        let mut json = object(&entry);
        json["next"] = json!(8);
        assert_eq!(json.as_object().expect("an object").keys().map(String::as_str).collect::<Vec<_>>(), csv.fields);
        assert_eq!(
            csv.line(&json).expect("a line"),
            "7,01010101-0101-0101-0101-010101010101,2020-06-12T08:30:00.250+07:00,BYT,YT-01,2020-06,\
             \"khoa \"\"A\"\", tầng 2\",VPCP BTC,2020-06-12T08:30:00.250+07:00,2,02020202-0202-0202-0202-020202020202,\
             superseded,application/json,12,8"
        );
        let evidence = Entry { about: None, ..entry };
        assert!(Csv::new(Some(&evidence), &[]).header().expect("a line").ends_with("leaf,leaf_hash,header_digest"));
    }

    #[test]
    fn a_stale_answer_says_so() {
        let fresh = Fresh { linearizable: false, age: Some(Duration::from_millis(40)), size: 9, node: NodeId(2) };
        assert_eq!(freshness(fresh), "of 9 leaves, by node 2; stale, 40 ms old at most");
        assert!(freshness(Fresh { age: None, ..fresh }).contains("unknown age"));
        assert_eq!(freshness(Fresh { linearizable: true, ..fresh }), "of 9 leaves, by node 2");
    }
}
