//! `kho submit` with many reports: bad ones among good ones, runs that are killed, nobody who answers.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{cluster, ends, text};
use kho::dev::NodeId;

fn report(series: &str, more: &str) -> String {
    format!(
        r#"{{"unit":"BYT","regime":"YT-01","period":"2020-06-12","receivers":["VPCP"],"series":"{series}",{more}}}"#
    )
}

fn files(dir: &Path, end: &str) -> BTreeSet<String> {
    let names =
        std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(end).map(str::to_owned)).collect()
}

fn series(config: &str) -> Vec<String> {
    let (out, _) = ends(&["list", "--config", config, "--order", "oldest", "--format", "json"], 0);
    let objects = out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    objects.map(|object| object["series"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_told_and_sinks_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = cluster(&dir).await;
    let config = cluster.layout().client_file();
    let (config, out) = (text(&config), dir.path().join("records"));
    let june = dir.path().join("june");
    std::fs::create_dir(&june).unwrap();
    std::fs::write(june.join("map.png"), b"\x89PNG").unwrap();
    let first = "01930000-0000-7000-8000-000000000001";
    let lines = [
        report("1", &format!(r#""id":"{first}","figures":{{"new_cases":1}}"#)),
        report("bad", r#""figures":1,"text":"both""#),
        // the next revision of the first, in one message with it
        report("1", &format!(r#""supersedes":"{first}","figures":{{"new_cases":2}}"#)),
        "not JSON".to_owned(),
        String::new(),
        report("3", r#""media_type":"image/png","payload_file":"map.png""#),
        report("1", r#""text":"a second head""#),
        report("4", r#""media_type":"image/png","payload_base64":"iVBORw==""#),
    ];
    std::fs::write(june.join("a.ndjson"), lines.join("\n")).unwrap();
    std::fs::write(june.join("b.json"), report("5", r#""text":"không""#)).unwrap();
    let submit = ["submit", "--config", config, "--out", text(&out), text(&june)];
    let (printed, err) = ends(&submit, 1);
    assert!(
        err.contains(
            "8 reports: 5 accepted, 0 there already, 0 done by an earlier run, 3 refused, 0 unknown, 0 not sent"
        ),
        "{err}"
    );
    for told in [
        "error [report-invalid]: ",
        "a.ndjson:2: ",
        "a.ndjson:4: ",
        "refused: 2 report-invalid",
        "refused: 1 series-has-head",
    ] {
        assert!(err.contains(told), "{told}\n{err}");
    }
    let head = err.lines().find(|line| line.contains("a.ndjson:7: ")).unwrap();
    assert!(head.contains("[series-has-head]"), "{head}");
    assert_eq!(printed.lines().count(), 5, "{printed}");
    assert!(printed.lines().all(|line| Path::new(line).is_file()), "{printed}");
    let in_order = series(config);
    assert_eq!(in_order.iter().map(String::as_str).collect::<BTreeSet<_>>(), ["1", "3", "4", "5"].into());
    let (again, _) = ends(&["history", first, "--config", config, "--format", "json"], 0);
    assert_eq!(again.lines().count(), 2, "{again}");

    // as it is once more: nothing is sent but what was refused
    let (printed, err) = ends(&submit, 1);
    assert!(err.contains("0 accepted, 0 there already, 5 done by an earlier run, 3 refused"), "{err}");
    assert!(printed.is_empty(), "{printed}");
    assert_eq!(series(config), in_order);
    // a receipt that was lost is asked for again: the same record, no other
    std::fs::remove_file(out.join(format!("{first}.tlog-proof"))).unwrap();
    assert!(ends(&submit, 1).1.contains("0 accepted, 1 there already, 4 done"));
    assert!(out.join(format!("{first}.tlog-proof")).is_file());
    assert_eq!(series(config), in_order);

    // nobody answers: what was never sent is known not to be in, and the next run brings it
    for node in [1, 2, 3] {
        cluster.kill(NodeId(node)).unwrap();
    }
    let later = dir.path().join("later.ndjson");
    let reports: Vec<_> = (0..600).map(|n| report(&format!("later {n}"), r#""text":"x""#)).collect();
    std::fs::write(&later, reports.join("\n")).unwrap();
    let submit = ["submit", "--config", config, "--out", text(&out), text(&later)];
    let start = Instant::now();
    let (_, err) = ends(&submit, 4);
    assert!(err.contains("600 reports: 0 accepted") && err.contains("0 unknown, 600 not sent"), "{err}");
    assert!(start.elapsed() < Duration::from_secs(60), "it does not wait for each batch");
    // what may have been sent before is in doubt
    let (_, err) = ends(&submit, 3);
    assert!(err.contains("256 unknown, 344 not sent"), "{err}");
    for node in [1, 2, 3] {
        cluster.start(NodeId(node)).unwrap();
    }
    cluster.wait_ready().await.unwrap();
    let (_, err) = ends(&submit, 0);
    assert!(err.contains("600 reports: 600 accepted"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_goes_on_without_a_loss_or_a_second_record() {
    const REPORTS: usize = 1_500;
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster(&dir).await;
    let config = cluster.layout().client_file();
    let (config, out) = (text(&config), dir.path().join("records"));
    let input = dir.path().join("reports.ndjson");
    let reports: Vec<_> = (0..REPORTS).map(|n| report(&format!("{n}"), r#""figures":{"n":1}"#)).collect();
    std::fs::write(&input, reports.join("\n")).unwrap();
    let submit = ["submit", "--config", config, "--out", text(&out), text(&input)];
    // killed at different places: while it signs, sends, writes receipts
    let mut kills = 0;
    for signed in [1, 200, 300, 700, 1_000] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kho"))
            .args(submit)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while files(&out, ".record").len() < signed && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(2));
        }
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    assert_eq!(kills, 5, "each was killed before its end");
    let before = files(&out, ".tlog-proof").len();
    assert!(before < REPORTS, "{before}");
    let (_, err) = ends(&submit, 0);
    assert!(
        err.contains(&format!("{REPORTS} reports: ")) && err.contains(&format!("{before} done by an earlier run")),
        "{err}"
    );
    assert_eq!(files(&out, ".record"), files(&out, ".tlog-proof"), "each has its receipt");
    let all = series(config);
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (REPORTS, REPORTS), "none is lost, none twice");

    // from standard input, with a state of its own: the same reports say the same, but it is another run
    let state = dir.path().join("other.state");
    let mut child = Command::new(env!("CARGO_BIN_EXE_kho"))
        .args(["submit", "--config", config, "--out", text(&out), "--state", text(&state), "-"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), reports[..3].join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("standard input:3: ") && err.contains("refused: 3 series-has-head"), "{err}");
}
