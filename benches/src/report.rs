//! What was measured, as JSON and as a table.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::faults::Noticed;
use crate::load::Measured;

/// A system at rest.
#[derive(Debug, Clone, Serialize)]
pub struct Idle {
    /// Resident memory of each node.
    pub rss_mib: Vec<f64>,
    /// CPU of each node, in percent of one core.
    pub cpu_percent: Vec<f64>,
    /// For how long.
    pub seconds: u64,
}

/// Everything about one system.
#[derive(Debug, Default, Serialize)]
pub struct Results {
    /// All rounds.
    pub rounds: Vec<Measured>,
    /// Most that a node had resident during the rounds, pages of files included.
    pub rss_peak_mib: f64,
    /// Most that a node had resident of its own at the end of a measurement, pages of files left out.
    pub rss_own_mib: f64,
    /// SIGKILLs of the leader.
    pub kills: Vec<Noticed>,
    /// SIGTERMs of the leader.
    pub terminations: Vec<Noticed>,
    /// At rest, when it was not left out.
    pub idle: Option<Idle>,
}

/// Medians over the rounds of one number of connections.
#[derive(Debug, Clone, Serialize)]
pub struct Median {
    /// Acknowledged per second.
    pub records_per_s: f64,
    /// Median latency.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Longest of all rounds.
    pub max_ms: f64,
    /// CPU time of all three servers per record.
    pub server_cpu_us_per_record: f64,
    /// Of all rounds.
    pub errors: u64,
}

/// The file that `thin-line` writes.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Processors, kernel, date: as the script found them.
    pub machine: BTreeMap<String, String>,
    /// Settings of the run.
    pub settings: BTreeMap<String, String>,
    /// Per system.
    pub systems: BTreeMap<&'static str, Results>,
    /// Per system and number of connections.
    pub medians: BTreeMap<&'static str, BTreeMap<usize, Median>>,
    /// Kho's records per second over etcd's, per number of connections.
    pub throughput_ratio: BTreeMap<usize, f64>,
    /// Kho's server CPU per record over etcd's.
    pub cpu_ratio: BTreeMap<usize, f64>,
    /// Median over the SIGKILLs of the longest gap.
    pub kill_gap_median_ms: BTreeMap<&'static str, f64>,
    /// Longest gap over the SIGTERMs.
    pub terminate_gap_max_ms: BTreeMap<&'static str, f64>,
}

/// The middle of `values`; the mean of both where there are two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

fn max(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NAN, f64::max)
}

fn medians(results: &Results) -> BTreeMap<usize, Median> {
    let mut by_connections: BTreeMap<usize, Vec<&Measured>> = BTreeMap::new();
    for round in &results.rounds {
        by_connections.entry(round.connections).or_default().push(round);
    }
    let of = |rounds: Vec<&Measured>| {
        let middle = |value: fn(&Measured) -> f64| median(rounds.iter().map(|round| value(round)).collect());
        Median {
            records_per_s: middle(|round| round.records_per_s),
            p50_ms: middle(|round| round.p50_ms),
            p99_ms: middle(|round| round.p99_ms),
            max_ms: max(rounds.iter().map(|round| round.max_ms)),
            server_cpu_us_per_record: middle(|round| round.server_cpu_us_per_record),
            errors: rounds.iter().map(|round| round.errors).sum(),
        }
    };
    by_connections.into_iter().map(|(connections, rounds)| (connections, of(rounds))).collect()
}

