//! What was aimed at, and whether it was met in this run. Each says what it looked at, so that a reader can disagree.

use kho::bench::report::{Goal, Report, Series, Spread};
use kho::bench::table::spread;
use kho_proto::signature::Algorithm;

use crate::ratios;
use crate::steps::{besides, singles};

const KIB: usize = 1024;

/// Connections of most goals.
const FEW: usize = 16;
const MANY: usize = 64;

fn goal(text: String, found: Option<(String, bool)>) -> Goal {
    let (found, met) = found.map_or_else(|| ("not in this run".to_owned(), None), |(found, met)| (found, Some(met)));
    Goal { goal: text, found, met }
}

struct Found<'a>(&'a Report);

impl<'a> Found<'a> {
    fn single(&self, system: &str, size: usize, connections: usize) -> Option<&'a Series> {
        self.0.find(&singles(&[size], &[connections])[0].of(system))
    }

    /// Kho's other ways: by their name.
    fn other(&self, operation: &str) -> Option<&'a Series> {
        let steps = besides(KIB, &[MANY]);
        steps.iter().map(|step| step.of("kho")).find(|of| of.operation == operation).and_then(|of| self.0.find(&of))
    }

    /// Kho's rate over another's, by the medians of the rounds' ratios.
    fn rate(&self, kho: Option<&Series>, other: Option<&Series>) -> Option<Spread> {
        ratios::spread(kho?, other?, |round| round.records_per_s)
    }

    fn rate_at_least(&self, text: String, least: f64, kho: Option<&Series>, other: Option<&Series>) -> Goal {
        let found = self.rate(kho, other).map(|ratio| (format!("{} ×", spread(&ratio, 2)), ratio.median >= least));
        goal(text, found)
    }

    fn cpu_at_most(&self, text: String, most: f64, series: Option<&Series>) -> Goal {
        let summary = series.map(|series| series.summary);
        let found = summary.and_then(|summary| {
            let cpu = summary.cpu_us_per_record?;
            let own = spread(&summary.generator_cpu_us_per_record, 0);
            Some((
                format!("{} µs on the three nodes, and {own} µs in the generator", spread(&cpu, 0)),
                cpu.median <= most,
            ))
        });
        goal(text, found)
    }
}

/// All of them.
pub fn goals(report: &Report) -> Vec<Goal> {
    let found = Found(report);
    let mut goals = Vec::new();
    for connections in [FEW, MANY] {
        goals.push(found.rate_at_least(
            format!("single submits, 1 KiB, {connections} connections: at least 1.3 × etcd"),
            1.3,
            found.single("kho", KIB, connections),
            found.single("etcd", KIB, connections),
        ));
    }
    let single = found.single("kho", KIB, MANY);
    goals.push(found.cpu_at_most(
        "single submits, 1 KiB, 64 connections: CPU per record, all nodes, at most 190 µs".to_owned(),
        190.0,
        single,
    ));
    goals.push(found.rate_at_least(
        "the same with RSA-2048 signatures: as many as with Ed25519, or more".to_owned(),
        1.0,
        found.other(&format!("single {}", Algorithm::RsaPkcs1Sha256)),
        single,
    ));
    let stream = found.other("stream");
    goals.push(found.cpu_at_most(
        "streams, 1 KiB, 64 connections: CPU per record, all nodes, at most 110 µs".to_owned(),
        110.0,
        stream,
    ));
    goals.push(found.rate_at_least("streams: at least 1.4 × single submits".to_owned(), 1.4, stream, single));
    goals.push(found.rate_at_least(
        "streams: at least 1.0 × PostgreSQL's single inserts".to_owned(),
        1.0,
        stream,
        found.single("postgres", KIB, MANY),
    ));
    let p99 = |system| found.single(system, KIB, MANY).map(|series| series.summary.p99_ms);
    let lower = p99("kho").zip(p99("etcd"));
    let lower = lower.map(|(kho, etcd)| {
        (format!("{} ms, etcd {} ms", spread(&kho, 1), spread(&etcd, 1)), kho.median <= etcd.median)
    });
    goals.push(goal("p99 of single submits, 1 KiB, 64 connections: at most etcd's".to_owned(), lower));
    goals.push(found.rate_at_least(
        "single submits, 16 KiB, 64 connections: at least 1.5 × etcd".to_owned(),
        1.5,
        found.single("kho", 16 * KIB, MANY),
        found.single("etcd", 16 * KIB, MANY),
    ));
    let killed = report.failovers.iter().find(|one| one.system == "kho" && one.fault == "SIGKILL");
    let gap = killed
        .map(|one| (format!("{} ms of {}", spread(&one.gap_ms, 0), one.gaps_ms.len()), one.gap_ms.median <= 800.0));
    goals.push(goal("leader killed: median of the longest gaps at most 800 ms".to_owned(), gap));
    goals.push(longest(report));
    let reads = found.other("read of followers").map(|series| series.summary.records_per_s);
    let reads = reads.map(|rate| (format!("{}/s", spread(&rate, 0)), rate.median >= 20_000.0));
    goals.push(goal("reads by id from followers, linearizable, 64 connections: at least 20,000/s".to_owned(), reads));
    // they are of release builds: what another one does is shown, and not judged
    if report.machine.get("build").is_some_and(|build| build.starts_with("dev")) {
        goals.iter_mut().for_each(|goal| goal.met = None);
    }
    goals
}

