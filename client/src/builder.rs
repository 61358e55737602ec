//! Putting a client together, with all mistakes told at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kho_proto::checkpoint::VerifierKey;

use crate::channel::Tls;
use crate::client::Client;
use crate::clock::{Surroundings, System};
use crate::config::{Config, ConfigError, Problem};
use crate::held::LogMemory;
use crate::nodes::Preference;
use crate::receipts::ReceiptCheck;
use crate::timing::Timing;

/// How the nodes are spoken to.
enum Speaks {
    Files { certificate: PathBuf, key: PathBuf, trust: PathBuf },
    Given(Tls),
    Plainly,
}

/// What [`Client::builder`] gives.
#[must_use = "build() makes the client"]
pub struct Builder {
    sites: Vec<Vec<String>>,
    tls: Option<Speaks>,
    keys: Vec<VerifierKey>,
    /// Texts that are no keys.
    bad_keys: Vec<String>,
    unchecked: bool,
    memory: LogMemory,
    preference: Preference,
    timing: Timing,
    surroundings: Arc<dyn Surroundings>,
}

impl Client {
    /// Puts a client together: nodes, TLS and a log key are needed, all else has a default.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use kho_client::Client;
    ///
    /// let client = Client::builder()
    ///     .site(["kho1:7101", "kho2:7101", "kho3:7101"])
    ///     .site(["standby1:7101", "standby2:7101", "standby3:7101"])
    ///     .tls_files("client.pem", "client.key.pem", "client-ca.pem")
    ///     .log_key_text(&std::fs::read_to_string("log.vkey")?)
    ///     .remember_in("log-memory.json")
    ///     .evidence_in("evidence")
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> Builder {
        Builder {
            sites: Vec::new(),
            tls: None,
            keys: Vec::new(),
            bad_keys: Vec::new(),
            unchecked: false,
            memory: LogMemory::default(),
            preference: Preference::default(),
            timing: Timing::default(),
            surroundings: Arc::new(System),
        }
    }
}

impl Builder {
    /// A site's nodes, `host:port` of each one's client listener. Call it again for further sites: one is asked only when no
    /// node of those before answers.
    pub fn site<T: Into<String>>(mut self, nodes: impl IntoIterator<Item = T>) -> Self {
        self.sites.push(nodes.into_iter().map(Into::into).collect());
        self
    }

    /// Certificate chain, key and trusted roots in PEM files, which are read again when they change
    /// ([`Tls::reloading`]).
    pub fn tls_files(mut self, certificate: impl AsRef<Path>, key: impl AsRef<Path>, trust: impl AsRef<Path>) -> Self {
        let [certificate, key, trust] = [certificate.as_ref(), key.as_ref(), trust.as_ref()].map(Path::to_owned);
        self.tls = Some(Speaks::Files { certificate, key, trust });
        self
    }

    /// Identity and trust that the caller has.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(Speaks::Given(tls));
        self
    }

    /// Plain HTTP/2: for tests. A node of Kho takes none.
    pub fn without_tls(mut self) -> Self {
        self.tls = Some(Speaks::Plainly);
        self
    }

    /// Pins a log's key. Call it for each epoch and site whose receipts may come.
    pub fn log_key(mut self, key: VerifierKey) -> Self {
        self.keys.push(key);
        self
    }

    /// The same as text, one key a line, as `kho keys public` prints it.
    pub fn log_key_text(mut self, text: &str) -> Self {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.parse() {
                Ok(key) => self.keys.push(key),
                Err(_) => self.bad_keys.push(line.chars().take(80).collect()),
            }
        }
        self
    }

    /// Receipts are taken as they come: for tools that check later.
    pub fn receipts_unchecked(mut self) -> Self {
        self.unchecked = true;
        self
    }

    /// What the log is held to survives a restart in this file ([`LogMemory`]).
    pub fn remember_in(mut self, file: impl Into<PathBuf>) -> Self {
        self.memory.file = Some(file.into());
        self
    }

    /// Evidence of a log that forks or shrinks is written to this directory.
    pub fn evidence_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.memory.evidence = Some(directory.into());
        self
    }

    /// Whom to ask first.
    pub fn preference(mut self, preference: Preference) -> Self {
        self.preference = preference;
        self
    }

    /// Of a call as a whole. An attempt has a third of it, but not less than 250 ms.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.timing = self.timing.within(deadline);
        self
    }

    /// When a read that has no answer is asked of another node as well; none: never.
    pub fn hedge(mut self, after: Option<Duration>) -> Self {
        self.timing.hedge = after;
        self
    }

    /// All waits.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Clock and entropy.
    pub fn surroundings(mut self, surroundings: Arc<dyn Surroundings>) -> Self {
        self.surroundings = surroundings;
        self
    }

    /// The client. Connections are made when first needed; must be called within a tokio runtime.
    pub fn build(self) -> Result<Client, ConfigError> {
        let mut problems = Vec::new();
        let mut wrong = |field: &'static str, expected: &str, found: &str| {
            problems.push(Problem { field, expected: expected.to_owned(), found: found.to_owned() });
        };
        if self.tls.is_none() {
            wrong("tls", "certificate, key and trusted roots", "none");
        }
        for bad in &self.bad_keys {
            wrong("log_key", "a C2SP verifier key, name+hash+base64", &format!("{bad:?}"));
        }
        let keyless = self.keys.is_empty() && self.bad_keys.is_empty();
        if keyless && !self.unchecked {
            wrong("log_key", "at least one log key, or receipts_unchecked()", "none");
        }
        if !keyless && self.unchecked {
            wrong("log_key", "either log keys or receipts_unchecked()", "both");
        }
        let (tls, unreadable) = match self.tls {
            Some(Speaks::Files { certificate, key, trust }) => match Tls::reloading(&certificate, &key, &trust) {
                Ok(tls) => (Some(tls), None),
                Err(error) => (None, Some(error)),
            },
            Some(Speaks::Given(tls)) => (Some(tls), None),
            Some(Speaks::Plainly) | None => (None, None),
        };
        if let Some(error) = &unreadable {
            wrong("tls", "certificate, key and trusted roots in PEM files", &error.to_string());
        }
        let mut sites = self.sites.into_iter();
        let config = Config {
            nodes: sites.next().unwrap_or_default(),
            further_sites: sites.collect(),
            tls,
            receipts: match self.unchecked {
                true => ReceiptCheck::Unchecked,
                false => ReceiptCheck::PinnedKeys(self.keys),
            },
            memory: self.memory,
            preference: self.preference,
            timing: self.timing,
            surroundings: self.surroundings,
        };
        // a missing key was told above, in the builder's words
        problems.extend(config.problems().into_iter().filter(|problem| problem.field != "receipts"));
        match (problems.len(), unreadable) {
            (0, _) => Client::new(config),
            // alone it keeps its own code
            (1, Some(error)) => Err(error.into()),
            _ => Err(ConfigError::Invalid { problems }),
        }
    }
}
