//! `kho catalogue diff`, and what `load` would do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use comfy_table::{ContentArrangement, Table, presets};
use kho::client_file::ClientFile;
use kho_catalogue::Kind;
use kho_client::{CatalogueEntry, CatalogueQuery};
use kho_proto::id::RecordId;
use serde_json::{Value, json};

use super::files::{self, Key, Read};
use super::{Common, day, name};
use crate::commands::csv;
use crate::commands::entries::Format;
use crate::exit::Result;
use crate::lang;

/// Says what differs between files and the cluster, or between two days.
#[derive(clap::Args)]
#[command(after_help = "\
With PATH: what kho catalogue load would do, and what only the cluster has (which load leaves as it is). With --from and --to:
codes whose document of one day is another one on the other.

Examples:
  kho catalogue diff catalogue/ --config client.toml
  kho catalogue diff --from 2020-06-30 --to 2020-07-01 --format json")]
pub struct Args {
    /// A document, a list of them, or a folder of such files.
    #[arg(value_name = "PATH", required_unless_present = "from")]
    path: Option<PathBuf>,
    /// The catalogue as it counts on this day...
    #[arg(long, value_name = "DAY", requires = "to", conflicts_with = "path", value_parser = day)]
    from: Option<String>,
    /// ...against that of this one.
    #[arg(long, value_name = "DAY", requires = "from", value_parser = day)]
    to: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// How an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    New,
    Changed,
    /// In the cluster, or on the first day, only.
    Gone,
}

/// An entry that differs, and the members of its document that do.
pub struct Difference {
    pub key: Key,
    pub change: Change,
    pub members: Vec<String>,
    /// The record whose place a correction takes.
    pub supersedes: Option<RecordId>,
}

fn kind_of(entry: &CatalogueEntry) -> Kind {
    Kind::ALL.into_iter().find(|kind| kind.as_str() == name(entry.kind)).unwrap_or(Kind::Policy)
}

/// Members of two objects that are not the same.
fn members(one: &[u8], other: &[u8]) -> Vec<String> {
    let parse = |text: &[u8]| serde_json::from_slice::<serde_json::Map<String, Value>>(text).unwrap_or_default();
    let (one, other) = (parse(one), parse(other));
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

/// Files against the cluster: units first, the policy last.
pub fn against(files: &BTreeMap<Key, Read>, cluster: &[CatalogueEntry]) -> Vec<Difference> {
    let there: BTreeMap<Key, &CatalogueEntry> = cluster
        .iter()
        .map(|entry| ((kind_of(entry), entry.code.clone(), entry.effective_from.clone()), entry))
        .collect();
    let keys: BTreeSet<&Key> = files.keys().chain(there.keys()).collect();
    let differs = |key: &Key| {
        let difference =
            |change, members, supersedes| Some(Difference { key: key.clone(), change, members, supersedes });
        match (files.get(key).map(|read| read.entry.canonical()), there.get(key)) {
            (Some(_), None) => difference(Change::New, Vec::new(), None),
            (None, Some(_)) => difference(Change::Gone, Vec::new(), None),
            (Some(own), Some(entry)) if own != entry.document => {
                difference(Change::Changed, members(&entry.document, &own), Some(entry.record_id))
            }
            _ => None,
        }
    };
    keys.into_iter().filter_map(differs).collect()
}

fn between(from: &[CatalogueEntry], to: &[CatalogueEntry]) -> Vec<Difference> {
    let by_code = |entries: &[CatalogueEntry]| -> BTreeMap<(Kind, String), CatalogueEntry> {
        entries.iter().map(|entry| ((kind_of(entry), entry.code.clone()), entry.clone())).collect()
    };
    let (from, to) = (by_code(from), by_code(to));
    let codes: BTreeSet<&(Kind, String)> = from.keys().chain(to.keys()).collect();
    let differs = |code: &(Kind, String)| {
        let (change, entry, members) = match (from.get(code), to.get(code)) {
            (None, Some(entry)) => (Change::New, entry, Vec::new()),
            (Some(entry), None) => (Change::Gone, entry, Vec::new()),
            (Some(one), Some(other)) if one.document != other.document => {
                (Change::Changed, other, members(&one.document, &other.document))
            }
            _ => return None,
        };
        let key = (code.0, code.1.clone(), entry.effective_from.clone());
        Some(Difference { key, change, members, supersedes: None })
    };
    codes.into_iter().filter_map(differs).collect()
}

/// Writes differences.
pub fn print(differences: &[Difference], format: Format, gone: &str) -> Result {
    let word = |change| match change {
        Change::New => "new",
        Change::Changed => "changed",
        Change::Gone => gone,
    };
    if format == Format::Json {
        for Difference { key: (kind, code, from), change, members, .. } in differences {
            let object = json!({
                "change": word(*change), "kind": kind.as_str(), "code": code, "effective_from": from, "members": members
            });
            outln!("{object}")?;
        }
        return Ok(());
    }
    if format == Format::Csv {
        outln!("{}", csv::line(["change", "kind", "code", "effective_from", "members"])?)?;
        for Difference { key: (kind, code, from), change, members, .. } in differences {
            outln!("{}", csv::line([word(*change), kind.as_str(), code, from, &members.join(" ")])?)?;
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["change", "kind", "code", "effective from", "differs in"]);
    for Difference { key: (kind, code, from), change, members, .. } in differences {
        table.add_row([word(*change), kind.as_str(), code, from, &members.join(" ")]);
    }
    outln!("{table}")?;
    Ok(())
}

pub async fn run(args: Args) -> Result {
    let files = args.path.as_deref().map(files::read).transpose()?;
    let client = ClientFile::load(&args.common.config)?.client()?;
    let (differences, gone) = match (files, &args.from, &args.to) {
        (Some(files), ..) => {
            let (cluster, _) = client.catalogue(&CatalogueQuery::default()).await?;
            (against(&files, &cluster), "only in the cluster")
        }
        (None, Some(from), Some(to)) => {
            let on = |day: &str| CatalogueQuery { on: Some(day.to_owned()), ..CatalogueQuery::default() };
            let (one, other) = (client.catalogue(&on(from)).await?.0, client.catalogue(&on(to)).await?.0);
            (between(&one, &other), "gone")
        }
        _ => (Vec::new(), ""),
    };
    print(&differences, args.common.output.format(), gone)?;
    let entries = lang::entries(lang::current(), differences.len() as u64);
    eprintln!("{}", lang::DIFFER.with(lang::current(), &[("entries", &entries)]));
    Ok(())
}
