//! Documents in files: each holds one, or a list of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use kho_catalogue::{Entry, Kind};
use kho_proto::error::{Code, Refusal};
use kho_proto::fields::FieldErrors;
use kho_proto::report::Figures;

use crate::exit::{Exit, Failure, Result};

/// What an entry is found by.
pub type Key = (Kind, String, String);

/// An entry, and the place that it was read from.
pub struct Read {
    pub entry: Entry,
    pub place: String,
}

impl Read {
    pub fn key(&self) -> Key {
        let entry = &self.entry;
        (entry.kind(), entry.code().to_owned(), entry.effective_from().to_owned())
    }
}

/// Files of a folder, by name; or the file itself.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        let file = entry.with_context(|| path.display().to_string())?.path();
        if file.extension().is_some_and(|extension| extension == "json") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// All documents below a path; every place that breaks a rule is told.
pub fn read(path: &Path) -> Result<BTreeMap<Key, Read>> {
    let (mut all, mut wrong) = (BTreeMap::new(), Vec::new());
    for file in files(path)? {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        let documents: Vec<(String, String)> = if text.trim_start().starts_with('[') {
            // refuses a name twice, unlike a list of values
            let list: Vec<Figures> = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
            let each = list.into_iter().enumerate();
            each.map(|(n, document)| (format!("{name}[{n}]"), document.into_canonical())).collect()
        } else {
            vec![(name, text)]
        };
        for (place, document) in documents {
            match Entry::from_json(document.as_bytes()) {
                Ok(entry) => {
                    let read = Read { entry, place: place.clone() };
                    if let Some(before) = all.insert(read.key(), read) {
                        wrong.push(format!("{place}: the same code and day stand in {}", before.place));
                    }
                }
                Err(errors) => wrong.extend(told(&place, &errors)),
            }
        }
    }
    if wrong.is_empty() { Ok(all) } else { Err(invalid(&wrong)) }
}

fn told(place: &str, errors: &FieldErrors) -> Vec<String> {
    errors.kept().iter().map(|error| format!("{place}: {}", error.message_en)).collect()
}

fn invalid(wrong: &[String]) -> Failure {
    let text = format!("{} mistakes in the catalogue's files:\n  {}", wrong.len(), wrong.join("\n  "));
    Failure::coded(Exit::Refused, Refusal::new(Code::CatalogueInvalid, text))
}

/// Holds what documents name against the units that there are, in the files or in the cluster.
pub fn check_names(files: &BTreeMap<Key, Read>, in_cluster: &BTreeSet<String>) -> Result {
    let mut units: BTreeSet<&str> = in_cluster.iter().map(String::as_str).collect();
    units.extend(files.keys().filter(|(kind, ..)| *kind == Kind::Unit).map(|(_, code, _)| code.as_str()));
    let mut wrong = Vec::new();
    for read in files.values() {
        let mut named = |field: &str, codes: &mut dyn Iterator<Item = &String>| {
            for code in codes.filter(|code| !units.contains(code.as_str())) {
                wrong.push(format!("{}: {field}: no unit {code} in the files or the cluster", read.place));
            }
        };
        match &read.entry {
            Entry::Unit(document, _) => {
                named("parent", &mut document.parent.iter());
                named("successors", &mut document.successors.iter());
            }
            Entry::Regime(regime) => {
                let document = regime.document();
                named("owner", &mut std::iter::once(&document.owner));
                named("reporters.units", &mut document.reporters.units.iter());
                named("receivers", &mut document.receivers.iter());
                let of_units = document.fields.iter().filter(|field| field.unit_kind.is_some());
                named("fields.one_of", &mut of_units.flat_map(|field| &field.one_of));
            }
            Entry::Policy(_) => {}
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(invalid(&wrong)) }
}
