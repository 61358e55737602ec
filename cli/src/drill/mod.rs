//! `kho drill`: a fault in the running cluster, under a load of test records, and the report of what senders noticed.

mod args;
mod assemble;
mod audit;
mod cluster;
mod command;
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
use kho_proto::id::{DRILL_UNIT, UnixMs};
use tokio::signal::unix::{SignalKind, signal};

use self::args::{Common, Fault};
use self::cluster::Seen;
pub use self::command::Command;
use self::course::Course;
use self::load::Maker;
use self::mend::Mender;
use self::report::Report;
use crate::exit::{Exit, Failure, Result};

/// Between looks at trees that are to become equal.
const POLL: Duration = Duration::from_millis(50);

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
