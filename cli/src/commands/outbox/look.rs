//! `kho outbox status`, `kho outbox list`

use std::fmt::Display;

use comfy_table::{ContentArrangement, Table, presets};
use kho_client::{Listed, OutboxAbout, OutboxStatus, Place};
use kho_proto::header::SubmittedAt;
use kho_proto::id::UnixMs;
use serde_json::{Value, json};

use super::At;
use crate::commands::csv;
use crate::commands::entries::{Format, Output};
use crate::exit::Result;
use crate::lang::{self, Lang, Text};

/// Fields of `status` as CSV, in this order; the limits are those that were given.
const STATUS_FIELDS: [&str; 9] =
    ["queued", "in_doubt", "oldest", "refused", "bytes", "delivered", "delivered_bytes", "code", "sentence"];
/// Fields of a record in a list as CSV, in this order.
const LIST_FIELDS: [&str; 15] = [
    "record_id",
    "state",
    "added",
    "bytes",
    "rounds",
    "in_doubt",
    "code",
    "sentence",
    "told",
    "sequence",
    "unit",
    "regime",
    "period",
    "series",
    "origin",
];

/// Says how the outbox stands: what waits and since when, what is refused, what is kept.
#[derive(clap::Args)]
#[command(after_help = "\
While a service or kho outbox run has the outbox open, ask that: this is refused (outbox-locked).

Examples:
  kho outbox status --dir /var/lib/reports/outbox
  kho outbox status --dir /var/lib/reports/outbox --format json | jq .queued")]
pub struct StatusArgs {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    output: Output,
}

/// Lists the records in the outbox, with the reason why each still waits or was refused.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kho outbox list --dir /var/lib/reports/outbox --refused
  kho outbox list --dir /var/lib/reports/outbox --format csv > outbox.csv
  kho outbox list --dir /var/lib/reports/outbox --format json | jq -r 'select(.code == \"figures-invalid\") | .record_id'")]
pub struct ListArgs {
    #[command(flatten)]
    at: At,
    /// Only those that wait.
    #[arg(long, conflicts_with_all = ["refused", "delivered"])]
    queued: bool,
    /// Only those that were refused.
    #[arg(long, conflicts_with = "delivered")]
    refused: bool,
    /// Only those that are delivered and kept.
    #[arg(long)]
    delivered: bool,
    #[command(flatten)]
    output: Output,
}

fn moment(at: UnixMs) -> String {
    SubmittedAt::from_unix_ms(at).to_string()
}

pub fn status(args: &StatusArgs) -> Result {
    let outbox = args.at.open_existing()?;
    let status = outbox.status();
    let (code, sentence) = status.waits_for.clone().unzip();
    let limits = json!({
        "records": status.limits.records_max,
        "bytes": status.limits.bytes_max,
        "kept_records": status.limits.kept_records_max,
        "kept_bytes": status.limits.kept_bytes_max,
    });
    let object = json!({
        "queued": status.queued,
        "in_doubt": status.in_doubt,
        "oldest": status.oldest.map(moment),
        "refused": status.refused,
        "bytes": status.bytes,
        "delivered": status.delivered,
        "delivered_bytes": status.delivered_bytes,
        "code": code,
        "sentence": sentence,
        "limits": limits,
    });
    match args.output.format() {
        Format::Json => return Ok(outln!("{object}")?),
        Format::Csv => {
            outln!("{}", csv::line(STATUS_FIELDS)?)?;
            return Ok(outln!("{}", csv::object(&STATUS_FIELDS, &object)?)?);
        }
        Format::Table => {}
    }
    for line in lines(&status, lang::current()) {
        outln!("{line}")?;
    }
    Ok(())
}

