//! `kho drill`: a fault in the running cluster, under a load of test records, and the report of what senders noticed.

mod args;
mod assemble;
mod audit;
mod cluster;
mod course;
mod effect;
mod load;
mod measure;
mod mend;
mod page;
mod plan;
mod report;
mod shell;
mod verdict;
mod watch;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use kho::admin::Admin;
use kho::client_file::ClientFile;
use kho_client::{Signer, Surroundings, System};
use kho_proto::certificate::sans;
use kho_proto::error::{Code, Refusal};
use kho_proto::header::SubmittedAt;
use kho_proto::id::{DRILL_UNIT, NodeId, UnixMs};
use tokio::signal::unix::{SignalKind, signal};

use self::args::{Commands, Common, Fault};
use self::cluster::Seen;
use self::course::Course;
use self::load::Maker;
use self::mend::Mender;
use self::report::Report;
use crate::exit::{Exit, Failure, Result};

/// Between looks at trees that are to become equal.
const POLL: Duration = Duration::from_millis(50);

/// Failover drills on the running cluster: load, a fault, and a report of what senders noticed.
#[derive(clap::Subcommand)]
#[command(after_help = "\
A drill sends test records at a steady pace, lets the leader go, and measures: the longest time without an
acknowledgement, latencies, what failed or stayed unknown. Then it reads every acknowledged record back from every node,
verifies every receipt offline, and writes a report, HTML for people and JSON for machines, that says which requirements
it shows: R-A2 (automatic switch-over), R-A3 (normal operation with one server failed), R-A5 (back to normal within 3 h),
R-B1 (acknowledged within 3 s).

Its records are of the reserved unit DRILL and the regime DRILL, and are kept like all others: test data, which
statistics leave out. What it needs, once:

  1. a signer's certificate for unit DRILL (SAN URI urn:kho:unit:DRILL) from the authority of your signers, and a client
     certificate with the roles submitter and reader for unit DRILL. For development: kho certs signer --unit DRILL, and
     kho certs client --name drill --role submitter --role reader --unit DRILL; kho cluster new makes both.
  2. drill.toml, a client file like client.toml, with these two as [signer] and [tls], and admin_nodes and [admin_tls]
     of an operator. docs/cli.md shows one.

Try it with --plan first: it changes nothing. A drill is refused while a node is missing, since the fault would then cost
the majority (cluster-unhealthy; --force drills all the same). leader-transfer is harmless; leader-kill and isolate take
one of the servers away for some seconds.

Exit codes: 0 done, all requirements met; 1 refused, nothing was proven; 3 and 4 as everywhere;
            5 a requirement is not met or the fault took no effect: read the report;
            6 what the drill broke is not mended: run the command that the message names, at once")]
pub enum Command {
    /// The leader hands over to another node, as before maintenance: no server fails.
    #[command(after_help = "\
Examples:
  kho drill leader-transfer --config drill.toml --plan
  kho drill leader-transfer --config drill.toml --out reports
  kho drill leader-transfer --config drill.toml --to 2 --rate 500 --writers 16")]
    LeaderTransfer {
        #[command(flatten)]
        common: Common,
        /// Node that shall lead; the most advanced one if absent.
        #[arg(long, value_name = "NODE")]
        to: Option<u64>,
    },
    /// The leader's process is killed by a command of yours.
    #[command(after_help = COMMANDS_KILL)]
    LeaderKill {
        #[command(flatten)]
        common: Common,
        /// Kills the leader's process at once, as a crash would.
        #[arg(long, value_name = "CMD")]
        kill_command: String,
        /// Starts it again after --outage, where no supervisor does. Runs also when the drill fails or is interrupted.
        #[arg(long, value_name = "CMD")]
        restart_command: Option<String>,
        #[command(flatten)]
        commands: Commands,
    },
    /// The leader is cut off the other nodes by a command of yours, and connected again by another.
    #[command(after_help = COMMANDS_ISOLATE)]
    Isolate {
        #[command(flatten)]
        common: Common,
        /// Cuts the leader off the other nodes.
        #[arg(long, value_name = "CMD")]
        cut_command: String,
        /// Undoes it after --outage. Always runs, also when the drill fails or is interrupted; tried three times.
        #[arg(long, value_name = "CMD")]
        heal_command: String,
        #[command(flatten)]
        commands: Commands,
    },
}

const COMMANDS_KILL: &str = "\
The commands run through sh -c, on this machine, with
  KHO_LEADER_ID             the leader's node id
  KHO_LEADER_ADDRESS        its client address, host:port     KHO_LEADER_HOST            the host of it
  KHO_LEADER_PEER_ADDRESS   where other nodes reach it        KHO_LEADER_ADMIN_ADDRESS   where operators reach it
