//! Opening: log, state, checks of one against the other, then raft.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::background;
use super::config::{ConfigError, ConsensusConfig};
use super::error::OpenError;
use super::handle::{Consensus, Inner};
use super::log_store::{Identity, LogStore, TABLES};
use super::network::{Channels, Confirmed, Network};
use super::peer::{LOG_ID, PeerGate};
use super::service::RaftService;
use super::state::{Persist, Position, StateCore, StateStore};
use super::state_machine::StateMachine;
use super::types::Raft;
use crate::seams::{Dial, Seams};
use crate::snapshot::layout::Layout;
use crate::storage::fatal::FatalSwitch;
use crate::storage::rocks::RocksStorage;
use crate::storage::{Profile, Storage};

impl Consensus {
    /// Opens log and state in the data directory and starts raft. `fatal` fires once, on a storage error.
    pub async fn open(
        config: ConsensusConfig,
        seams: Seams,
        dial: Arc<dyn Dial>,
        fatal: FatalSwitch,
    ) -> Result<(Consensus, StateStore), OpenError> {
        let storage = Arc::new(RocksStorage::new(config.storage));
        Self::open_on(storage, config, seams, dial, fatal).await
    }

    /// The same on any storage, for simulation and tests.
    pub async fn open_on(
        storage: Arc<dyn Storage>,
        config: ConsensusConfig,
        seams: Seams,
        dial: Arc<dyn Dial>,
        fatal: FatalSwitch,
    ) -> Result<(Consensus, StateStore), OpenError> {
        config.validate()?;
        let raft_config = config.raft().map_err(|error| ConfigError {
            field: "raft",
            expected: "times that raft accepts".to_owned(),
            found: error.to_string(),
        })?;
        let layout = Layout::create(&config.data_dir, LOG_ID)?;
        // The log first: its lock keeps a second process out before anything is swept.
        let engine = storage.open(&layout.raft(), Profile::Log, TABLES)?;
        let state = Arc::new(StateCore::open(storage, layout.clone(), Arc::clone(&seams.clock))?);
        let identity = Identity::new(config.cluster_id, config.node_id);
        let log = LogStore::open(engine, identity, Arc::new(Persist(Arc::clone(&state))), fatal.clone())?;
        agree(&log, &state.position())?;

        let gate = PeerGate::new(config.cluster_id, config.node_id, config.epoch);
        let addresses: HashMap<_, _> = config.members.iter().map(|(id, address)| (*id, address.peer.clone())).collect();
        let confirmed = Arc::new(Confirmed::default());
        let channels = Arc::new(Channels::new(dial, addresses));
        let network = Network { gate, channels, confirmed };
        let machine = StateMachine::new(Arc::clone(&state), log.watch_flushed(), fatal.clone());
        let raft = Raft::new(config.node_id.0, Arc::new(raft_config), network.clone(), log.clone(), machine).await?;
        let service = RaftService::new(raft.clone(), gate, layout);
        let inner = Inner {
            raft,
            log,
            state: Arc::clone(&state),
            config,
            gate,
            network,
            service,
            leader: watch::Sender::new(None),
            stop: CancellationToken::new(),
            fatal,
        };
        let consensus = Consensus { inner: Arc::new(inner) };
        background::start(&consensus, &seams);
        Ok((consensus, StateStore::new(state)))
    }
}

/// Whether log and state can be of one node that lost nothing.
fn agree(log: &LogStore, state: &Position) -> Result<(), OpenError> {
    let (purged, last) = log.bounds();
    let index = |id: Option<super::types::LogId>| id.map_or(0, |id| id.index());
    let applied = index(state.last);
    if let Some(purged) = purged
        && state.last.is_none_or(|applied| applied.index() < purged.index())
    {
        return Err(OpenError::StateLost { purged: purged.index(), applied });
    }
    if state.last.is_some() && !log.has_vote() {
        return Err(OpenError::LogLost { applied });
    }
    // Apply waits for the log's sync, so only an installed snapshot may stand above the log.
    if state.last.is_some() && index(last) < applied && applied > state.base {
        return Err(OpenError::LogBehindState { applied, last: index(last) });
    }
    Ok(())
}
