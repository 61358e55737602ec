//! Opening: log, state, checks of one against the other, then raft.

use std::collections::HashMap;
use std::sync::Arc;

use openraft::RaftLogReader;
use openraft::storage::RaftLogStorage;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::background;
use super::config::{ConfigError, ConsensusConfig};
use super::error::OpenError;
use super::handle::{Consensus, Inner};
use super::heard::Heard;
use super::log_store::{self, Identity, LogStore, TABLES, Tide};
use super::network::{Channels, Confirmed, Network};
use super::peer::{LOG_ID, PeerGate};
use super::rebuild::Rebuild;
use super::service::RaftService;
use super::state::{Persist, Position, StateCore, StateStore};
use super::state_machine::StateMachine;
use super::types::Raft;
use crate::seams::{Dial, Seams};
use crate::snapshot::layout::{Layout, Part};
use crate::storage::fatal::FatalSwitch;
use crate::storage::guard::{Guard, OnDamage};
use crate::storage::{KvEngine, KvError, Profile, Storage};

impl Consensus {
    /// Opens log and state in the data directory, by `storage`, and starts raft. `fatal` fires once, on a storage error.
    pub async fn open(
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
        let gate = PeerGate::new(config.cluster_id, config.node_id, config.epoch);
        let addresses: HashMap<_, _> = config.members.iter().map(|(id, address)| (*id, address.peer.clone())).collect();
        let channels = Arc::new(Channels::new(dial, addresses));

        // The log first: its lock keeps a second process out before anything is swept.
        let engine = open_log(&*storage, &layout, &fatal)?;
        if config.took_part && !log_store::is_claimed(&*engine)? {
            let detail = "expected the log of a node that took part, found none".to_owned();
            return Err(OpenError::LogDamaged { detail });
        }
        let (node, members) = (config.node_id, &config.members);
        let tasks = &seams.tasks;
        let rebuild = Rebuild { storage: &storage, layout: &layout, gate, channels: &channels, node, members, tasks };
        let damaged = on_damage(&layout, Part::State, &fatal);
        let state = Arc::new(open_state(&rebuild, &*engine, &seams, damaged).await?);
        let tide = Tide::open(&layout.tide()).map_err(OpenError::Io)?;
        let identity = Identity::new(config.cluster_id, config.node_id);
        let persist = Arc::new(Persist(Arc::clone(&state)));
        let mut log = LogStore::open(engine, identity, persist, fatal.clone(), &seams.tasks, Some(tide))?;
        agree(&log, &state.position())?;
        drop_other_history(&mut log, &state.position()).await.map_err(OpenError::Io)?;

        let confirmed = Arc::new(Confirmed::default());
        let tasks = Arc::clone(&seams.tasks);
        let network = Network { gate, channels, confirmed, tasks };
        let machine = StateMachine::new(Arc::clone(&state), log.watch_flushed(), fatal.clone());
        let raft = Raft::new(config.node_id.0, Arc::new(raft_config), network.clone(), log.clone(), machine).await;
        // It applies what the state lacks; a disk that fails meanwhile is no fault of raft's.
        let raft = raft.map_err(|error| match fatal.fired() {
            true => OpenError::Io(std::io::Error::other(error)),
            false => error.into(),
        })?;
        let heard = Arc::new(Heard::default());
        let service = RaftService::new(raft.clone(), gate, layout, &state, &seams, Arc::clone(&heard));
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
            heard,
            clock: Arc::clone(&seams.clock),
        };
        let consensus = Consensus { inner: Arc::new(inner) };
        background::start(&consensus, &seams);
        Ok((consensus, StateStore::new(state)))
    }
}

/// A log that is damaged may have forgotten a vote or an entry that was confirmed: it is not opened.
fn open_log(storage: &dyn Storage, layout: &Layout, fatal: &FatalSwitch) -> Result<Arc<dyn KvEngine>, OpenError> {
    if let Some(detail) = layout.damage(Part::Log)? {
        return Err(OpenError::LogDamaged { detail });
    }
    let engine = storage.open(&layout.raft(), Profile::Log, TABLES).map_err(OpenError::log)?;
    Ok(Arc::new(Guard::new(engine, on_damage(layout, Part::Log, fatal))))
}

/// A state that is damaged is built anew first.
async fn open_state(
    rebuild: &Rebuild<'_>,
    log: &dyn KvEngine,
    seams: &Seams,
    damaged: OnDamage,
) -> Result<StateCore, OpenError> {
    let open = || {
        let (storage, layout) = (Arc::clone(rebuild.storage), rebuild.layout.clone());
        StateCore::open(storage, layout, seams, Arc::clone(&damaged))
    };
    let purged = log_store::purged(log)?;
    let why = match rebuild.layout.damage(Part::State)? {
        Some(why) => why,
        None => match open() {
            Err(error) if error.is_damage() => error.to_string(),
            Ok(state) if state.position().last < purged => "it is gone, as far as the log is purged".to_owned(),
            opened => return Ok(opened?),
        },
    };
    tracing::error!(why, "the state is damaged, and built anew");
    rebuild.run(purged).await?;
    let state = open()?;
    if state.position().last.is_some() {
        // raft hands it to followers that lack what is purged
        state.snapshot()?;
    }
    Ok(state)
}

/// A state that was fetched may stand where this log holds an entry that was never committed. What follows it was not
/// either: all of it goes, and comes again from the leader.
async fn drop_other_history(log: &mut LogStore, state: &Position) -> std::io::Result<()> {
    let Some(last) = state.last.filter(|last| last.index() == state.base) else { return Ok(()) };
    let there = log.try_get_log_entries(last.index()..=last.index()).await?;
    if there.first().is_some_and(|entry| entry.log_id != last) {
        tracing::warn!(
            index = last.index(),
            "the log has another history than the state that was fetched: it is dropped"
        );
        log.truncate_after(log.bounds().0).await?;
    }
    Ok(())
}

/// Damage that shows while the node runs ends it: what was read may be wrong elsewhere too. The next start knows.
fn on_damage(layout: &Layout, part: Part, fatal: &FatalSwitch) -> OnDamage {
    let (layout, fatal) = (layout.clone(), fatal.clone());
    Arc::new(move |error: &KvError| {
        if fatal.fired() {
            return;
        }
        if let Err(unwritten) = layout.mark_damaged(part, &error.to_string()) {
            tracing::error!(%unwritten, "the damage was not written down");
        }
        fatal.fire(&match part {
            Part::Log => format!("the raft log is damaged: {error}; replace this node by one with a new id"),
            Part::State => format!("the state is damaged: {error}; started again, this node builds it anew"),
        });
    })
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
