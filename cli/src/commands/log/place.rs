//! Where a log is read, and whose it is.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use kho_client::log::PublicLog;
use kho_proto::checkpoint::{Checkpoint, VerifierKey};
use serde_json::{Value, json};

use crate::exit::Result;

/// Where Debian, and most others, keep the authorities that everybody trusts.
const SYSTEM_TRUST: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Between two looks at a log that has fewer leaves than it had.
const POLL: Duration = Duration::from_millis(500);

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[value(alias = "table")]
    Text,
    /// One JSON object.
    Json,
}

/// Where a log is read, and whose it is.
#[derive(clap::Args)]
pub struct Place {
    /// Where the log is published: a node's public log, or a proxy before some.
    #[arg(long, value_name = "https://HOST[:PORT][/PREFIX]", required_unless_present = "dir")]
    url: Option<String>,
    /// A directory laid out like the log's paths, instead.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["url", "trust"])]
    dir: Option<PathBuf>,
    /// PEM of the authorities that may name the server; those of SSL_CERT_FILE or the system if absent.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// The log's verifier key, or a file that holds it.
    #[arg(long, value_name = "VKEY")]
    key: String,
    /// Seconds for which what may pass is tried again: no answer, a tile that this node has not yet, fewer leaves.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    patience: u64,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json.
    #[arg(long, hide = true, conflicts_with = "format")]
    json: bool,
}

impl Place {
    /// How the result is printed.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// A checkpoint whose signature was verified, with the note that bears it.
#[derive(Debug, Clone)]
pub struct Signed {
    pub note: Bytes,
    pub checkpoint: Checkpoint,
}

impl Signed {
    pub fn open(note: Bytes, key: &VerifierKey) -> std::result::Result<Self, kho_proto::checkpoint::Error> {
        let checkpoint = key.open(&note)?;
        Ok(Self { note, checkpoint })
    }

    pub fn json(&self) -> Value {
        json!({ "size": self.checkpoint.size, "root": self.checkpoint.root.to_string() })
    }
}

/// A log, and what verifies it.
pub struct Log {
    pub public: PublicLog,
    pub key: VerifierKey,
    patience: Duration,
}

impl Place {
    pub fn open(&self) -> Result<Log> {
        let text = match std::fs::read_to_string(&self.key) {
            Ok(text) => text,
            Err(_) => self.key.clone(),
        };
        let key: VerifierKey = text.trim().parse().with_context(|| format!("--key {:?}", self.key))?;
        let patience = Duration::from_secs(self.patience);
        let public = match (&self.url, &self.dir) {
            (Some(url), _) => {
                let system = || std::env::var_os("SSL_CERT_FILE").map_or(SYSTEM_TRUST.into(), PathBuf::from);
                let trust = self.trust.clone().unwrap_or_else(system);
                let pem = std::fs::read(&trust).with_context(|| format!("--trust {}", trust.display()))?;
                PublicLog::https(url, &pem, patience)?
            }
            (None, Some(dir)) => PublicLog::directory(dir),
            (None, None) => unreachable!("clap wants one of them"),
        };
        Ok(Log { public, key, patience })
    }
}

impl Log {
    /// A checkpoint that was saved.
    pub fn saved(&self, path: &Path) -> Result<Signed> {
        let note = std::fs::read(path).with_context(|| path.display().to_string())?;
        Ok(Signed::open(note.into(), &self.key).with_context(|| path.display().to_string())?)
    }

    /// The newest.
    pub async fn newest(&self) -> Result<Signed> {
        Ok(Signed::open(self.public.checkpoint().await?, &self.key)?)
    }

    /// The newest, once it has at least so many leaves: a node that lags, or has just started, may show fewer for a moment.
    /// What is there in the end may have fewer all the same.
    pub async fn newest_of(&self, size: u64) -> Result<Signed> {
        let end = Instant::now() + self.patience;
        loop {
            let signed = self.newest().await?;
            if signed.checkpoint.size >= size || Instant::now() > end {
                return Ok(signed);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Writes a checkpoint as it came.
pub fn save(path: &Path, signed: &Signed) -> Result {
    Ok(kho::files::write(path, &signed.note).with_context(|| path.display().to_string())?)
}
