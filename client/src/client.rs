//! The client itself: nodes, times, pinned keys, what is remembered.

use std::sync::Arc;
use std::time::Duration;

use crate::chains::Chains;
use crate::channel::{self, TlsStatus};
use crate::clock::Surroundings;
use crate::config::{Config, ConfigError};
use crate::hedge::Budget;
use crate::held::{Held, MemoryError, Remembered};
use crate::nodes::Nodes;
use crate::receipts::Receipts;
use crate::reload::Reload;
use crate::timing::Timing;

/// A connection to a cluster. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// Of this clone's calls.
    timing: Timing,
}

struct Shared {
    nodes: Arc<Nodes>,
    receipts: Receipts,
    chains: Chains,
    hedges: Budget,
    reload: Option<Arc<Reload>>,
    surroundings: Arc<dyn Surroundings>,
}

impl Client {
    /// Sets up connections; they are made when first needed. Must be called within a tokio runtime.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(ConfigError::Invalid { problems });
        }
        let connect = config.timing.connect;
        let open = |address: &String| Ok((address.clone(), channel::open(address, config.tls.as_ref(), connect)?));
        let sites = config
            .sites()
            .map(|site| site.iter().map(open).collect())
            .collect::<Result<Vec<Vec<_>>, channel::Error>>()?;
        let nodes = Arc::new(Nodes::new(sites, config.preference));
        let held = Held::open(&config.memory, config.receipts.keys())?;
        let shared = Shared {
            reload: Reload::watching(config.tls, connect, &nodes),
            nodes,
            receipts: Receipts::new(config.receipts, held),
            chains: Chains::default(),
            hedges: Budget::default(),
            surroundings: config.surroundings,
        };
        Ok(Self { shared: Arc::new(shared), timing: config.timing })
    }

    /// The same client with another deadline for its calls: one call's, as in `client.within(time).get(id)`, or a clone's. An
    /// attempt has a third of it, but not less than 250 ms.
    #[must_use = "it is a clone that has the deadline"]
    pub fn within(&self, deadline: Duration) -> Self {
        Self { shared: self.shared.clone(), timing: self.timing.within(deadline) }
    }

    /// The same client with other waits. What bounds connections stays as it was built.
    #[must_use = "it is a clone that has the waits"]
    pub fn with_timing(&self, timing: Timing) -> Self {
        Self { shared: self.shared.clone(), timing }
    }

    /// Clock and entropy, as [`crate::Draft::sign`] takes them.
    pub fn surroundings(&self) -> &dyn Surroundings {
        &*self.shared.surroundings
    }

    pub(crate) fn nodes(&self) -> &Nodes {
        &self.shared.nodes
    }

    pub(crate) fn timing(&self) -> &Timing {
        &self.timing
    }

    pub(crate) fn receipts(&self) -> &Receipts {
        &self.shared.receipts
    }

    pub(crate) fn chains(&self) -> &Chains {
        &self.shared.chains
    }

    pub(crate) fn hedges(&self) -> &Budget {
        &self.shared.hedges
    }

    /// Signatures of checkpoints that this client has verified: fewer than receipts, since the records of one entry share
    /// theirs.
    pub fn checkpoints_verified(&self) -> u64 {
        self.shared.receipts.verified()
    }

    /// Reads that were asked of a second node because the first was slow.
    pub fn hedged(&self) -> u64 {
        self.shared.hedges.spent()
    }

    /// What is remembered of each log, and whether it still stands.
    pub fn remembered(&self) -> Vec<Remembered> {
        self.shared.receipts.held().remembered()
    }

    /// Writes what is remembered now, not within [`SAVE_INTERVAL`](crate::SAVE_INTERVAL); returns when it is durable. Blocks on
    /// the disk.
    pub fn save_memory(&self) -> Result<(), MemoryError> {
        self.shared.receipts.held().save()
    }

    /// How the TLS files fare; none where there are none to be read again.
    pub fn tls_status(&self) -> Option<TlsStatus> {
        self.shared.reload.as_ref().map(|reload| reload.status())
    }

    /// Reads the TLS files now; true: they had changed, and new calls take what they hold. An error: what was there stays. Blocks
    /// on the disk.
    pub fn reload_tls(&self) -> Result<bool, channel::Error> {
        self.shared.reload.as_ref().map_or(Ok(false), |reload| reload.now())
    }

    /// Seed of the jitter of one call.
    pub(crate) fn seed(&self) -> u64 {
        let mut seed = [0; 8];
        self.shared.surroundings.fill(&mut seed);
        u64::from_le_bytes(seed)
    }
}