impl Report {
    /// Works out medians and ratios.
    pub fn new(
        machine: BTreeMap<String, String>,
        settings: BTreeMap<String, String>,
        systems: BTreeMap<&'static str, Results>,
    ) -> Self {
        let medians: BTreeMap<_, _> = systems.iter().map(|(name, results)| (*name, medians(results))).collect();
        let ratio = |value: fn(&Median) -> f64| match (medians.get("kho"), medians.get("etcd")) {
            (Some(kho), Some(etcd)) => {
                let both =
                    kho.iter().filter_map(|(connections, kho)| Some((*connections, kho, etcd.get(connections)?)));
                both.map(|(connections, kho, etcd)| (connections, value(kho) / value(etcd))).collect()
            }
            _ => BTreeMap::new(),
        };
        let gaps = |noticed: &[Noticed]| noticed.iter().map(|one| one.longest_gap_ms).collect::<Vec<_>>();
        let with = |value: &dyn Fn(&Results) -> f64| {
            let all = systems.iter().map(|(name, results)| (*name, value(results)));
            all.filter(|(_, value)| !value.is_nan()).collect::<BTreeMap<_, _>>()
        };
        Self {
            throughput_ratio: ratio(|median| median.records_per_s),
            cpu_ratio: ratio(|median| median.server_cpu_us_per_record),
            kill_gap_median_ms: with(&|results| median(gaps(&results.kills))),
            terminate_gap_max_ms: with(&|results| max(gaps(&results.terminations).into_iter())),
            medians,
            machine,
            settings,
            systems,
        }
    }

    /// The table that is printed.
    pub fn table(&self) -> String {
        let mut lines = vec![format!(
            "{:<6} {:>5} {:>10} {:>9} {:>9} {:>9} {:>14} {:>7}",
            "system", "conns", "records/s", "p50 ms", "p99 ms", "max ms", "CPU us/record", "errors"
        )];
        for (name, by_connections) in &self.medians {
            for (connections, median) in by_connections {
                lines.push(format!(
                    "{name:<6} {connections:>5} {:>10.0} {:>9.2} {:>9.2} {:>9.1} {:>14.0} {:>7}",
                    median.records_per_s,
                    median.p50_ms,
                    median.p99_ms,
                    median.max_ms,
                    median.server_cpu_us_per_record,
                    median.errors
                ));
            }
        }
        for (connections, ratio) in &self.throughput_ratio {
            lines.push(format!("kho / etcd at {connections} connections: {ratio:.2} of the records per second"));
        }
        let list = |values: &[f64]| values.iter().map(|value| format!("{value:.0}")).collect::<Vec<_>>().join(", ");
        for (name, results) in &self.systems {
            let gaps = |noticed: &[Noticed]| noticed.iter().map(|one| one.longest_gap_ms).collect::<Vec<_>>();
            if !results.kills.is_empty() {
                let gaps = gaps(&results.kills);
                lines.push(format!(
                    "{name}: SIGKILL of the leader, longest gap in ms: {} (median {:.0})",
                    list(&gaps),
                    median(gaps.clone())
                ));
            }
            if !results.terminations.is_empty() {
                lines.push(format!(
                    "{name}: SIGTERM of the leader, longest gap in ms: {}",
                    list(&gaps(&results.terminations))
                ));
            }
            if let Some(idle) = &results.idle {
                let cpu = idle.cpu_percent.iter().map(|value| format!("{value:.2}")).collect::<Vec<_>>().join(", ");
                lines.push(format!(
                    "{name}: idle for {} s: {} MiB resident, {cpu} % of a core",
                    idle.seconds,
                    list(&idle.rss_mib)
                ));
            }
            if results.rss_peak_mib > 0.0 {
                lines.push(format!(
                    "{name}: under load at most {:.0} MiB resident; {:.0} MiB without pages of files",
                    results.rss_peak_mib, results.rss_own_mib
                ));
            }
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(connections: usize, records_per_s: f64) -> Measured {
        Measured {
            connections,
            records: 1,
            errors: 0,
            records_per_s,
            p50_ms: 1.0,
            p99_ms: 2.0,
            max_ms: 3.0,
            server_cpu_us_per_record: records_per_s / 10.0,
        }
    }

    #[test]
    fn median_is_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn ratios_are_of_medians_at_the_same_connections() {
        let kho = Results { rounds: [70.0, 10.0, 80.0].map(|rate| round(16, rate)).to_vec(), ..Results::default() };
        let etcd = Results { rounds: vec![round(16, 100.0), round(64, 5.0)], ..Results::default() };
        let report = Report::new(BTreeMap::new(), BTreeMap::new(), BTreeMap::from([("kho", kho), ("etcd", etcd)]));
        assert_eq!(report.throughput_ratio, BTreeMap::from([(16, 0.7)]));
        assert!(report.table().contains("kho / etcd at 16 connections: 0.70"));
    }
}
