//! `kho catalogue list` and `show`

use comfy_table::{ContentArrangement, Table, presets};
use kho::client_file::ClientFile;
use kho_client::{CatalogueEntry, CatalogueQuery};
use serde_json::{Value, json};

use super::{Common, Kind, day, name};
use crate::commands::csv;
use crate::commands::entries::{Format, freshness};
use crate::exit::{Exit, Failure, Result};
use crate::lang;

/// Lists units, regimes and the policy.
#[derive(clap::Args)]
#[command(after_help = "\
Every client with a role sees the whole catalogue. Without --on all versions are listed, of each day the latest revision.

Examples:
  kho catalogue list --kind unit --on 2020-06-30 --config client.toml
  kho catalogue list --kind regime --format json | jq .document.frequency")]
pub struct ListArgs {
    /// Of this kind only.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Only the versions that count on this day.
    #[arg(long, value_name = "DAY", value_parser = day)]
    on: Option<String>,
    /// Takes one node's state as it is.
    #[arg(long)]
    stale: bool,
    #[command(flatten)]
    common: Common,
}

/// Shows an entry's document, in all its versions.
#[derive(clap::Args)]
#[command(after_help = "\
The record behind a version, with its signature and receipt, is kho get RECORD-ID's.

Examples:
  kho catalogue show YT-01 --config client.toml
  kho catalogue show T02 --on 2020-06-30 --format json")]
pub struct ShowArgs {
    /// Code of a unit or regime; `catalogue` for the policy.
    code: String,
    /// Only the version that counts on this day.
    #[arg(long, value_name = "DAY", value_parser = day)]
    on: Option<String>,
    #[command(flatten)]
    common: Common,
}

fn document(entry: &CatalogueEntry) -> Value {
    serde_json::from_slice(&entry.document).unwrap_or(Value::Null)
}

fn object(entry: &CatalogueEntry) -> Value {
    json!({
        "kind": name(entry.kind), "code": entry.code, "effective_from": entry.effective_from, "revision": entry.revision,
        "sequence": entry.sequence.0, "record_id": entry.record_id.to_string(), "document": document(entry),
    })
}

/// The fields of [`object`]; the document as JSON.
const FIELDS: [&str; 7] = ["kind", "code", "effective_from", "revision", "sequence", "record_id", "document"];

fn print_csv(entries: &[CatalogueEntry]) -> Result {
    outln!("{}", csv::line(FIELDS)?)?;
    for entry in entries {
        let object = object(entry);
        let cell = |field: &&str| object[*field].as_str().map_or_else(|| object[*field].to_string(), str::to_owned);
        outln!("{}", csv::line(FIELDS.iter().map(cell))?)?;
    }
    Ok(())
}

fn about(document: &Value) -> String {
    let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
    let parts = match document["kind"].as_str() {
        Some("unit") => {
            [text("unit_kind"), document["valid_to"].as_str().map(|to| format!("to {to}")).unwrap_or_default()]
        }
        Some("regime") => [text("frequency"), text("mode")],
        _ => [if document["enforced"] == json!(true) { "enforced" } else { "not enforced" }.to_owned(), String::new()],
    };
    parts.join(" ").trim().to_owned()
}

pub async fn list(args: ListArgs) -> Result {
    let client = ClientFile::load(&args.common.config)?.client()?;
    let query = CatalogueQuery { kind: args.kind.map(Into::into), codes: Vec::new(), on: args.on, stale: args.stale };
    let (entries, fresh) = client.catalogue(&query).await?;
    match args.common.output.format() {
        Format::Json => {
            for entry in &entries {
                outln!("{}", object(entry))?;
            }
        }
        Format::Csv => print_csv(&entries)?,
        Format::Table => {
            let mut table = Table::new();
            table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
            table.set_header(["kind", "code", "effective from", "revision", "name", "is"]);
            for entry in &entries {
                let document = document(entry);
                table.add_row([
                    name(entry.kind).to_owned(),
                    entry.code.clone(),
                    entry.effective_from.clone(),
                    entry.revision.to_string(),
                    document["name"]["vi"].as_str().unwrap_or_default().to_owned(),
                    about(&document),
                ]);
            }
            outln!("{table}")?;
        }
    }
    eprintln!("{} {}", lang::entries(lang::current(), entries.len() as u64), freshness(fresh));
    Ok(())
}

pub async fn show(args: ShowArgs) -> Result {
    let client = ClientFile::load(&args.common.config)?.client()?;
    let query = CatalogueQuery { codes: vec![args.code.clone()], on: args.on, ..CatalogueQuery::default() };
    let (entries, _) = client.catalogue(&query).await?;
    if entries.is_empty() {
        return Err(Failure::new(Exit::Refused, format!("the catalogue has no {} then", args.code)));
    }
    if args.common.output.format() == Format::Csv {
        return print_csv(&entries);
    }
    for entry in &entries {
        match args.common.output.format() {
            Format::Json | Format::Csv => outln!("{}", object(entry))?,
            Format::Table => {
                let (kind, code, from) = (name(entry.kind), &entry.code, &entry.effective_from);
                let (revision, sequence, id) = (entry.revision, entry.sequence, entry.record_id);
                outln!("{kind} {code} from {from}, revision {revision}, at {sequence}, record {id}")?;
                outln!("{:#}", document(entry))?;
            }
        }
    }
    Ok(())
}
