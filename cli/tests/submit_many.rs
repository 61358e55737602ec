//! `kho submit` with many reports: bad ones among good ones, runs that are killed, nobody who answers.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{cluster, ends, text};
use kho::dev::{DevCluster, NodeId, Options};
use rustix::process::{Pid, Signal, kill_process};

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

/// So many reports of as many series, a line each, and the file that they stand in.
fn many_reports(dir: &tempfile::TempDir, count: usize) -> (PathBuf, Vec<String>) {
    let reports: Vec<_> = (0..count).map(|n| report(&format!("{n}"), r#""figures":{"n":1}"#)).collect();
    let input = dir.path().join("reports.ndjson");
    std::fs::write(&input, reports.join("\n")).unwrap();
    (input, reports)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_goes_on_without_a_loss_or_a_second_record() {
    const REPORTS: usize = 1_500;
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster(&dir).await;
    let config = cluster.layout().client_file();
    let (config, out) = (text(&config), dir.path().join("records"));
    let (input, reports) = many_reports(&dir, REPORTS);
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

/// Ctrl-C and SIGTERM: what was acknowledged is told, and the same command goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_interrupted_says_how_to_go_on() {
    const REPORTS: usize = 1_500;
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster(&dir).await;
    let config = cluster.layout().client_file();
    let (config, out) = (text(&config), dir.path().join("records"));
    let (input, _) = many_reports(&dir, REPORTS);
    let submit = ["submit", "--config", config, "--out", text(&out)];
    let start = |last: &str| {
        let mut kho = Command::new(env!("CARGO_BIN_EXE_kho"));
        kho.args(submit)
            .arg(last)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        kho.spawn().unwrap()
    };
    let mut child = start(text(&input));
    let begun = Instant::now();
    while files(&out, ".tlog-proof").is_empty() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    signal(&child, Signal::INT);
    drop(child.stdin.take());
    let ended = child.wait_with_output().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{err}");
    assert!(err.contains(" accepted, ") && err.contains("interrupted: what was acknowledged"), "{err}");
    let before = files(&out, ".tlog-proof").len();
    assert!((1..REPORTS).contains(&before) && err.contains(&format!(" {before} accepted, ")), "{before}\n{err}");
    let (_, err) = ends(&[&submit[..], &[text(&input)]].concat(), 0);
    assert!(err.contains(&format!("{before} done by an earlier run")), "{err}");
    assert_eq!(series(config).len(), REPORTS, "none is lost, none twice");

    // waiting for input that does not come
    let child = start("-");
    let begun = Instant::now();
    while !out.join("submit.state").exists() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, Signal::TERM);
    let ended = ended_within(child, Duration::from_secs(30));
    assert_eq!(ended.status.code(), Some(143), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("interrupted while reading"));
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
}

/// Ends by itself, with its input left open.
fn ended_within(mut child: Child, limit: Duration) -> Output {
    let stdin = child.stdin.take();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > limit {
            child.kill().unwrap();
            panic!("it waits on and on");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    output
}

/// The client file with a signer whom the nodes don't trust.
fn untrusted(dir: &Path, config: &str) -> String {
    let other = dir.join("other");
    for make in ["ca", "signer"] {
        let unit: &[&str] = if make == "signer" { &["--unit", "BYT"] } else { &[] };
        ends(&[&["certs", make, "--dir", text(&other)], unit].concat(), 0);
    }
    let mut file: toml::Table = std::fs::read_to_string(config).unwrap().parse().unwrap();
    let files = [("certificate", "BYT.pem"), ("key", "BYT.key.pem")];
    let signer = files.map(|(field, name)| (field.to_owned(), text(&other.join("signers").join(name)).into()));
    file.insert("signer".to_owned(), toml::Table::from_iter(signer).into());
    let path = Path::new(config).with_file_name("untrusted.toml");
    std::fs::write(&path, toml::to_string(&file).unwrap()).unwrap();
    text(&path).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_or_in_doubt_is_in_the_way_of_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = cluster(&dir).await;
    let (config, out) = (cluster.layout().client_file(), dir.path().join("records"));
    let (config, wrong) = (text(&config), untrusted(dir.path(), text(&config)));
    let submit = |config: &str, files: &[&Path], code| {
        let files: Vec<_> = files.iter().map(|file| text(file)).collect();
        ends(&[&["submit", "--config", config, "--out", text(&out)], files.as_slice()].concat(), code).1
    };

    // refused for the signer: signed anew by the right one
    let one = dir.path().join("one.ndjson");
    std::fs::write(&one, report("one", r#""text":"x""#)).unwrap();
    for _ in 0..2 {
        let err = submit(&wrong, &[&one], 1);
        assert!(err.contains("1 refused, 0 unknown, 0 not sent"), "{err}");
        assert!(files(&out, ".record").is_empty(), "certainly not in: never sent");
    }
    // what is in is counted so, also where standard output takes no more
    let output = Command::new(env!("CARGO_BIN_EXE_kho"))
        .args(["submit", "--config", config, "--out", text(&out), text(&one)])
        .env("LC_ALL", "C")
        .stdout(std::fs::File::options().write(true).open("/dev/full").unwrap())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("1 reports: 1 accepted") && err.contains("No space left"), "{err}");
    assert_eq!(output.status.code(), Some(1), "{err}");
    let err = submit(config, &[&one], 0);
    assert!(err.contains("1 reports: 0 accepted, 0 there already, 1 done by an earlier run"), "{err}");

    // a directory goes as many at a time as a message takes
    for node in [1, 2, 3] {
        cluster.kill(NodeId(node)).unwrap();
    }
    let june = dir.path().join("june");
    std::fs::create_dir(&june).unwrap();
    for n in 0..300 {
        std::fs::write(june.join(format!("{n:03}.json")), report(&format!("file {n}"), r#""text":"x""#)).unwrap();
    }
    let err = submit(&wrong, &[&june], 4);
    assert!(err.contains("300 reports: ") && err.contains("0 unknown, 300 not sent"), "{err}");
    assert_eq!(files(&out, ".record").len(), 1 + 256);

    // of plain files, too, one in doubt says more than one that is certainly not in
    let plain = dir.path().join("plain.json");
    std::fs::write(&plain, report("plain", r#""text":"x""#)).unwrap();
    let written = files(&out, ".record").difference(&files(&out, ".tlog-proof")).next().unwrap().clone();
    let written = out.join(format!("{written}.record"));
    for order in [[&plain, &written], [&written, &plain]] {
        let order = order.map(|file| text(file));
        let elsewhere = dir.path().join("plain");
        ends(&["submit", "--config", config, "--out", text(&elsewhere), order[0], order[1]], 3);
    }

    // now their refusals settle nothing: they may have been sent; a disk that fails hides none of that
    for node in [1, 2, 3] {
        cluster.start(NodeId(node)).unwrap();
    }
    cluster.wait_ready().await.unwrap();
    let more = dir.path().join("more.ndjson");
    let reports: Vec<_> = (0..300).map(|n| report(&format!("line {n}"), r#""text":"x""#)).collect();
    std::fs::write(&more, reports.join("\n")).unwrap();
    let output = Command::new("bash")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 32; exec "$@""#, "bash", env!("CARGO_BIN_EXE_kho"), "submit"])
        .args(["--config", config, "--out", text(&out), text(&june), text(&more)])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(err.contains("submit.state: File too large"), "{err}");
    assert!(err.contains("0 refused, 256 unknown, 256 not sent"), "{err}");

    // and what stands behind them is sent
    let err = submit(config, &[&june, &more], 3);
    assert!(err.contains("600 reports: 344 accepted") && err.contains("256 unknown, 0 not sent"), "{err}");
    assert_eq!(series(config).len(), 345);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_run_may_bring_is_not_sent_and_holds_its_series() {
    let dir = tempfile::tempdir().unwrap();
    let settings = "[quotas]\nbytes_per_s = 4000\nbytes_burst = 40000\n".parse().unwrap();
    let options = Options { settings, ..Options::default() };
    let mut cluster = DevCluster::create_with(&dir.path().join("c"), &options).unwrap();
    cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
    cluster.launch().await.unwrap();
    let (config, out) = (cluster.layout().client_file(), dir.path().join("records"));
    let large = "x".repeat(30_000);
    let id = "01930000-0000-7000-8000-000000000001";
    let lines = [
        report("a", &format!(r#""text":"{large}""#)),
        report("b", &format!(r#""id":"{id}","text":"{large}""#)),
        report("b", &format!(r#""supersedes":"{id}","text":"small""#)),
    ];
    let input = dir.path().join("reports.ndjson");
    std::fs::write(&input, lines.join("\n")).unwrap();
    let submit = ["submit", "--config", text(&config), "--out", text(&out), text(&input)];
    let (_, err) = ends(&submit, 4);
    assert!(err.contains("3 reports: 1 accepted") && err.contains("0 refused, 0 unknown, 2 not sent"), "{err}");
    assert!(err.contains("error [quota-exceeded]: ") && err.contains("run it again as it is"), "{err}");
    // by then the quota has room again, of 4,000 bytes a second
    tokio::time::sleep(Duration::from_secs(6)).await;
    let (_, err) = ends(&submit, 0);
    assert!(err.contains("3 reports: 2 accepted, 0 there already, 1 done by an earlier run"), "{err}");
}
