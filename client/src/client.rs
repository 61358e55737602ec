//! The client itself: nodes, times, the pinned key.

use std::sync::Arc;

use crate::chains::Chains;
use crate::channel::{self, Tls};
use crate::clock::{Surroundings, System};
use crate::nodes::{Nodes, Preference};
use crate::receipts::{ReceiptCheck, Receipts};
use crate::timing::Timing;

/// Nodes that a client may know, at most.
pub const NODES_MAX: usize = 16;

/// What a client is told.
#[derive(Clone)]
pub struct Config {
    /// `host:port` of each node's client listener.
    pub nodes: Vec<String>,
    /// Identity and trust; `None` speaks plain HTTP/2, for tests.
    pub tls: Option<Tls>,
    /// What receipts are checked against.
    pub receipts: ReceiptCheck,
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
            tls: Some(tls),
            receipts,
            preference: Preference::default(),
            timing: Timing::default(),
            surroundings: Arc::new(System),
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Too few or too many nodes.
    #[error("expected 1 to {NODES_MAX} nodes, found {found}")]
    Nodes {
        /// How many.
        found: usize,
    },
    /// A file or address.
    #[error(transparent)]
    Channel(#[from] channel::Error),
}

impl ConfigError {
    /// Stable code.
    pub fn code(&self) -> kho_proto::error::Code {
        match self {
            ConfigError::Nodes { .. } => kho_proto::error::Code::ConfigInvalid,
            ConfigError::Channel(error) => error.code(),
        }
    }
}

/// A connection to a cluster. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    nodes: Nodes,
    receipts: Receipts,
    chains: Chains,
    timing: Timing,
    surroundings: Arc<dyn Surroundings>,
}

impl Client {
    /// Sets up connections; they are made when first needed. Must be called within a tokio runtime.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        if config.nodes.is_empty() || config.nodes.len() > NODES_MAX {
            return Err(ConfigError::Nodes { found: config.nodes.len() });
        }
        let channels = config
            .nodes
            .iter()
            .map(|address| Ok((address.clone(), channel::open(address, config.tls.as_ref(), config.timing.connect)?)))
            .collect::<Result<Vec<_>, channel::Error>>()?;
        let shared = Shared {
            nodes: Nodes::new(channels, config.preference),
            receipts: Receipts::new(config.receipts),
            chains: Chains::default(),
            timing: config.timing,
            surroundings: config.surroundings,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Clock and entropy, as [`crate::Draft::sign`] takes them.
    pub fn surroundings(&self) -> &dyn Surroundings {
        &*self.shared.surroundings
    }

    pub(crate) fn nodes(&self) -> &Nodes {
        &self.shared.nodes
    }

    pub(crate) fn timing(&self) -> &Timing {
        &self.shared.timing
    }

    pub(crate) fn receipts(&self) -> &Receipts {
        &self.shared.receipts
    }

    pub(crate) fn chains(&self) -> &Chains {
        &self.shared.chains
    }

    /// Signatures of checkpoints that this client has verified: fewer than receipts, since the records of one entry share
    /// theirs.
    pub fn checkpoints_verified(&self) -> u64 {
        self.shared.receipts.verified()
    }

    /// Seed of the jitter of one call.
    pub(crate) fn seed(&self) -> u64 {
        let mut seed = [0; 8];
        self.shared.surroundings.fill(&mut seed);
        u64::from_le_bytes(seed)
    }
}
