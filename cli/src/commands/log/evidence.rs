//! What proves to anybody that a log broke its promise: notes that its key signed, and the hashes that set them against each
//! other. `docs/monitor.md` says how it is checked without this program.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kho_proto::checkpoint::VerifierKey;
use kho_proto::digest::Digest;
use kho_proto::error::Code;
use serde_json::{Value, json};

use super::place::Signed;
use crate::exit::Result;

/// Characters of the file's digest in its name: two pieces of evidence are never one file.
const NAME_DIGITS: usize = 8;

/// Version of the file's layout.
const VERSION: u32 = 1;

fn text(signed: &Signed) -> String {
    String::from_utf8_lossy(&signed.note).into_owned()
}

fn hashes(proof: &[Digest]) -> Vec<String> {
    proof.iter().map(Digest::to_string).collect()
}

fn about(kind: Code, key: &VerifierKey) -> Value {
    json!({ "version": VERSION, "kind": kind.as_str(), "origin": key.origin().as_str(), "verifier_key": key.to_string() })
}

/// Two checkpoints that are not of one tree: `proof` leads from `root`, at the older size, to the newer one's root.
pub fn fork(key: &VerifierKey, old: &Signed, new: &Signed, root: Digest, proof: &[Digest]) -> Value {
    let mut evidence = about(Code::LogForked, key);
    evidence["old"] = text(old).into();
    evidence["new"] = text(new).into();
    evidence["root_of_new_at_old_size"] = root.to_string().into();
    evidence["consistency_proof"] = hashes(proof).into();
    evidence
}

/// A later checkpoint of fewer leaves.
pub fn shrank(key: &VerifierKey, old: &Signed, new: &Signed) -> Value {
    let mut evidence = about(Code::LogShrank, key);
    evidence["old"] = text(old).into();
    evidence["new"] = text(new).into();
    evidence
}

/// A leaf that is proven to be in the tree and breaks a rule.
pub struct Leaf<'a> {
    pub index: u64,
    pub bytes: &'a [u8],
    pub inclusion: Vec<Digest>,
}

/// Leaves that break a rule, in the tree of a checkpoint.
pub fn leaves(key: &VerifierKey, signed: &Signed, rule: &str, leaves: &[Leaf<'_>]) -> Value {
    let mut evidence = about(Code::LogLeafInvalid, key);
    evidence["checkpoint"] = text(signed).into();
    evidence["rule"] = rule.into();
    evidence["leaves"] = leaves
        .iter()
        .map(|leaf| json!({ "index": leaf.index, "leaf": hex::encode(leaf.bytes), "inclusion_proof": hashes(&leaf.inclusion) }))
        .collect();
    evidence
}

/// Writes it down below `dir` under a name of its own.
pub fn write(dir: &Path, evidence: &Value) -> Result<PathBuf> {
    let text = format!("{evidence:#}\n");
    let digest = Digest::of(text.as_bytes()).to_string();
    let kind = evidence["kind"].as_str().unwrap_or_default();
    let path = dir.join(format!("{kind}-{}.json", &digest[..NAME_DIGITS]));
    kho::files::write(&path, text.as_bytes()).with_context(|| path.display().to_string())?;
    eprintln!(
        "the signed evidence is in {}; keep it: with the log's key it proves to anybody what the log did",
        path.display()
    );
    Ok(path)
}
