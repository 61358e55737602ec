//! Submits the reports, kills the leader half-way, starts it again later.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kho::dev::{self, DevCluster, Identity, NodeId, READY_TIMEOUT};
use kho_client::{Acknowledged, Client, Preference, Signed, SubmitError};
use kho_proto::pb::admin::v1::NodeStatusResponse;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::progress::Progress;
use crate::exit::Result;

/// A record whose outcome is unknown is submitted again, so many times.
const RESUBMITS_MAX: u32 = 20;
/// Between looks for a new leader.
const POLL: Duration = Duration::from_millis(10);

/// What became of one report.
pub struct Sent {
    /// Its place in the list.
    pub index: usize,
    /// From the first attempt to the definite answer.
    pub latency: Duration,
    /// When the answer came, since the start.
    pub at: Duration,
    /// How often the client said that it does not know.
    pub unknown: u32,
    /// The last answer.
    pub answer: std::result::Result<Acknowledged, SubmitError>,
}

/// What happened.
pub struct Drive {
    /// One per report, in the order of the answers.
    pub sent: Vec<Sent>,
    /// How long it took.
    pub took: Duration,
    /// Who led until it was killed.
    pub old_leader: NodeId,
    /// Who led then: in a higher term, and perhaps the same node, if it was back before the others had elected.
    pub new_leader: NodeId,
    /// From SIGKILL to the first time that a node called itself leader.
    pub election: Duration,
}

pub async fn submit_all(cluster: &mut DevCluster, records: &[Arc<Signed>], concurrency: usize) -> Result<Drive> {
    let mut config = cluster.client_config(&Identity::Platform)?;
    config.preference = Preference::Spread;
    let client = Client::new(config)?;
    let records: Arc<[Arc<Signed>]> = records.into();
    let total = records.len();
    let mut progress = Progress::new("submitting", total as u64);
    let (answers, mut answered) = mpsc::channel(concurrency);
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        workers.spawn(work(client.clone(), records.clone(), next.clone(), answers.clone(), start));
    }
    drop(answers);

    let mut sent = Vec::with_capacity(total);
    let mut old_leader = None;
    let mut election = None;
    let mut restarted = false;
    while let Some(one) = answered.recv().await {
        sent.push(one);
        progress.step();
        if old_leader.is_none() && sent.len() >= total / 2 {
            let leader = match cluster.leader().await? {
                Some(leader) => leader,
                None => cluster.wait_ready().await?,
            };
            let term = cluster.admin(leader)?.status().await?.term;
            cluster.kill(leader)?;
            progress.say(&format!("node {leader}, the leader, killed with SIGKILL"));
            old_leader = Some(leader);
            election = Some(tokio::spawn(new_leader(all(cluster)?, term, Instant::now())));
        }
        if let Some(leader) = old_leader.filter(|_| !restarted && sent.len() >= total * 3 / 4) {
            cluster.start(leader)?;
            progress.say(&format!("node {leader} started again"));
            restarted = true;
        }
    }
    let took = start.elapsed();
    let (Some(old_leader), Some(election)) = (old_leader, election) else {
        return Err(anyhow::anyhow!("no answers: the leader was never killed").into());
    };
    if !restarted {
        cluster.start(old_leader)?;
    }
    let (new_leader, election) = election.await??;
    Ok(Drive { sent, took, old_leader, new_leader, election })
}

/// One of the connections' work: the next report, until there is none.
async fn work(
    client: Client,
    records: Arc<[Arc<Signed>]>,
    next: Arc<AtomicUsize>,
    answers: mpsc::Sender<Sent>,
    start: Instant,
) {
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(record) = records.get(index) else { return };
        let begun = Instant::now();
        let mut unknown = 0;
        let answer = loop {
            match client.submit(record).await {
                Err(SubmitError::Unknown { .. } | SubmitError::Unreachable { .. }) if unknown < RESUBMITS_MAX => {
                    unknown += 1
                }
                answer => break answer,
            }
        };
        let one = Sent { index, latency: begun.elapsed(), at: start.elapsed(), unknown, answer };
        if answers.send(one).await.is_err() {
            return;
        }
    }
}

fn all(cluster: &DevCluster) -> Result<Vec<kho::admin::Admin>> {
    Ok(cluster.nodes().map(|node| cluster.admin(node)).collect::<std::result::Result<_, _>>()?)
}

/// Whether a node leads that was elected after `term`.
fn leads_since(status: &NodeStatusResponse, term: u64) -> bool {
    status.role == "leader" && status.term > term
}

async fn new_leader(
    nodes: Vec<kho::admin::Admin>,
    term: u64,
    killed: Instant,
) -> std::result::Result<(NodeId, Duration), dev::Error> {
    loop {
        for node in &nodes {
            if let Ok(status) = node.status().await
                && leads_since(&status, term)
            {
                return Ok((NodeId(status.node_id), killed.elapsed()));
            }
        }
        if killed.elapsed() > READY_TIMEOUT {
            let (waited_ms, last) =
                (killed.elapsed().as_millis(), format!("no node calls itself leader in a term after {term}"));
            return Err(dev::Error::Timeout { waited_ms, what: "a new leader", last });
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The node that was killed may lead again; what it said before it was killed does not count.
    #[test]
    fn whoever_leads_in_a_higher_term_is_the_new_leader() {
        let says = |role: &str, term| NodeStatusResponse { role: role.to_owned(), term, ..Default::default() };
        assert!(!leads_since(&says("leader", 3), 3));
        assert!(!leads_since(&says("candidate", 4), 3));
        assert!(leads_since(&says("leader", 4), 3));
    }
}
