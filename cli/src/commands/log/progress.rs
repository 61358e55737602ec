//! How far an audit has come, on disk: so that the next one begins there.

use std::path::Path;

use anyhow::{Context, ensure};
use kho_proto::checkpoint::VerifierKey;
use kho_proto::digest::Digest;
use kho_proto::id::UnixMs;
use kho_proto::merkle::Frontier;
use serde::{Deserialize, Serialize};

use super::leaves::Course;
use super::place::Signed;
use crate::exit::Result;

const VERSION: u32 = 1;

/// The file. Nobody but its owner may write it: what it says is not proven again.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    verifier_key: String,
    /// Leaf at which the first audit began: what lies before was taken from a checkpoint.
    began_at: u64,
    size: u64,
    peaks: Vec<String>,
    last_accepted_at_ms: u64,
    /// The checkpoint that the last finished audit came to.
    checkpoint: Option<String>,
}

/// How far an audit has come.
pub struct Progress {
    pub course: Course,
    pub began_at: u64,
    pub checkpoint: Option<Signed>,
}

impl Progress {
    /// Nowhere yet.
    pub fn beginning() -> Self {
        Self { course: Course::beginning(), began_at: 0, checkpoint: None }
    }

    /// From a file; none if there is none.
    pub fn load(path: &Path, key: &VerifierKey) -> Result<Option<Self>> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(anyhow::Error::new(error).context(path.display().to_string()).into()),
        };
        Ok(Some(Self::read(&text, key).with_context(|| path.display().to_string())?))
    }

    fn read(text: &[u8], key: &VerifierKey) -> anyhow::Result<Self> {
        let file: File = serde_json::from_slice(text)?;
        ensure!(file.version == VERSION, "expected version {VERSION} of an audit's state, found {}", file.version);
        ensure!(file.verifier_key == key.to_string(), "expected an audit of {key}, found one of {}", file.verifier_key);
        let peak = |peak: &String| anyhow::Ok(Digest::try_from(hex::decode(peak)?.as_slice())?);
        let peaks = file.peaks.iter().map(peak).collect::<anyhow::Result<Vec<_>>>()?;
        let found = peaks.len();
        let frontier = Frontier::of_peaks(file.size, peaks)
            .with_context(|| format!("expected one peak for each set bit of {}, found {found}", file.size))?;
        let checkpoint = file.checkpoint.map(|note| Signed::open(note.into_bytes().into(), key)).transpose()?;
        let course = Course { frontier, last_accepted_at: UnixMs(file.last_accepted_at_ms) };
        Ok(Self { course, began_at: file.began_at, checkpoint })
    }

    /// Into a file.
    pub fn save(&self, path: &Path, key: &VerifierKey) -> Result {
        let frontier = &self.course.frontier;
        let file = File {
            version: VERSION,
            verifier_key: key.to_string(),
            began_at: self.began_at,
            size: frontier.size(),
            peaks: frontier.peaks().iter().map(Digest::to_string).collect(),
            last_accepted_at_ms: self.course.last_accepted_at.0,
            checkpoint: self.checkpoint.as_ref().map(|signed| String::from_utf8_lossy(&signed.note).into_owned()),
        };
        let text = serde_json::to_string_pretty(&file)?;
        Ok(kho::files::write(path, text.as_bytes()).with_context(|| path.display().to_string())?)
    }
}
