//! The catalogue as this node knows it: the entries of its own state, opened and kept in memory.
//!
//! Nothing is written down: entries are records like all others, and what is kept here is found anew after a start or a
//! snapshot. A verdict is of a size of the log, so that nodes whose states have that size come to the same one.

mod find;
pub(crate) mod metric_definitions;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kho_catalogue::{Catalogue, Kind, is_reserved};
use kho_proto::error::{Code, Refusal};
use kho_proto::header::Header;
use kho_proto::id::{KeyId, Token, UnitCode};
use parking_lot::{Mutex, RwLock};

use crate::consensus::{Consensus, StateStore};
use crate::read::{Barrier, Opener};
use crate::seams::{Clock, Tasks};
use crate::write::Deadline;

/// A record is taken by a catalogue that was the newest at most so long ago, as far as a leader's word reached this node; else
/// the node asks the leader first. Heartbeats come every 75 ms.
const AGE_MAX: Duration = Duration::from_secs(1);
/// More new leaves than these are not looked at one by one: the index says which of them are entries.
const LEAVES_MAX: u64 = 512;
/// Data keys that the node remembers as the catalogue unit's, or not, at most: units have one or a few.
const KEYS_REMEMBERED_MAX: usize = 4096;

/// What a verdict is made by.
#[derive(Clone)]
pub struct Known {
    /// Entries among the first leaves of the log, and maybe some that came later.
    pub catalogue: Arc<Catalogue>,
    /// How many leaves.
    pub size: u64,
}

/// The tokens of the catalogue's records.
struct Tokens {
    unit: Token,
    regimes: [Token; Kind::ALL.len()],
}

/// Follows the catalogue of this node's state.
pub struct Follower {
    unit: UnitCode,
    tokens: Tokens,
    opener: Opener,
    state: StateStore,
    consensus: Consensus,
    barrier: Arc<Barrier>,
    tasks: Arc<dyn Tasks>,
    clock: Arc<dyn Clock>,
    known: RwLock<Known>,
    /// Whether a data key is the catalogue unit's.
    keys: Mutex<HashMap<KeyId, bool>>,
    /// One looks for new entries at a time.
    looking: tokio::sync::Mutex<()>,
}

/// The answer to records of reserved regimes where there is no catalogue.
pub(crate) fn check_not_reserved(header: &Header) -> Result<(), Refusal> {
    if !is_reserved(&header.regime) {
        return Ok(());
    }
    Err(missing())
}

/// What a node without a catalogue answers.
pub(crate) fn missing() -> Refusal {
    let refusal = Refusal::new(Code::CatalogueMissing, "this cluster keeps no catalogue of units and regimes");
    refusal.expected_found("[catalogue] unit in the nodes' configuration", "none")
}

impl Follower {
    /// Entries count that `unit` signed.
    pub(crate) fn new(
        unit: UnitCode,
        opener: Opener,
        (consensus, state): (Consensus, StateStore),
        barrier: Arc<Barrier>,
        (tasks, clock): (Arc<dyn Tasks>, Arc<dyn Clock>),
    ) -> Arc<Self> {
        let key = opener.tokens();
        let tokens = Tokens { unit: key.unit(&unit), regimes: Kind::ALL.map(|kind| key.regime(&kind.regime())) };
        let known = Known { catalogue: Arc::default(), size: 0 };
        Arc::new(Self {
            unit,
            tokens,
            opener,
            state,
            consensus,
            barrier,
            tasks,
            clock,
            known: RwLock::new(known),
            keys: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        })
    }

    /// Whether a record is an entry, which everybody may read.
    pub(crate) fn is_entry(&self, header: &Header) -> bool {
        is_reserved(&header.regime) && header.unit == self.unit
    }

    /// The catalogue of this node's state as it is now.
    pub(crate) async fn known(self: &Arc<Self>) -> Result<Known, Refusal> {
        let found = self.known.read().clone();
        if found.size == self.state.tip().size() {
            return Ok(found);
        }
        let _one = self.looking.lock().await;
        let known = self.known.read().clone();
        let size = self.state.tip().size();
        if known.size == size {
            return Ok(known);
        }
        if (known.size..known.size.saturating_add(LEAVES_MAX)).contains(&size) {
            self.look()?;
        } else {
            let follower = Arc::clone(self);
            let looked = self.tasks.blocking(move || follower.look()).await;
            looked.map_err(|error| Refusal::new(Code::NodeStopping, error.to_string()))??;
        }
        Ok(self.known.read().clone())
    }

    /// The same, of all that was acknowledged before the call.
    pub(crate) async fn newest(self: &Arc<Self>, deadline: Deadline) -> Result<Known, Refusal> {
        self.barrier.pass(deadline).await?;
        self.known().await
    }

    /// Judges a record whose sender is who it says. A refusal is by the newest catalogue; a record may be taken by one that was
    /// the newest [`AGE_MAX`] ago.
    pub(crate) async fn judge(
        self: &Arc<Self>,
        header: &Header,
        payload: &[u8],
        deadline: Deadline,
    ) -> Result<(), Refusal> {
        if is_reserved(&header.regime) && header.unit != self.unit {
            let refusal =
                Refusal::new(Code::CatalogueForbidden, "the regime is reserved for the unit that keeps the catalogue");
            return Err(refusal.expected_found(self.unit.as_str(), header.unit.as_str()));
        }
        let mut fresh = self.consensus.age().is_none_or(|age| age > AGE_MAX);
        loop {
            let known = if fresh { self.newest(deadline).await? } else { self.known().await? };
            let verdict = if is_reserved(&header.regime) {
                known.catalogue.judge_entry(header, payload)
            } else {
                known.catalogue.judge(known.size, header, payload, self.clock.now())
            };
            match verdict {
                Err(refusal) if fresh => return Err(refusal),
                Err(_) => fresh = true,
                Ok(()) => return Ok(()),
            }
        }
    }
}
