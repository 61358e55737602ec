//! What a client is told, and what is wrong with it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kho_proto::error::Code;

use crate::channel::{self, Tls};
use crate::clock::{Surroundings, System};
use crate::held::{LogMemory, MemoryError};
use crate::nodes::Preference;
use crate::receipts::ReceiptCheck;
use crate::rounds::ATTEMPT_MIN;
use crate::timing::Timing;

/// Nodes that a client may know, at most, over all sites.
pub const NODES_MAX: usize = 16;

/// What a client is told. [`Client::builder`](crate::Client::builder) puts one together.
#[derive(Clone)]
pub struct Config {
    /// `host:port` of each node's client listener, of the preferred site.
    pub nodes: Vec<String>,
    /// The same of further sites, in the order in which they are asked when no node of those before answers.
    pub further_sites: Vec<Vec<String>>,
    /// Identity and trust; `None` speaks plain HTTP/2, for tests.
    pub tls: Option<Tls>,
    /// What receipts are checked against.
    pub receipts: ReceiptCheck,
    /// Where it is kept what the log is held to.
    pub memory: LogMemory,
    /// Whom to ask first.
    pub preference: Preference,
    /// How long to wait.
    pub timing: Timing,
    /// Clock and entropy.
    pub surroundings: Arc<dyn Surroundings>,
}

impl Config {
    /// The usual configuration: mutual TLS, every receipt checked, 3 s.
    pub fn new(nodes: Vec<String>, tls: Tls, receipts: ReceiptCheck) -> Self {
        Self {
            nodes,
            further_sites: Vec::new(),
            tls: Some(tls),
            receipts,
            memory: LogMemory::default(),
            preference: Preference::default(),
            timing: Timing::default(),
            surroundings: Arc::new(System),
        }
    }

    /// Each site's addresses, the preferred site first.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.nodes).chain(&self.further_sites)
    }

    /// All that is wrong with it, as far as it shows without a file or a node.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |field: &'static str, expected: String, found: String| {
            problems.push(Problem { field, expected, found });
        };
        let (count, mut seen) = (self.sites().map(Vec::len).sum::<usize>(), BTreeSet::new());
        if self.nodes.is_empty() {
            wrong("nodes", "at least one node of the first site".to_owned(), "none".to_owned());
        }
        if count > NODES_MAX {
            wrong("nodes", format!("at most {NODES_MAX} nodes"), count.to_string());
        }
        if self.further_sites.iter().any(Vec::is_empty) {
            wrong("further_sites", "at least one node of each site".to_owned(), "none".to_owned());
        }
        for address in self.sites().flatten() {
            if !channel::is_address(address) {
                wrong("nodes", "an address like host:port".to_owned(), format!("{address:?}"));
            }
            if !seen.insert(address) {
                wrong("nodes", "each address once".to_owned(), format!("{address:?} twice"));
            }
        }
        if matches!(&self.receipts, ReceiptCheck::PinnedKeys(keys) if keys.is_empty()) {
            wrong("receipts", "at least one log key".to_owned(), "none".to_owned());
        }
        let Timing { deadline, attempt, connect, backoff_min, backoff_max, hedge } = self.timing;
        let ms = |time: Duration| format!("{} ms", time.as_millis());
        for (field, time) in [("timing.deadline", deadline), ("timing.attempt", attempt)] {
            if time < ATTEMPT_MIN {
                wrong(field, format!("at least {}", ms(ATTEMPT_MIN)), ms(time));
            }
        }
        if connect.is_zero() {
            wrong("timing.connect", "more than 0 ms".to_owned(), ms(connect));
        }
        if backoff_min > backoff_max {
            wrong("timing.backoff_min", format!("at most timing.backoff_max, {}", ms(backoff_max)), ms(backoff_min));
        }
        if hedge.is_some_and(|hedge| hedge.is_zero()) {
            wrong("timing.hedge", "more than 0 ms, or none".to_owned(), ms(Duration::ZERO));
        }
        problems
    }
}

/// A value that no client can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Of [`Config`], or of the builder.
    pub field: &'static str,
    /// What would have been right.
    pub expected: String,
    /// What was given.
    pub found: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.field, self.expected, self.found)
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Values that no client can have: all of them.
    #[error("{}", list(.problems))]
    Invalid {
        /// At least one.
        problems: Vec<Problem>,
    },
    /// A file or address.
    #[error(transparent)]
    Channel(#[from] channel::Error),
    /// The file with what the log is held to.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

impl ConfigError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            ConfigError::Invalid { .. } => Code::ConfigInvalid,
            ConfigError::Channel(error) => error.code(),
            ConfigError::Memory(error) => error.code(),
        }
    }
}
