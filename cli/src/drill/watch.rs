//! Looks at every node all the time, each on its own: one that hangs delays nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kho::admin::Admin;
use kho_proto::pb::admin::v1::NodeStatusResponse;
use tokio::task::JoinSet;

use super::cluster::{Answer, Seen};

/// Between two looks at a node.
const POLL: Duration = Duration::from_millis(50);
/// Without an answer for so long, a node counts as gone: it is asked on.
const SILENT: Duration = Duration::from_millis(500);

/// A node was seen to lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Since the watch's epoch.
    pub at: Duration,
    /// What the node said.
    pub node_id: u64,
    /// What the node said.
    pub term: u64,
}

/// What has been seen.
#[derive(Debug)]
struct State {
    nodes: Vec<Node>,
    leaders: Vec<Sighting>,
    /// Since when the cluster is healthy without interruption.
    healthy: Option<Duration>,
    voters_min: usize,
}

#[derive(Debug)]
struct Node {
    /// As its last answer said.
    id: Option<u64>,
    latest: Answer,
    answered: Instant,
    /// Times at which it was gone, or had been started anew.
    absences: Vec<Duration>,
}

/// Watches until it is dropped.
pub struct Watch {
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Watches `admins`, times counted from `epoch`. `first`: what they said before.
    pub fn start(admins: &[Admin], first: Seen, epoch: Instant, voters_min: usize) -> Self {
        let now = Instant::now();
        let nodes = first.0.into_iter().map(|latest| Node::new(latest, now)).collect();
        let state = Arc::new(Mutex::new(State { nodes, leaders: Vec::new(), healthy: None, voters_min }));
        let mut tasks = JoinSet::new();
        for (place, admin) in admins.iter().enumerate() {
            tasks.spawn(follow(admin.clone(), place, state.clone(), epoch));
            tasks.spawn(silence(place, state.clone(), epoch));
        }
        Self { state, _tasks: tasks }
    }

    /// Who was seen to lead, in the order of the sightings.
    pub fn leaders(&self) -> Vec<Sighting> {
        lock(&self.state).leaders.clone()
    }

    /// Since when the cluster is healthy, if it is now.
    pub fn healthy_since(&self) -> Option<Duration> {
        lock(&self.state).healthy
    }

    /// What every node said last.
    pub fn seen(&self) -> Seen {
        Seen(lock(&self.state).nodes.iter().map(|node| node.latest.clone()).collect())
    }

    /// When after `since` the node `id` was first gone, or found to have been started anew.
    pub fn absent(&self, id: u64, since: Duration) -> Option<Duration> {
        let state = lock(&self.state);
        let node = state.nodes.iter().find(|node| node.id == Some(id))?;
        node.absences.iter().copied().find(|at| *at >= since)
    }
}

impl Node {
    fn new(latest: Answer, now: Instant) -> Self {
        let id = latest.1.as_ref().ok().map(|status| status.node_id);
        Self { id, latest, answered: now, absences: Vec::new() }
    }
}

impl State {
    fn look(&mut self, place: usize, answer: Result<NodeStatusResponse, String>, at: Duration) {
        let node = &mut self.nodes[place];
        match (&node.latest.1, &answer) {
            (_, Err(_)) => node.absences.push(at),
            (Ok(before), Ok(now)) if now.uptime_ms < before.uptime_ms => node.absences.push(at),
            _ => {}
        }
        // absences of one outage: the first and the last are enough
        if node.absences.len() > 64 {
            node.absences.remove(32);
        }
        if let Ok(status) = &answer {
            node.answered = Instant::now();
            node.id = Some(status.node_id);
            let new = |sighting: &Sighting| (sighting.node_id, sighting.term) == (status.node_id, status.term);
            if status.role == "leader" && !self.leaders.iter().any(new) {
                self.leaders.push(Sighting { at, node_id: status.node_id, term: status.term });
            }
        }
        node.latest.1 = answer;
        let seen = Seen(self.nodes.iter().map(|node| node.latest.clone()).collect());
        self.healthy = if seen.problems(self.voters_min).is_empty() { self.healthy.or(Some(at)) } else { None };
    }
}

async fn follow(admin: Admin, place: usize, state: Arc<Mutex<State>>, epoch: Instant) {
    loop {
        let answer = admin.status().await.map_err(|error| error.to_string());
        lock(&state).look(place, answer, epoch.elapsed());
        tokio::time::sleep(POLL).await;
    }
}

/// A node that is paused or cut off lets its caller wait: it is gone long before the call gives up.
async fn silence(place: usize, state: Arc<Mutex<State>>, epoch: Instant) {
    loop {
        tokio::time::sleep(POLL).await;
        let mut state = lock(&state);
        let silent = state.nodes[place].answered.elapsed();
        if silent > SILENT && state.nodes[place].latest.1.is_ok() {
            let why = format!("no answer for {} ms", silent.as_millis());
            state.look(place, Err(why), epoch.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cluster::tests::healthy;
    use super::*;

    fn state() -> State {
        let now = Instant::now();
        let nodes = healthy().0.into_iter().map(|latest| Node::new(latest, now));
        State { nodes: nodes.collect(), leaders: Vec::new(), healthy: None, voters_min: 3 }
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn health_counts_from_its_last_beginning() {
        let (mut state, seen) = (state(), healthy());
        let said = |place: usize| seen.0[place].1.clone();
        state.look(0, said(0), at(5));
        state.look(1, said(1), at(9));
        assert_eq!(state.healthy, Some(at(5)));
        state.look(1, Err("gone".to_owned()), at(20));
        assert_eq!(state.healthy, None);
        state.look(0, said(0), at(30));
        assert_eq!(state.healthy, None);
        state.look(1, said(1), at(40));
        assert_eq!(state.healthy, Some(at(40)));
    }

    #[test]
    fn an_absence_is_an_error_or_a_younger_process() {
        let mut state = state();
        let up = |ms: u64| {
            let mut status = healthy().0.remove(1).1.unwrap();
            status.uptime_ms = ms;
            Ok(status)
        };
        state.look(1, up(500), at(1));
        state.look(1, up(600), at(2));
        assert!(state.nodes[1].absences.is_empty());
        state.look(1, up(3), at(3));
        state.look(1, Err("gone".to_owned()), at(4));
        assert_eq!(state.nodes[1].absences, [at(3), at(4)]);
    }

    #[test]
    fn every_reign_is_seen_once() {
        let mut state = state();
        let mut later = healthy().0.remove(0).1.unwrap();
        for at_ms in 0..3 {
            state.look(0, Ok(later.clone()), at(at_ms));
        }
        later.term += 1;
        state.look(0, Ok(later), at(9));
        let seen: Vec<_> = state.leaders.iter().map(|one| (one.at, one.term)).collect();
        assert_eq!(seen, [(at(0), 4), (at(9), 5)]);
    }
}
