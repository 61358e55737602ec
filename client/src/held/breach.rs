//! A promise that a log broke, and what proves it. The file is the one of `kho log verify`: `docs/monitor.md` says how
//! anybody checks it.

use std::fmt;
use std::path::{Path, PathBuf};

use kho_proto::checkpoint::{Origin, VerifierKey};
use kho_proto::digest::Digest;
use kho_proto::error::Code;
use serde_json::{Value, json};

use super::{Answer, Note, file};

/// Version of the file's layout.
const VERSION: u32 = 1;
/// Characters of a digest in the file's name: of the document for a fork, of who is behind else. A node that stays behind fills
/// no disk.
const NAME_DIGITS: usize = 8;

/// Two words of a log, or of one of its nodes, that cannot both be true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("log {origin}: {message}{evidence}{said}")]
pub struct Breach {
    /// `log-forked` or `log-shrank`.
    pub code: Code,
    /// Which log.
    pub origin: Origin,
    /// What was expected and found.
    pub message: String,
    /// What proves it, as JSON: the signed notes, byte for byte, and the hashes between them.
    pub document: String,
    /// Where that was written.
    pub evidence: Evidence,
    /// Whether it was found just now.
    pub said: Said,
}

/// Where evidence lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// No directory was named: it is in the error only.
    NotAsked,
    /// In this file, durable.
    Written(PathBuf),
    /// It could not be written: keep [`Breach::document`].
    Failed(String),
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::NotAsked => Ok(()),
            Evidence::Written(path) => write!(f, "; the evidence is in {}", path.display()),
            Evidence::Failed(why) => write!(f, "; the evidence could not be written: {why}"),
        }
    }
}

/// When a breach was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// By this answer.
    Now,
    /// By an earlier one: nothing of the log is accepted since.
    Before,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Now => Ok(()),
            Said::Before => f.write_str(" (found before: nothing of this log is accepted since)"),
        }
    }
}

fn about(code: Code, key: &VerifierKey, old: &Note) -> Value {
    json!({
        "version": VERSION, "kind": code.as_str(), "origin": key.origin().as_str(), "verifier_key": key.to_string(),
        "old": old.text(),
    })
}

impl Breach {
    fn new(code: Code, key: &VerifierKey, message: String, document: &Value) -> Self {
        let document = format!("{document:#}\n");
        let origin = key.origin().clone();
        Self { code, origin, message, document, evidence: Evidence::NotAsked, said: Said::Now }
    }

    /// Two checkpoints that are not of one tree: `proof` leads from `root`, at the older size, to the newer one's root.
    pub(super) fn fork(key: &VerifierKey, old: &Note, new: &Note, root: Digest, proof: &[Digest]) -> Self {
        let (before, after) = (&old.checkpoint, &new.checkpoint);
        let message = format!(
            "expected root {} of the first {} leaves as was signed before, found {root} in the tree of {} that is signed too",
            before.root, before.size, after.size
        );
        let mut document = about(Code::LogForked, key, old);
        document["new"] = new.text().into();
        document["root_of_new_at_old_size"] = root.to_string().into();
        document["consistency_proof"] = proof.iter().map(Digest::to_string).collect();
        Self::new(Code::LogForked, key, message, &document)
    }

    /// The public log stays behind a checkpoint that was signed.
    pub(super) fn shrank(key: &VerifierKey, old: &Note, new: &Note) -> Self {
        let (before, after) = (&old.checkpoint, &new.checkpoint);
        let message = format!("expected at least {} leaves as were signed before, found {}", before.size, after.size);
        let mut document = about(Code::LogShrank, key, old);
        document["new"] = new.text().into();
        Self::new(Code::LogShrank, key, message, &document)
    }

    /// A node's linearizable answer reflects less than was signed before the call began.
    pub(super) fn shrunk_answer(key: &VerifierKey, old: &Note, size: u64, answer: &Answer<'_>) -> Self {
        let Answer { address, node, epoch, size: found } = *answer;
        let message = format!(
            "expected an answer of at least {size} leaves as were signed before the call, found {found} from node {node} at {address}"
        );
        let mut document = about(Code::LogShrank, key, old);
        document["answer"] =
            json!({ "address": address, "node": node.0, "epoch": epoch.map(|epoch| epoch.0), "size": found });
        Self::new(Code::LogShrank, key, message, &document)
    }

    /// Writes the evidence below `directory`, in the one file of what is `named` so: an older one is replaced. Blocks on the disk.
    pub(super) fn written(mut self, directory: Option<&Path>, named: &str) -> Self {
        tracing::error!(code = self.code.as_str(), origin = %self.origin, message = %self.message, "a log broke its promise");
        if let Some(directory) = directory {
            let digest = Digest::of(named.as_bytes()).to_string();
            let path = directory.join(format!("{}-{}.json", self.code.as_str(), &digest[..NAME_DIGITS]));
            self.evidence = match file::write(&path, self.document.as_bytes()) {
                Ok(()) => Evidence::Written(path),
                Err(error) => Evidence::Failed(format!("{}: {error}", path.display())),
            };
        }
        self
    }
}
