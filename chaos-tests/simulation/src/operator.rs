//! An operator who has a node replaced: the steps of `kho cluster replace`, asked for on the admin plane until it is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kho_node::consensus::Role;
use kho_proto::error::Code;
use kho_proto::id::NodeId;
use parking_lot::Mutex;

use crate::caller::Caller;
use crate::host::Host;
use crate::record::Record;

/// Between two steps.
const PAUSE: Duration = Duration::from_millis(200);

/// How a replacement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// The operator asks for it.
    Asked,
    /// The new node votes, and the old one is no member.
    Done,
    /// The operator gave up: what was begun stays as it is.
    GivenUp,
}

/// A replacement.
pub struct Change {
    /// Who goes.
    pub old: NodeId,
    /// Who comes.
    pub new: NodeId,
    /// Asks until it is done; else the first refusal that asking again would not mend is the end, as it is of the command.
    patient: bool,
    told_to_stop: AtomicBool,
    stands: Mutex<Stands>,
    /// Refusals, by code.
    pub refused: Mutex<BTreeMap<String, u64>>,
}

impl Change {
    /// Asked for.
    pub fn new(old: NodeId, new: NodeId, patient: bool) -> Arc<Self> {
        let (told_to_stop, stands) = (AtomicBool::new(false), Mutex::new(Stands::Asked));
        Arc::new(Self { old, new, patient, told_to_stop, stands, refused: Mutex::default() })
    }

    /// How it stands.
    pub fn stands(&self) -> Stands {
        *self.stands.lock()
    }

    /// An operator who is not patient gives up.
    pub fn stop(&self) {
        self.told_to_stop.store(true, Ordering::Relaxed);
    }

    fn ends(&self) -> bool {
        !self.patient && self.told_to_stop.load(Ordering::Relaxed)
    }
}

/// Refusals that `kho cluster replace` takes for a reason to ask again.
fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::NotLeader | Code::NoLeader | Code::OutcomeUnknown | Code::MembershipChanging | Code::NodeStopping
    )
}

/// Replaces, from the operator's machine. `cluster`: all who could lead.
pub async fn replace(change: Arc<Change>, caller: Caller, cluster: Vec<Arc<Host>>, record: Arc<Record>) {
    let (old, new) = (change.old, change.new);
    let mut attempt = 0;
    let stands = loop {
        tokio::time::sleep(PAUSE).await;
        if change.ends() {
            break Stands::GivenUp;
        }
        // The command asks each node for its role; here it is looked at, for an answer with the disk's free bytes would not
        // be the same again. There may be two who say that they lead, and one of them is wrong.
        let leads = |host: &&Arc<Host>| host.running().is_some_and(|node| node.consensus.status().role == Role::Leader);
        let leaders: Vec<NodeId> = cluster.iter().filter(leads).map(|host| host.node).collect();
        attempt += 1;
        let Some(leader) = leaders.get(attempt % leaders.len().max(1)).copied() else { continue };
        match caller.replace(leader, old, new).await {
            Ok(answer) if answer.done => break Stands::Done,
            Ok(answer) => record.note(&format!("node {new} has {} of {}", answer.matched, answer.last_log)),
            Err(failed) => {
                record.note(&format!("node {old} by {new}, asked node {leader}: {failed}"));
                let Some(refusal) = failed.answer() else { continue };
                *change.refused.lock().entry(refusal.code.as_str().to_owned()).or_default() += 1;
                if !change.patient && !passes(refusal.code) {
                    break Stands::GivenUp;
                }
                if refusal.code == Code::MemberLeads
                    && let Err(failed) = caller.transfer(leader).await
                {
                    record.note(&format!("handing over from node {leader}: {failed}"));
                }
            }
        }
    };
    record.note(&format!("node {old} by {new}: {stands:?}"));
    *change.stands.lock() = stands;
}
