//! `kho bench` over real processes: what it counted is what the cluster has. Nothing is held against a clock.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

use std::path::Path;
use std::process::Command;

use kho::bench::report::{Report, Series};
use kho::dev::DevCluster;

/// Milliseconds of load in a round.
const MEASURED_MS: f64 = 1_000.0;

/// Whether a call waited for all of a round, as the report tells it: disks of shared machines were seen not to answer for
/// 2.7 s. How much was done says nothing then.
fn stalled(series: &Series) -> bool {
    let round = &series.rounds[0];
    let stalled = round.latency.max_ms >= MEASURED_MS;
    if stalled {
        println!("STALLED, amounts not looked at: {}: {:?}, {:?}", series.of.operation, round.latency, round.error);
    }
    stalled
}

/// Runs `kho bench` to a good end, a stalled round aside; its report, and what it said on standard output.
#[track_caller]
fn bench(dir: &Path, arguments: &[&str]) -> (Report, String) {
    let json = dir.join("bench.json");
    let output = Command::new(env!("CARGO_BIN_EXE_kho"))
        .args(["bench", "--duration", "1", "--warm-up", "0.2", "--rounds", "1", "--json"])
        .arg(&json)
        .args(arguments)
        .env_remove("KHO_CONFIG")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let json = std::fs::read(json).unwrap_or_else(|error| panic!("no report: {error}\n{out}\n{err}"));
    let report: Report = serde_json::from_slice(&json).unwrap();
    let nothing = report.series.iter().find(|series| series.rounds[0].records == 0);
    match nothing {
        Some(series) if stalled(series) => assert!(err.contains("no record was acknowledged or read"), "{out}\n{err}"),
        _ => assert_eq!(output.status.code(), Some(0), "{out}\n{err}"),
    }
    (report, out)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_its_own_is_loaded_and_watched() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = dir.path().join("cluster");
    let local = ["--local", cluster.to_str().unwrap(), "--connections", "4", "--batch", "8", "--in-flight", "4"];
    let operations = ["--op", "single,many,stream,read,list,mix", "--syncs", "20"];
    let (report, out) = bench(dir.path(), &[&local[..], &operations].concat());
    let names: Vec<&str> = report.series.iter().map(|series| series.of.operation.as_str()).collect();
    assert_eq!(names, ["single", "many", "stream", "read", "list", "mix"]);
    for series in &report.series {
        let (of, round) = (&series.of.operation, &series.rounds[0]);
        assert_eq!(round.records, round.timeline.records.iter().sum::<u64>(), "{of}");
        assert_eq!(round.records, if of == "many" { round.calls * 8 } else { round.calls }, "{of}");
        assert_eq!(round.nodes.len(), 3, "{of}");
        assert!(round.latency.p50_ms > 0.0 && round.latency.p50_ms <= round.latency.max_ms, "{of}");
        assert!(out.contains(of), "{out}");
        if stalled(series) {
            continue;
        }
        assert_eq!((round.errors, round.unfinished, &round.error), (0, 0, &None), "{of}");
        assert!(round.records > 0 && round.calls > 0, "{of}");
        assert!(round.nodes.iter().all(|node| node.cpu_s() > 0.0 && node.rss_mib > 1.0), "{of}: {:?}", round.nodes);
        // reading writes next to nothing; writing at least the payload on every node
        if ["single", "many", "stream"].contains(&of.as_str()) {
            let written = series.summary.written_bytes_per_record.unwrap().median;
            assert!(written > 3.0 * 1024.0, "{of}: {written} bytes per record");
        }
    }
    // every acknowledged record is there, and more: those of warming up, of the mix, and those that were read
    let written =
        report.series.iter().filter(|series| ["single", "many", "stream"].contains(&series.of.operation.as_str()));
    let acknowledged: u64 = written.map(|series| series.rounds[0].records).sum();
    let mut cluster = DevCluster::open(&cluster).unwrap();
    cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
    cluster.start_all().unwrap();
    cluster.wait_ready().await.unwrap();
    let (leaves, _) = cluster.wait_equal().await.unwrap();
    assert!(leaves > acknowledged, "{leaves} leaves, {acknowledged} acknowledged");
    cluster.terminate_all().await.unwrap();

    match report.syncs.as_slice() {
        [] => assert!(report.notes.contains_key("syncs"), "no tool counts here, and the report says so"),
        [alone, load] => {
            assert_eq!((alone.records, alone.majority), (20, Some(true)), "{alone:?}");
            assert_eq!(alone.nodes.len(), 3);
            assert!(load.records > 0 && load.nodes.iter().map(|node| node.total).sum::<u64>() > 0, "{load:?}");
        }
        more => panic!("{more:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_cluster_is_loaded_with_test_data_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = DevCluster::create(&dir.path().join("c"), 3).unwrap();
    cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
    cluster.launch().await.unwrap();
    let config = cluster.layout().drill_file();
    let config = ["--config", config.to_str().unwrap(), "--verify"];

    // an open loop: what was due is what was asked for, whatever came of it
    let (report, _) = bench(dir.path(), &[&config[..], &["--rate", "50", "--to", "followers"]].concat());
    let round = &report.series[0].rounds[0];
    let open = round.open.unwrap();
    assert!((49..=51).contains(&open.arrived), "{open:?}");
    assert_eq!((round.errors, open.overflowed, round.unfinished), (0, 0, 0));
    assert!(open.service.p50_ms <= round.latency.p50_ms, "a latency begins when the call was due");
    assert!(round.nodes.is_empty() && report.series[0].summary.cpu_us_per_record.is_none(), "others' processes");

    // a ramp that no goal stops ends where it was told to
    let ramp = ["--ramp", "20:20:40", "--p99-ms", "100000", "--rounds", "0"];
    let arguments = [&config[..], &ramp].concat();
    let json = dir.path().join("ramp.json");
    let output = Command::new(env!("CARGO_BIN_EXE_kho"))
        .args(["bench", "--duration", "1", "--warm-up", "0", "--json"])
        .arg(&json)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Report = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!((report.ramps[0].steps.len(), report.ramps[0].held_per_s), (2, Some(40.0)));

    let client = cluster.client().unwrap();
    let filter = kho_client::Filter { regime: Some("DRILL".parse().unwrap()), ..kho_client::Filter::default() };
    let (of_drill, all) = (
        client.count(&filter, false).await.unwrap(),
        client.count(&kho_client::Filter::default(), false).await.unwrap(),
    );
    assert_eq!(of_drill.count, all.count);
    assert!(all.count >= 50 + 20 + 40);

    // another unit's signer is refused before anything is sent
    let output = Command::new(env!("CARGO_BIN_EXE_kho"))
        .args(["bench", "--config"])
        .arg(cluster.layout().client_file())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unit DRILL"));
    cluster.terminate_all().await.unwrap();
}
