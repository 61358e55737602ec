//! What a drill says on the terminal: its plan, and in the end its verdict.

use comfy_table::{Table, presets};
use kho_proto::id::{DRILL_REGIME, DRILL_UNIT};

use super::args::{Common, Fault};
use super::cluster::Seen;
use super::report::{Report, Verdict};
use crate::exit::Result;

/// Prints what would be done.
pub fn print(common: &Common, fault: &Fault, before: &Seen, problems: &[String]) -> Result {
    outln!("plan: kho drill {}; nothing has been done", fault.name())?;
    match before.lead() {
        Some(leader) => {
            outln!("cluster {}, node {} leads in term {}", before.cluster_id(), leader.node_id, leader.term)?;
            outln!("  the fault hits whoever leads at its time; now commands would get")?;
            for (name, value) in leader.environment() {
                outln!("  {name}={value}")?;
            }
        }
        None => outln!("no leader is known")?,
    }
    let mut step = 0;
    let mut say = |text: String| {
        step += 1;
        outln!("{step}. {text}")
    };
    say(format!("send one test record and read it back: unit {DRILL_UNIT}, regime {DRILL_REGIME}"))?;
    say(format!(
        "{} s of load: {} records/s of {} bytes from {} senders, about {} test records in all, which stay in the store",
        common.before,
        common.rate,
        common.payload,
        common.writers,
        common.records(fault) + 1
    ))?;
    match fault {
        Fault::Transfer { to: Some(to) } => say(format!("ask the leader to hand over to node {to}"))?,
        Fault::Transfer { to: None } => say("ask the leader to hand over to the most advanced node".to_owned())?,
        Fault::Kill { .. } | Fault::Isolate { .. } => {
            let limit = fault.command_timeout().as_secs();
            if let Some((what, command)) = fault.breaks() {
                say(format!("{what}, within {limit} s: {command}"))?;
            }
            say(format!("{} s of load without the leader", fault.outage().as_secs()))?;
            match fault.mends() {
                Some((what, command)) => say(format!("{what}, within {limit} s, also if anything fails: {command}"))?,
                None => say("nothing: something else has to start the node again".to_owned())?,
            }
        }
    }
    say(format!("{} s of load", common.after))?;
    say(format!("wait up to {} s until all nodes are back and agree", common.recover_within))?;
    say("settle unknown outcomes, verify every receipt offline, read every record back from every node".to_owned())?;
    say(format!("write kho-drill-{}-TIME.html and .json to {}", fault.name(), common.out.display()))?;
    match (problems.is_empty(), common.force) {
        (true, _) => outln!("The cluster is healthy: the drill would be made.")?,
        (false, true) => outln!("The cluster is NOT healthy, and --force drills all the same:")?,
        (false, false) => outln!("The cluster is NOT healthy: the drill would be refused (cluster-unhealthy).")?,
    }
    problems.iter().try_for_each(|problem| outln!("  {problem}"))?;
    Ok(())
}

fn or_never(ms: Option<f64>) -> String {
    ms.map_or("never".to_owned(), |ms| format!("{ms:.1} ms"))
}

/// The verdict as a table.
pub fn summary(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    let mut row = |name: &str, value: String| {
        table.add_row([name, &value]);
    };
    let (measured, fault) = (&report.measured, &report.fault);
    let after = fault.leader_after.zip(fault.term_after);
    row("leader before", format!("node {}, term {}", fault.leader_before, fault.term_before));
    row("leader after", after.map_or("none".to_owned(), |(node, term)| format!("node {node}, term {term}")));
    row(
        "longest gap",
        format!("{:.1} ms (before the fault {:.1} ms)", measured.longest_gap_ms, measured.longest_gap_before_ms),
    );
    row(
        "first acknowledged by the new leader after",
        or_never(measured.first_acknowledged_by_new_leader_after_fault_ms),
    );
    row("all nodes back after", or_never(measured.recovered_after_fault_ms));
    row(
        "sent, acknowledged, failed",
        format!("{}, {}, {}", measured.submitted, measured.acknowledged, measured.failed),
    );
    row("unknown, settled", format!("{}, {}", measured.unknown, measured.settled));
    row("lost", report.checks.lost.to_string());
    row("receipts verified", format!("{} of {}", report.checks.receipts_verified, report.checks.records));
    for requirement in &report.requirements {
        let verdict = match requirement.verdict {
            Verdict::Pass => "met".to_owned(),
            Verdict::Fail => "NOT MET".to_owned(),
            Verdict::NotShown => format!("not shown: {}", requirement.why.as_deref().unwrap_or_default()),
        };
        row(&requirement.id, verdict);
    }
    table
}
