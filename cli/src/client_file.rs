//! `client.toml`: how to reach a cluster, as whom, and what to believe.

mod error;

use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kho_client::{Client, Config, LogMemory, PemSigner, ReceiptCheck, Timing, Tls};
use kho_proto::checkpoint::VerifierKey;
use serde::{Deserialize, Serialize};

pub use error::Error;

use crate::admin::Admin;

/// PEM files of a connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Own certificate, then its intermediates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authority that names the nodes.
    pub trust: PathBuf,
}

/// PEM files of a signer of records.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerFiles {
    /// Certificate, then its intermediates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// `ed25519`, `ecdsa-p256-sha256`, `rsa-pkcs1-sha256` or `rsa-pss-sha256`; by the key if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
}

/// The file's content.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientFile {
    /// `host:port` of the nodes' client listeners.
    pub nodes: Vec<String>,
    /// `host:port` of the nodes' admin listeners.
    #[serde(default)]
    pub admin_nodes: Vec<String>,
    /// The log's key, as `kho cluster init` and `kho keys public` print it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier_key: Option<String>,
    /// Deadline of a call in milliseconds; 3000 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Roots of record signers, for `kho verify` and `kho get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signers_trust: Option<PathBuf>,
    /// Identity on the client plane.
    pub tls: TlsFiles,
    /// Identity on the admin plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_tls: Option<TlsFiles>,
    /// Who signs records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<SignerFiles>,
}

/// Whether a text is rather a node's configuration than a client file. What is neither is left to the client file's parser, which
/// says what is wrong.
pub fn is_node(text: &str) -> bool {
    has_any(text, &["node_id", "listen", "members"])
}

/// Whether a text is rather a client file than a node's configuration.
pub fn is_client(text: &str) -> bool {
    !is_node(text) && has_any(text, &["nodes", "admin_nodes", "verifier_key", "admin_tls", "signer"])
}

fn has_any(text: &str, keys: &[&str]) -> bool {
    text.parse::<toml::Table>().is_ok_and(|table| keys.iter().any(|key| table.contains_key(*key)))
}

/// Deadlines of a call: below, no attempt has the time to reach a node and come back.
const DEADLINES: RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_millis(600_000);

impl TlsFiles {
    /// Reads the files, and looks at them again as long as a client has them.
    pub fn reloading(&self) -> Result<Tls, kho_client::channel::Error> {
        Tls::reloading(&self.certificate, &self.key, &self.trust)
    }

    /// Reads the files.
    pub fn load(&self) -> Result<Tls, kho_client::channel::Error> {
        Tls::from_files(&self.certificate, &self.key, &self.trust)
    }
}