/// R-B1: over everything that was written, faults included.
fn longest(report: &Report) -> Goal {
    const LIMIT_MS: f64 = 3_000.0;
    let written =
        report.series.iter().filter(|series| series.of.system == "kho" && !series.of.operation.starts_with("read"));
    let rounds = written.map(|series| series.summary.max_ms.max);
    let faults =
        report.failovers.iter().filter(|one| one.system == "kho").flat_map(|one| one.slowest_ms.iter().copied());
    let found = rounds.chain(faults).reduce(f64::max).map(|longest| (format!("{longest:.0} ms"), longest <= LIMIT_MS));
    goal("no acknowledgement over 3 s in any run, faults included".to_owned(), found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratios::tests::round;

    fn met(report: &Report, text: &str) -> Option<bool> {
        let goals = goals(report);
        let found = goals.iter().find(|goal| goal.goal.starts_with(text));
        found.unwrap_or_else(|| panic!("no goal {text}")).met
    }

    #[test]
    fn goals_are_held_against_what_was_measured() {
        let mut report = Report::new("x", String::new());
        let single = |system: &str| singles(&[KIB], &[MANY])[0].of(system);
        assert!(goals(&report).iter().all(|goal| goal.met.is_none()), "nothing was measured");
        for _ in 0..3 {
            report.add(&single("kho"), round(1_300.0, 4.0));
            report.add(&single("etcd"), round(1_000.0, 3.0));
        }
        assert_eq!(met(&report, "single submits, 1 KiB, 64 connections: at least 1.3"), Some(true));
        assert_eq!(met(&report, "single submits, 1 KiB, 16 connections: at least 1.3"), None);
        assert_eq!(met(&report, "single submits, 1 KiB, 64 connections: CPU"), Some(true), "100 µs");
        assert_eq!(met(&report, "p99"), Some(false));
        assert_eq!(met(&report, "no acknowledgement over 3 s"), Some(true));
        report.add(&besides(KIB, &[MANY])[1].of("kho"), round(1_700.0, 1_600.0));
        assert_eq!(met(&report, "streams: at least 1.4"), Some(false), "1.31");
        assert_eq!(met(&report, "streams, 1 KiB"), Some(true));
        assert_eq!(met(&report, "no acknowledgement over 3 s"), Some(false), "3.2 s");
        report.add(&besides(KIB, &[MANY])[2].of("kho"), round(1_299.0, 4.0));
        assert_eq!(met(&report, "the same with RSA"), Some(false));
        report.add(&besides(KIB, &[MANY])[3].of("kho"), round(20_000.0, 4.0));
        assert_eq!(met(&report, "reads by id"), Some(true));
        report.machine.insert("build".to_owned(), "dev: its figures compare with nothing".to_owned());
        assert!(goals(&report).iter().all(|goal| goal.met.is_none()), "an unoptimised build is not judged");
    }
}