A command that ends with another code than 0, or not within --command-timeout, has failed: the drill ends with 1.
Without --restart-command something else must start the node again (systemd does), within --outage, --after and
--recover-within: a node that stays away fails R-A5.

Examples:
  kho drill leader-kill --config drill.toml --out reports \\
    --kill-command 'ssh root@$KHO_LEADER_HOST systemctl kill --signal=KILL kho'
  kho drill leader-kill --config drill.toml --plan --kill-command 'ssh ops@node$KHO_LEADER_ID sudo pkill -KILL -x kho' \\
    --restart-command 'ssh ops@node$KHO_LEADER_ID sudo systemctl start kho'";

const COMMANDS_ISOLATE: &str = "\
The commands run through sh -c, on this machine, with
  KHO_LEADER_ID             the leader's node id
  KHO_LEADER_ADDRESS        its client address, host:port     KHO_LEADER_HOST            the host of it
  KHO_LEADER_PEER_ADDRESS   where other nodes reach it        KHO_LEADER_ADMIN_ADDRESS   where operators reach it
The heal command gets the same values, whoever leads by then, and must succeed however far the cut came. It runs after
--outage, and also when the drill fails, or Ctrl-C or SIGTERM arrives; only SIGKILL of the drill itself prevents it. Make sure
that your way to the node survives the cut.

