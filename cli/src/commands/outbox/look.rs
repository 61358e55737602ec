//! `kho outbox status`, `kho outbox list`

use comfy_table::{ContentArrangement, Table, presets};
use kho_client::{Listed, Place};
use kho_proto::header::SubmittedAt;
use kho_proto::id::UnixMs;
use serde_json::{Value, json};

use super::At;
use crate::commands::csv;
use crate::commands::entries::Format;
use crate::exit::Result;

/// Fields of `status` as CSV, in this order; the limits are those that were given.
const STATUS_FIELDS: [&str; 9] =
    ["queued", "in_doubt", "oldest", "refused", "bytes", "delivered", "delivered_bytes", "code", "sentence"];
/// Fields of a record in a list as CSV, in this order.
const LIST_FIELDS: [&str; 10] =
    ["record_id", "state", "added", "bytes", "rounds", "in_doubt", "code", "sentence", "told", "sequence"];

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
    /// How to write it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
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
    /// How to write them.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
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
    match args.format {
        Format::Json => return Ok(outln!("{object}")?),
        Format::Csv => {
            outln!("{}", csv::line(STATUS_FIELDS)?)?;
            return Ok(outln!("{}", csv::object(&STATUS_FIELDS, &object)?)?);
        }
        Format::Table => {}
    }
    let held = status.queued + status.refused;
    outln!("queued     {}, of which {} may be in already", status.queued, status.in_doubt)?;
    if let Some(oldest) = status.oldest {
        outln!("oldest     {}", moment(oldest))?;
    }
    if let (Some(code), Some(sentence)) = (code, sentence) {
        outln!("waits for  [{code}] {sentence}")?;
    }
    outln!("refused    {}", status.refused)?;
    outln!(
        "room       {held} of {} records, {} of {} bytes",
        status.limits.records_max,
        status.bytes,
        status.limits.bytes_max
    )?;
    outln!("delivered  {} kept with their receipts, {} bytes", status.delivered, status.delivered_bytes)?;
    Ok(())
}

fn object(listed: &Listed) -> Value {
    let (code, sentence) = listed.why.clone().unzip();
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
    })
}

fn cells(listed: &Listed) -> Vec<String> {
    let state = if listed.in_doubt { "queued, in doubt" } else { listed.place.as_str() };
    let why = match (&listed.why, listed.sequence) {
        (_, Some(sequence)) => format!("sequence {sequence}"),
        (Some((code, sentence)), None) => format!("[{code}] {sentence}"),
        (None, None) => String::new(),
    };
    vec![listed.record_id.to_string(), state.to_owned(), moment(listed.added), listed.rounds.to_string(), why]
}

pub fn list(args: &ListArgs) -> Result {
    let wanted = [(args.queued, Place::Queued), (args.refused, Place::Refused), (args.delivered, Place::Delivered)];
    let place = wanted.into_iter().find_map(|(wanted, place)| wanted.then_some(place));
    let listed = args.at.open_existing()?.list(place);
    match args.format {
        Format::Json => return listed.iter().try_for_each(|listed| Ok(outln!("{}", object(listed))?)),
        Format::Csv => {
            outln!("{}", csv::line(LIST_FIELDS)?)?;
            return listed.iter().try_for_each(|one| Ok(outln!("{}", csv::object(&LIST_FIELDS, &object(one))?)?));
        }
        Format::Table => {}
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["record", "state", "added", "rounds", "why"]);
    table.add_rows(listed.iter().map(cells));
    outln!("{table}")?;
    eprintln!("{} records", listed.len());
    Ok(())
}