impl ClientFile {
    fn parse(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => Error::Absent { path: path.to_owned() },
            _ => Error::File { path: path.to_owned(), source },
        })?;
        toml::from_str(&text).map_err(|source| match is_node(&text) {
            true => Error::Node { path: path.to_owned() },
            false => Error::Malformed { path: path.to_owned(), source: Box::new(source) },
        })
    }

    /// Writes the log's key into a file, leaving the rest as it is (comments are lost). A key that is pinned stays: a
    /// file with the same one is not touched, one with another is an error.
    pub fn pin(path: &Path, verifier_key: &str) -> Result<(), Error> {
        let file = Self::parse(path)?;
        match file.verifier_key {
            Some(pinned) if pinned == verifier_key => return Ok(()),
            Some(pinned) => {
                return Err(Error::Pinned { path: path.to_owned(), pinned, found: verifier_key.to_owned() });
            }
            None => {}
        }
        let file = ClientFile { verifier_key: Some(verifier_key.to_owned()), ..file };
        let text = toml::to_string(&file)?;
        crate::files::write(path, text.as_bytes()).map_err(|source| Error::File { path: path.to_owned(), source })
    }

    /// Writes a node's client and admin address in the place of another's.
    pub fn replace_node(path: &Path, gone: (&str, &str), new: (&str, &str)) -> Result<(), Error> {
        let mut file = Self::parse(path)?;
        for (addresses, gone, new) in [(&mut file.nodes, gone.0, new.0), (&mut file.admin_nodes, gone.1, new.1)] {
            addresses.retain(|address| address != gone);
            addresses.push(new.to_owned());
        }
        let text = toml::to_string(&file)?;
        crate::files::write(path, text.as_bytes()).map_err(|source| Error::File { path: path.to_owned(), source })
    }

    /// Reads a file; relative paths are relative to it.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut file = Self::parse(path)?;
        let base = path.parent().unwrap_or(Path::new("."));
        for path in file.paths_mut() {
            *path = base.join(&*path);
        }
        Ok(file)
    }

    fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let tls = [Some(&mut self.tls), self.admin_tls.as_mut()].into_iter().flatten();
        tls.flat_map(|tls| [&mut tls.certificate, &mut tls.key, &mut tls.trust])
            .chain(self.signer.iter_mut().flat_map(|signer| [&mut signer.certificate, &mut signer.key]))
            .chain(self.signers_trust.as_mut())
    }

    /// The pinned key of the log.
    pub fn verifier_key(&self) -> Result<VerifierKey, Error> {
        let text = self
            .verifier_key
            .as_deref()
            .ok_or(Error::Missing { field: "verifier_key", needed_for: "receipts are checked against it" })?;
        text.parse().map_err(|_| Error::Value {
            field: "verifier_key",
            expected: "a C2SP verifier key, name+hash+base64",
            found: text.to_owned(),
        })
    }

    /// A client that checks every receipt.
    pub fn client(&self) -> Result<Client, Error> {
        self.client_with(self.tls.load()?, LogMemory::default())
    }

    /// One for a command that runs for long: it follows its TLS files, and remembers what the log has signed.
    pub fn standing_client(&self, memory: LogMemory) -> Result<Client, Error> {
        self.client_with(self.tls.reloading()?, memory)
    }

    fn client_with(&self, tls: Tls, memory: LogMemory) -> Result<Client, Error> {
        let mut config = Config::new(self.nodes.clone(), tls, ReceiptCheck::Pinned(self.verifier_key()?));
        (config.timing, config.memory) = (self.timing()?, memory);
        Ok(Client::new(config)?)
    }

    /// The configured times: an attempt has a third of the deadline, so that a node that hangs leaves time for two others.
    pub fn timing(&self) -> Result<Timing, Error> {
        let standard = Timing::default();
        let deadline = self.deadline_ms.map_or(standard.deadline, Duration::from_millis);
        if !DEADLINES.contains(&deadline) {
            let found = deadline.as_millis().to_string();
            return Err(Error::Value { field: "deadline_ms", expected: "200 to 600000", found });
        }
        Ok(standard.within(deadline))
    }

    /// The identity on the admin plane.
    pub fn operator(&self) -> Result<Tls, Error> {
        let files = self.admin_tls.as_ref().ok_or(Error::Missing {
            field: "admin_tls",
            needed_for: "an operator's certificate opens the admin listeners",
        })?;
        Ok(files.load()?)
    }

    /// The admin listeners.
    pub fn admins(&self) -> Result<Vec<Admin>, Error> {
        let tls = self.operator()?;
        if self.admin_nodes.is_empty() {
            return Err(Error::Missing { field: "admin_nodes", needed_for: "addresses of the admin listeners" });
        }
        self.admin_nodes.iter().map(|address| Ok(Admin::new(address, &tls)?)).collect()
    }

    /// The configured signer.
    pub fn signer(&self) -> Result<PemSigner, Error> {
        let files =
            self.signer.as_ref().ok_or(Error::Missing { field: "signer", needed_for: "reports are signed with it" })?;
        let algorithm = files.algorithm.as_deref().map(str::parse).transpose()?;
        Ok(PemSigner::from_files(&files.certificate, &files.key, algorithm)?)
    }
}

#[cfg(test)]
mod tests;