Example: ports of the peers blocked on the leader for five seconds (7102 is the peers' port)
  kho drill isolate --config drill.toml --out reports --outage 5 \\
    --cut-command  'ssh root@$KHO_LEADER_HOST \"nft add table inet drill; nft add chain inet drill i {type filter hook input priority 0\\;}; nft add rule inet drill i tcp dport 7102 drop; nft add chain inet drill o {type filter hook output priority 0\\;}; nft add rule inet drill o tcp dport 7102 drop\"' \\
    --heal-command 'ssh root@$KHO_LEADER_HOST nft delete table inet drill'";

impl Command {
    fn parts(self) -> (Common, Fault) {
        match self {
            Command::LeaderTransfer { common, to } => (common, Fault::Transfer { to: to.map(NodeId) }),
            Command::LeaderKill { common, kill_command: kill, restart_command: restart, commands: times } => {
                (common, Fault::Kill { kill, restart, times })
            }
            Command::Isolate { common, cut_command: cut, heal_command: heal, commands: times } => {
                (common, Fault::Isolate { cut, heal, times })
            }
        }
    }
}

/// What a drill works with.
struct Tools {
    common: Common,
    fault: Fault,
    file: ClientFile,
    admins: Vec<Admin>,
}

pub async fn run(command: Command) -> Result {
    let (common, fault) = command.parts();
    common.check(&fault)?;
    let file = ClientFile::load(&common.config)?;
    let signer = file.signer()?;
    check_unit(&signer)?;
    let admins = file.admins()?;
    let client = file.client()?;
    // with two, a server that is gone takes the majority along
    let voters_min = if fault.takes_a_server() { 3 } else { 2 };
    let tools = Tools { common, fault, file, admins };

    let before = Seen::ask(&tools.admins).await;
    let problems = before.problems(voters_min);
    if tools.common.plan {
        return plan::print(&tools.common, &tools.fault, &before, &problems);
    }
    fit(&before, &problems, &tools)?;

    let started = System.now();
    let id = drill_id();
    let period = moment(started).parse()?;
    let maker = Maker::new(Arc::new(signer), client, period, &id, tools.common.payload as usize);
    probe(&maker).await?;

    let mender = Mender::new(&tools.fault);
    let course = course::run(&tools.common, &tools.fault, (&tools.admins, before.clone(), voters_min), maker, &mender);
    let ended = tokio::select! {
        ended = AssertUnwindSafe(course).catch_unwind() => ended,
        name = interrupted() => Ok(Err(Failure::new(Exit::Refused, format!("interrupted by {name}: no report")))),
    };
    // whatever happened; a failure of this one is the worse news
    mender.mend().await?;
    let (maker, course) = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let report = conclude(&tools, &before, problems, (&maker, &course, &mender), &id, started).await?;
    publish(&tools.common, &report)
}

/// The signer must be of the reserved unit: a drill's records must not look like a report of somebody's.
fn check_unit(signer: &dyn Signer) -> Result {
    let der = signer.certificates().first().map(|der| der.as_ref()).unwrap_or_default();
    let units = sans(der)?.units;
    if units.len() == 1 && units.iter().all(|unit| unit.as_str() == DRILL_UNIT) {
        return Ok(());
    }
    let found = units.iter().map(|unit| unit.as_str()).collect::<Vec<_>>().join(", ");
    let message = format!(
        "[signer] of the client file: expected a certificate of unit {DRILL_UNIT}, found one of {}; kho drill --help says how \
         to get one",
        if found.is_empty() { "no unit" } else { &found }
    );
    Err(Failure::coded(Exit::Refused, Refusal::new(Code::DrillUnitRequired, message)))
}

fn fit(before: &Seen, problems: &[String], tools: &Tools) -> Result {
    if before.statuses().next().is_none() {
        before.0.iter().filter_map(|(_, answer)| answer.as_ref().err()).for_each(|why| eprintln!("{why}"));
        return Err(Failure::new(Exit::Unreachable, "no node answered"));
    }
    if before.lead().is_none() {
        return Err(course::no_leader());
    }
    if problems.is_empty() {
        return Ok(());
    }
    if tools.common.force {
        problems.iter().for_each(|problem| eprintln!("warning, forced: {problem}"));
        return Ok(());
    }
    let message = format!(
        "the cluster is not healthy, and the fault could stop the service: {}; mend it first, or --force",
        problems.join("; ")
    );
    Err(Failure::coded(Exit::Refused, Refusal::new(Code::ClusterUnhealthy, message)))
}

/// The drill's beginning as an ad-hoc report's period: to the second.
fn moment(at: UnixMs) -> String {
    let text = SubmittedAt::from_unix_ms(at).to_string();
    format!("{}+07:00", &text[..19])
}

/// Eight hex digits: drills of the same second differ.
fn drill_id() -> String {
    let mut random = [0; 4];
    System.fill(&mut random);
    hex::encode(random)
}

/// One record there and back, before anything is broken: certificates and keys are right.
async fn probe(maker: &Maker) -> Result {
    let record = maker.make("probe").await?;
    maker.client().submit(&record).await?;
    maker.client().get(record.record_id()).await?;
    Ok(())
}

/// Returns the name of a signal that asks to end.
async fn interrupted() -> &'static str {
    let wait = |kind: SignalKind| async move {
        match signal(kind) {
            Ok(mut signals) => signals.recv().await.unwrap_or(()),
            Err(error) => {
                eprintln!("warning: no handler for a signal: {error}");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => "SIGINT",
        () = wait(SignalKind::terminate()) => "SIGTERM",
        () = wait(SignalKind::hangup()) => "SIGHUP",
    }
}

async fn conclude(
    tools: &Tools,
    before: &Seen,
    problems: Vec<String>,
    (maker, course, mender): (&Maker, &Course, &Mender),
    id: &str,
    started: UnixMs,
) -> Result<Report> {
    let settled = audit::settle(maker.client(), &course.load.operations).await;
    let after = equal(&tools.admins, Duration::from_secs(tools.common.recover_within)).await;
    let checks = audit::audit(&tools.file, &course.load.operations, &settled, after.equal()).await?;
    Ok(assemble::report(assemble::Known {
        common: &tools.common,
        fault: &tools.fault,
        timing: tools.file.timing()?,
        id,
        before,
        problems,
        after: &after,
        course,
        mended_by: mender.runs(),
        settled: &settled,
        checks,
        started,
        ended: System.now(),
    }))
}

/// The cluster once all nodes that answer hold the same tree, or after `limit`.
async fn equal(admins: &[Admin], limit: Duration) -> Seen {
    let begun = Instant::now();
    loop {
        let seen = Seen::ask(admins).await;
        if (seen.equal() && seen.leader().is_some()) || begun.elapsed() > limit {
            return seen;
        }
        tokio::time::sleep(POLL).await;
    }
}

fn publish(common: &Common, report: &Report) -> Result {
    let stamp: String = report.started_at.chars().take(19).filter(|c| c.is_ascii_alphanumeric()).collect();
    let name = format!("kho-drill-{}-{stamp}-{}", report.drill, report.drill_id);
    let json = format!("{}\n", serde_json::to_string_pretty(report)?);
    for (extension, bytes) in [("json", json), ("html", page::render(report)?)] {
        let path = common.out.join(format!("{name}.{extension}"));
        kho::files::write(&path, bytes.as_bytes()).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        outln!("{}", path.display())?;
    }
    eprintln!("{}", plan::summary(report));
    if report.passed {
        return Ok(());
    }
    let failed = report.requirements.iter().filter(|one| one.verdict == report::Verdict::Fail);
    let failed: Vec<&str> = failed.map(|one| one.id.as_str()).collect();
    let message = match report.fault.took_effect {
        true => format!("not met: {}; the report says why", failed.join(", ")),
        false => format!("the fault took no effect: {}", report.fault.proof),
    };
    Err(Failure::coded(Exit::NotMet, Refusal::new(Code::DrillNotMet, message)))
}
