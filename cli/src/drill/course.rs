//! The drill's course: load, fault, mending, and the waiting for the cluster to be itself again.

use std::time::{Duration, Instant};

use kho::admin::Admin;
use kho_proto::error::{Code, Refusal};
use tokio::time::{sleep, sleep_until};

use super::args::{Common, Fault};
use super::cluster::{Leader, Seen};
use super::load::{Done, Load, Maker};
use super::mend::{self, Mender};
use super::report::CommandRun;
use super::shell;
use super::watch::{Sighting, Watch};
use crate::exit::{Exit, Failure, Result};

/// Between looks at a cluster that is to recover.
const POLL: Duration = Duration::from_millis(50);

/// What happened, times since the load's beginning.
pub struct Course {
    /// Who led when the fault was begun.
    pub leader: Leader,
    /// Just before the command or call.
    pub begun: Duration,
    /// When it had returned.
    pub done: Duration,
    /// When mending was begun.
    pub mending: Option<Duration>,
    /// When it was done.
    pub mended: Option<Duration>,
    /// End of the load.
    pub end: Duration,
    /// The command that broke it.
    pub broke: Option<CommandRun>,
    /// What the senders did.
    pub load: Done,
    /// Who led.
    pub leaders: Vec<Sighting>,
    /// From when on the cluster was healthy again.
    pub recovered: Option<Duration>,
    /// When the old leader was first gone, or had been started anew.
    pub absent: Option<Duration>,
}

/// Loads the cluster, breaks it, mends it. `seen`: how it was found.
pub async fn run(
    common: &Common,
    fault: &Fault,
    (admins, seen, voters_min): (&[Admin], Seen, usize),
    maker: Maker,
    mender: &Mender,
) -> Result<(Maker, Course)> {
    let mut load = Load::start(maker, common.writers, common.rate);
    let start = load.start;
    let watch = Watch::start(admins, seen, start, voters_min);
    eprintln!(
        "load: {} senders, {} records a second; the fault comes in {} s",
        common.writers, common.rate, common.before
    );
    let story = async {
        sleep_until((start + common.before()).into()).await;
        let leader = watch.seen().lead().ok_or_else(no_leader)?;
        let begun = start.elapsed();
        let broke = cause(fault, &leader, admins, mender).await?;
        let done = start.elapsed();
        eprintln!("fault: {}, node {} led term {}", fault.name(), leader.node_id, leader.term);
        let mut mending = (None, None);
        if fault.takes_a_server() {
            sleep(fault.outage()).await;
            if fault.mends().is_some() {
                let from = start.elapsed();
                mender.mend().await?;
                mending = (Some(from), Some(start.elapsed()));
            }
        }
        sleep(common.after()).await;
        Ok::<_, Failure>((leader, begun, done, mending, broke))
    };
    let (leader, begun, done, (mending, mended), broke) = tokio::select! {
        told = story => told?,
        failure = load.failure() => return Err(failure),
    };
    let end = start.elapsed();
    let (maker, load) = load.stop().await?;
    eprintln!("load ended: {} records sent; waiting for all nodes", load.operations.len());
    let recovered = recovered(&watch, start, begun, Duration::from_secs(common.recover_within)).await;
    let absent = watch.absent(leader.node_id, begun);
    let leaders = watch.leaders();
    Ok((maker, Course { leader, begun, done, mending, mended, end, broke, load, leaders, recovered, absent }))
}

/// No leader to do anything to.
pub fn no_leader() -> Failure {
    Failure::coded(Exit::Refused, Refusal::new(Code::ClusterUnhealthy, "no node leads: there is no leader to drill"))
}

async fn cause(fault: &Fault, leader: &Leader, admins: &[Admin], mender: &Mender) -> Result<Option<CommandRun>> {
    if let Fault::Transfer { to } = fault {
        for admin in admins {
            if admin.status().await.is_ok_and(|status| status.node_id == leader.node_id) {
                admin.transfer_leader(*to).await?;
                return Ok(None);
            }
        }
        return Err(no_leader());
    }
    let Some((what, command)) = fault.breaks() else { return Ok(None) };
    mender.arm(leader);
    eprintln!("{what}: {command}");
    let run = shell::run(what, command, leader, fault.command_timeout()).await;
    if run.exit_code != Some(0) {
        let message = format!("the {what} command failed, {}: {}", mend::ended(&run), run.output);
        return Err(Failure::coded(Exit::Refused, Refusal::new(Code::DrillFaultFailed, message)));
    }
    Ok(Some(run))
}

/// When the cluster was healthy again, and is now; none if it is not within `limit`.
async fn recovered(watch: &Watch, start: Instant, begun: Duration, limit: Duration) -> Option<Duration> {
    let end = start.elapsed() + limit;
    loop {
        // health that was never interrupted is that of the whole drill
        if let Some(since) = watch.healthy_since() {
            return Some(since.max(begun));
        }
        if start.elapsed() > end {
            return None;
        }
        sleep(POLL).await;
    }
}
