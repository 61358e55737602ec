use super::*;
use crate::bench::Measured;
use crate::bench::tally::{Piece, Tally};
use std::time::Duration;

fn usage(name: &str, cpu_s: f64) -> Usage {
    Usage {
        name: name.to_owned(),
        user_s: cpu_s * 0.75,
        system_s: cpu_s * 0.25,
        written_bytes: Some(40_960),
        rss_mib: 50.5,
        rss_own_mib: 30.25,
    }
}

/// A round of one second.
pub fn round(records_per_s: f64, p99_ms: f64) -> Round {
    let mut tally = Tally::new(2, false);
    let records = records_per_s as u64;
    tally.latencies.record_n((p99_ms * 500.0) as u64, records.max(2) - 1).expect("in range");
    tally.latencies.record((p99_ms * 1000.0) as u64).expect("in range");
    tally.records = records;
    tally.calls = records;
    tally.pieces = vec![Piece { records: records / 2, errors: 0, slowest_us: 900 }; 2];
    let measured = Measured {
        tally,
        elapsed: Duration::from_secs(1),
        piece: Duration::from_millis(500),
        backlog: None,
        unfinished: 0,
        used: vec![usage("node 1", 0.3), usage("node 2", 0.2)],
        own: usage("load generator", 0.1),
    };
    let mut round = Round::of(measured, Pace::Closed);
    round.latency.p99_ms = p99_ms;
    round
}

pub fn of(system: &str, operation: &str, connections: usize) -> SeriesOf {
    let (system, operation) = (system.to_owned(), operation.to_owned());
    SeriesOf { system, operation, size_bytes: 1024, connections, in_flight: 1, rate_per_s: None }
}

#[test]
fn a_spread_is_the_middle_and_the_ends() {
    let of = |values: &[f64]| Spread::of(values.iter().copied());
    assert_eq!(of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
    assert_eq!(of(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    assert_eq!(of(&[]), None);
}

#[test]
fn rounds_of_the_same_are_one_series() {
    let mut report = Report::new("x", "2020-06-12T08:00:00+07:00".to_owned());
    for (connections, rate) in [(16, 70.0), (64, 5.0), (16, 10.0), (16, 80.0)] {
        report.add(&of("kho", "single", connections), round(rate, 2.0));
    }
    assert_eq!(report.series.len(), 2);
    let summary = report.find(&of("kho", "single", 16)).expect("a series").summary;
    assert_eq!(summary.records_per_s, Spread { median: 70.0, min: 10.0, max: 80.0 });
    // half a second of CPU on both nodes, for 80 records at the least and 10 at the most
    let cpu = summary.cpu_us_per_record.expect("processes");
    assert!((cpu.min - 6_250.0).abs() < 1e-6 && (cpu.max - 50_000.0).abs() < 1e-6, "{cpu:?}");
    assert_eq!(summary.written_bytes_per_record.map(|one| one.min), Some(1_024.0));
    assert_eq!(summary.errors, 0);
}

#[test]
fn what_is_not_known_of_one_round_is_not_known_of_the_series() {
    let mut report = Report::new("x", String::new());
    let mut blind = round(10.0, 1.0);
    blind.nodes[0].written_bytes = None;
    report.add(&of("kho", "single", 1), round(10.0, 1.0));
    report.add(&of("kho", "single", 1), blind);
    let summary = report.series[0].summary;
    assert!(summary.written_bytes_per_record.is_none() && summary.cpu_us_per_record.is_some());
}

/// A report with something in every part.
pub fn whole() -> Report {
    let mut report = Report::new("Kho and <others>", "2020-06-12T08:00:00.000+07:00".to_owned());
    report.machine.insert("cores".to_owned(), "2".to_owned());
    report.settings.insert("rounds".to_owned(), "2".to_owned());
    for rate in [1_000.0, 1_234.5] {
        report.add(&of("kho", "single", 16), round(rate, 12.345));
        report.add(&of("kho", "stream", 16), round(2.0 * rate, 5.0));
        report.add(&of("etcd", "single", 16), round(0.5 * rate, 30.0));
    }
    let mut open = round(500.0, 3.0);
    let service = Latency { p50_ms: 1.0, p99_ms: 2.0, p999_ms: 3.0, max_ms: 4.0 };
    open.open = Some(Open { per_s: 500.0, arrived: 500, backlog_longest: 7, overflowed: 3, service });
    report.add(&SeriesOf { rate_per_s: Some(500.0), ..of("kho", "single", 16) }, open);
    let step = |rate_per_s: f64, held| super::super::ramp::Step {
        rate_per_s,
        records_per_s: rate_per_s,
        p99_ms: 10.0,
        errors: 0,
        lost: 0,
        held,
    };
    let steps = vec![step(500.0, true), step(750.0, false)];
    report.ramps.push(Ramp { label: "kho single".to_owned(), p99_ms_max: 50.0, steps, held_per_s: Some(500.0) });
    let calls = BTreeMap::from([("fdatasync".to_owned(), 200)]);
    report.syncs.push(Syncs {
        system: "kho".to_owned(),
        load: "one after the other".to_owned(),
        tool: "strace -c".to_owned(),
        records: 200,
        nodes: vec![super::super::syncs::NodeSyncs { name: "node 1".to_owned(), calls, total: 200 }],
        per_record: 1.0,
        majority: Some(true),
    });
    let ratio = Spread { median: 2.0, min: 1.9, max: 2.1 };
    let (of, over) = ("kho".to_owned(), "etcd".to_owned());
    report.ratios.push(Ratio { of, over, figure: "records/s, single, 1 KiB, 16 connections".to_owned(), ratio });
    report.failovers.push(Failover {
        system: "kho".to_owned(),
        fault: "SIGKILL".to_owned(),
        by: "its own election".to_owned(),
        gaps_ms: vec![580.0, 600.5],
        slowest_ms: vec![700.0, 710.0],
        gap_ms: Spread { median: 590.25, min: 580.0, max: 600.5 },
    });
    report.idle.push(Idle { system: "kho".to_owned(), seconds: 30.0, nodes: vec![usage("node 1", 0.5)] });
    let goal = |met| Goal { goal: "Single submits".to_owned(), found: "2.0 × etcd".to_owned(), met };
    report.goals = vec![goal(Some(true)), goal(Some(false)), goal(None)];
    report.notes.insert("etcd".to_owned(), "fdatasync on a majority".to_owned());
    report
}

#[test]
fn json_comes_back_as_it_was() {
    let report = whole();
    let text = serde_json::to_string_pretty(&report).expect("JSON");
    assert_eq!(serde_json::from_str::<Report>(&text).expect("a report"), report);
    assert!(text.contains("\"schema\": \"kho-bench-report/1\""));
    // figures are never null where they were measured
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert!(value["series"][0]["summary"]["cpu_us_per_record"]["median"].as_f64().is_some_and(|cpu| cpu > 0.0));
}