/// How it stands, for people: what, and how much of it.
fn lines(status: &OutboxStatus, lang: Lang) -> Vec<String> {
    let limits = &status.limits;
    let (held, delivered) =
        (lang::records(lang, status.queued + status.refused), lang::records(lang, status.delivered));
    let queued: [(&str, &dyn Display); 2] = [("queued", &status.queued), ("doubt", &status.in_doubt)];
    let room: [(&str, &dyn Display); 4] =
        [("held", &held), ("most", &limits.records_max), ("bytes", &status.bytes), ("bytes_most", &limits.bytes_max)];
    let kept: [(&str, &dyn Display); 2] = [("records", &delivered), ("bytes", &status.delivered_bytes)];
    let mut all = vec![(lang::QUEUED, lang::OUTBOX_QUEUED.with(lang, &queued))];
    all.extend(status.oldest.map(|oldest| (lang::OLDEST, moment(oldest))));
    all.extend(status.waits_for.as_ref().map(|(code, sentence)| (lang::WAITS_FOR, lang::why(lang, code, sentence))));
    all.push((lang::REFUSED_STATE, status.refused.to_string()));
    all.push((lang::ROOM, lang::OUTBOX_ROOM.with(lang, &room)));
    all.push((lang::DELIVERED, lang::OUTBOX_KEPT.with(lang, &kept)));
    let width = all.iter().map(|(name, _)| name.of(lang).chars().count()).max().unwrap_or_default();
    all.into_iter().map(|(name, text)| format!("{:<width$}  {text}", name.of(lang))).collect()
}

fn object(listed: &Listed) -> Value {
    let (code, sentence) = listed.why.clone().unzip();
    let about = listed.about.as_ref();
    json!({
        "record_id": listed.record_id.to_string(),
        "state": listed.place.as_str(),
        "added": moment(listed.added),
        "bytes": listed.bytes,
        "rounds": listed.rounds,
        "in_doubt": listed.in_doubt,
        "code": code,
        "sentence": sentence,
        "told": listed.told.map(moment),
        "sequence": listed.sequence.map(|sequence| sequence.0),
        "unit": about.map(|about| &about.unit),
        "regime": about.map(|about| &about.regime),
        "period": about.map(|about| &about.period),
        "series": about.map(|about| &about.series),
        "origin": about.and_then(|about| about.origin.as_ref()),
    })
}

/// Where a record is, for people.
pub fn place(place: Place) -> Text {
    match place {
        Place::Queued => lang::QUEUED,
        Place::Refused => lang::REFUSED_STATE,
        Place::Delivered => lang::DELIVERED,
    }
}

fn cells(listed: &Listed, lang: Lang) -> Vec<String> {
    let state = match listed.place {
        Place::Queued if listed.in_doubt => lang::QUEUED_IN_DOUBT,
        Place::Refused if listed.in_doubt => lang::REFUSED_IN_DOUBT,
        other => place(other),
    };
    let why = match (&listed.why, listed.sequence) {
        (_, Some(sequence)) => format!("{} {sequence}", lang::SEQUENCE.of(lang)),
        (Some((code, sentence)), None) => lang::why(lang, code, sentence),
        (None, None) => String::new(),
    };
    let about = listed.about.as_ref();
    let part = |part: fn(&OutboxAbout) -> &str| about.map(part).unwrap_or_default().to_owned();
    vec![
        listed.record_id.to_string(),
        part(|about| &about.unit),
        part(|about| &about.regime),
        part(|about| &about.period),
        part(|about| &about.series),
        part(|about| about.origin.as_deref().unwrap_or_default()),
        state.of(lang).to_owned(),
        moment(listed.added),
        listed.rounds.to_string(),
        why,
    ]
}

const COLUMNS: [Text; 10] = [
    lang::RECORD_ID,
    lang::UNIT,
    lang::REGIME,
    lang::PERIOD,
    lang::SERIES,
    lang::ORIGIN,
    lang::STATE,
    lang::ADDED,
    lang::ROUNDS,
    lang::WHY,
];

pub fn list(args: &ListArgs) -> Result {
    let wanted = [(args.queued, Place::Queued), (args.refused, Place::Refused), (args.delivered, Place::Delivered)];
    let place = wanted.into_iter().find_map(|(wanted, place)| wanted.then_some(place));
    let listed = args.at.open_existing()?.list(place);
    match args.output.format() {
        Format::Json => return listed.iter().try_for_each(|listed| Ok(outln!("{}", object(listed))?)),
        Format::Csv => {
            outln!("{}", csv::line(LIST_FIELDS)?)?;
            return listed.iter().try_for_each(|one| Ok(outln!("{}", csv::object(&LIST_FIELDS, &object(one))?)?));
        }
        Format::Table => {}
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(COLUMNS.map(Text::get));
    table.add_rows(listed.iter().map(|listed| cells(listed, lang::current())));
    outln!("{table}")?;
    eprintln!("{}", lang::records(lang::current(), listed.len() as u64));
    Ok(())
}
