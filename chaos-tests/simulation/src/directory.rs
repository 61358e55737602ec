//! Who stands where: what an operator's notes and the clients' files say. The log of the cluster decides, not these.

use std::sync::Arc;

use kho_proto::id::NodeId;
use parking_lot::Mutex;

use crate::fault::PLACES;

/// Shared by operators, senders and faults.
pub struct Directory(Mutex<State>);

struct State {
    /// Voters, by place.
    places: Vec<NodeId>,
    /// Replaced, and its process still runs: clients' files may still name it.
    leaving: Option<NodeId>,
}

impl Directory {
    /// Of a cluster's first members.
    pub fn new() -> Arc<Self> {
        let places = (1..=PLACES).map(NodeId).collect();
        Arc::new(Self(Mutex::new(State { places, leaving: None })))
    }

    /// Who stands in each place.
    pub fn members(&self) -> Vec<NodeId> {
        self.0.lock().places.clone()
    }

    /// Who stands in a place.
    pub fn at(&self, place: u64) -> NodeId {
        self.0.lock().places[place as usize - 1]
    }

    /// Whom clients ask.
    pub fn asked(&self) -> Vec<NodeId> {
        let state = self.0.lock();
        state.places.iter().copied().chain(state.leaving).collect()
    }

    /// `new` stands in `old`'s place; `old`, if it runs, is still asked by some.
    pub fn replaced(&self, old: NodeId, new: NodeId, runs: bool) {
        let mut state = self.0.lock();
        state.places.iter_mut().filter(|node| **node == old).for_each(|node| *node = new);
        state.leaving = runs.then_some(old);
    }

    /// Whoever was leaving has left.
    pub fn left(&self) {
        self.0.lock().leaving = None;
    }

    /// At the end all members are asked, also one that learns and never got a vote.
    pub fn settle(&self, members: Vec<NodeId>) {
        *self.0.lock() = State { places: members, leaving: None };
    }
}
