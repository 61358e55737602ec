//! Kho's figures over others', of the rounds that lay beside each other: the machine's moods are in both.

use kho::bench::report::{Ratio, Report, Round, Series, SeriesOf, Spread};

use crate::steps::Step;

/// CPU time of all nodes per record.
fn cpu(round: &Round) -> f64 {
    let cpu: f64 = round.nodes.iter().map(kho::bench::process::Usage::cpu_s).sum();
    cpu / round.records.max(1) as f64
}

/// A figure of a round.
type Figure = fn(&Round) -> f64;

/// The figures that are compared.
const FIGURES: &[(&str, Figure)] = &[
    ("records/s", |round| round.records_per_s),
    ("p99", |round| round.latency.p99_ms),
    ("CPU per record, all nodes", cpu),
];

/// One over the other, round by round.
pub fn spread(kho: &Series, other: &Series, figure: Figure) -> Option<Spread> {
    let pairs = kho.rounds.iter().zip(&other.rounds);
    Spread::of(pairs.map(|(kho, other)| figure(kho) / figure(other)).filter(|ratio| ratio.is_finite()))
}

fn settings(of: &SeriesOf) -> String {
    let label = of.label();
    label.split_once(' ').map_or(label.clone(), |(_, rest)| rest.to_owned())
}

/// Kho's singles over each other system's, and its batches and streams over their singles.
pub fn ratios(report: &Report, own: &[Step], others: &[&str]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for other in others {
        for step in own {
            let (of, mut theirs) = (step.of("kho"), step.of(other));
            theirs.operation = "single".to_owned();
            theirs.in_flight = 1;
            let reads = of.operation.starts_with("read");
            let (Some(kho), Some(series)) = (report.find(&of), report.find(&theirs)) else { continue };
            for (name, figure) in FIGURES.iter().filter(|_| !reads) {
                // what waits behind others in a batch is not what waits alone
                if *name == "p99" && of.operation != "single" {
                    continue;
                }
                if let Some(ratio) = spread(kho, series, *figure) {
                    let over = if of.operation == "single" { "" } else { " over its single" };
                    let figure = format!("{name}, {}{over}", settings(&of));
                    ratios.push(Ratio { of: "kho".to_owned(), over: (*other).to_owned(), figure, ratio });
                }
            }
        }
    }
    ratios
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::steps::{besides, singles};
    use kho::bench::process::Usage;
    use kho::bench::report::{Latency, Timeline};

    /// A round of a second with 100 µs of CPU a record.
    pub fn round(records_per_s: f64, p99_ms: f64) -> Round {
        let usage = |cpu_s| Usage {
            name: "node".to_owned(),
            user_s: cpu_s,
            system_s: 0.0,
            written_bytes: None,
            rss_mib: 1.0,
            rss_own_mib: 1.0,
        };
        Round {
            records: records_per_s as u64,
            calls: records_per_s as u64,
            errors: 0,
            error: None,
            seconds: 1.0,
            records_per_s,
            latency: Latency { p50_ms: 1.0, p99_ms, p999_ms: p99_ms, max_ms: 2.0 * p99_ms },
            curve: Vec::new(),
            open: None,
            unfinished: 0,
            timeline: Timeline { piece_ms: 1000.0, records: vec![], errors: vec![], slowest_ms: vec![] },
            nodes: vec![usage(records_per_s * 60e-6), usage(records_per_s * 40e-6)],
            generator: usage(0.01),
        }
    }

    #[test]
    fn rounds_beside_each_other_are_compared() {
        let steps = [singles(&[1024], &[16]), besides(1024, &[16])].concat();
        let mut report = Report::new("x", String::new());
        for (kho, stream, etcd) in [(1_000.0, 3_000.0, 500.0), (3_000.0, 6_000.0, 1_000.0), (900.0, 900.0, 900.0)] {
            report.add(&steps[0].of("kho"), round(kho, 4.0));
            report.add(&steps[2].of("kho"), round(stream, 4.0));
            report.add(&steps[0].of("etcd"), round(etcd, 8.0));
        }
        let ratios = ratios(&report, &steps, &["etcd", "postgres"]);
        let named = |figure: &str| ratios.iter().find(|ratio| ratio.figure == figure).map(|ratio| ratio.ratio);
        assert_eq!(named("records/s, single, 1 KiB, 16 conn."), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(named("p99, single, 1 KiB, 16 conn."), Some(Spread { median: 0.5, min: 0.5, max: 0.5 }));
        assert_eq!(named("records/s, stream, 1 KiB, 16 conn. over its single").map(|one| one.max), Some(6.0));
        assert!(ratios.iter().all(|ratio| ratio.over == "etcd"), "nothing was measured of the other");
        assert_eq!(ratios.len(), 3 + 2);
    }
}
