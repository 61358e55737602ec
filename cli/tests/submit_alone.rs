//! `kho submit` where no node answers: what is remembered and counted all the same, and what ends it.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use common::{ends, text, verifier_key};
use rustix::process::{Pid, Signal, kill_process};

/// A sender whose nodes don't run.
struct Sender {
    dir: tempfile::TempDir,
}

impl Sender {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let client = dir.path().join("c/client.toml");
        ends(&["cluster", "new", "--dir", text(&dir.path().join("c"))], 0);
        fs::write(&client, format!("{}\n{}", verifier_key(), fs::read_to_string(&client).unwrap())).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes reports, a line each, one a series.
    fn reports(&self, name: &str, count: usize) -> PathBuf {
        let report = |n| {
            format!(r#"{{"unit":"BYT","regime":"YT-01","period":"2020-06-12","series":"{n}","figures":{{"cases":2}}}}"#)
        };
        fs::write(self.path(name), (0..count).map(report).collect::<Vec<_>>().join("\n")).unwrap();
        self.path(name)
    }

    fn submit(&self, file: &Path) -> [String; 6] {
        let [config, out] = ["c/client.toml", "out"].map(|name| text(&self.path(name)).to_owned());
        ["submit".into(), "--config".into(), config, "--out".into(), out, text(file).to_owned()]
    }

    #[track_caller]
    fn ends(&self, file: &Path, code: i32) -> (String, String) {
        ends(&self.submit(file).each_ref().map(String::as_str), code)
    }

    fn signed(&self) -> usize {
        let ends = |name: &fs::DirEntry| name.path().extension().is_some_and(|end| end == "record");
        fs::read_dir(self.path("out")).unwrap().filter(|entry| ends(entry.as_ref().unwrap())).count()
    }

    /// Begins, and tells the lines of its standard error.
    fn begin(&self, file: &Path) -> (Child, Receiver<String>) {
        let mut kho = Command::new(env!("CARGO_BIN_EXE_kho"));
        kho.args(self.submit(file)).env("LC_ALL", "C").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = kho.spawn().unwrap();
        let (lines, told) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        (child, told)
    }
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_raw(child.id() as i32).unwrap(), Signal::INT).unwrap();
}

/// Whether it has said what it does on Ctrl-C.
fn catches_interrupts(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
    u64::from_str_radix(caught, 16).unwrap() & (1 << (Signal::INT.as_raw() - 1)) != 0
}

/// A state was worse than none: of another user, on a file system without locks, it kept a report from being signed.
#[test]
fn a_state_that_is_not_to_be_had_keeps_no_report_from_being_signed() {
    let sender = Sender::new();
    let report = sender.reports("report.json", 1);
    fs::create_dir_all(sender.path("out/submit.state")).unwrap();
    let (_, err) = sender.ends(&report, 4);
    assert!(err.contains("out/submit.state: Is a directory") && err.contains("is not remembered"), "{err}");
    assert_eq!(sender.signed(), 1);

    // a file that is there and says something else is a mistake
    fs::remove_dir(sender.path("out/submit.state")).unwrap();
    fs::write(sender.path("out/submit.state"), "something\n").unwrap();
    let (_, err) = sender.ends(&report, 1);
    assert!(err.contains("submit.state: expected a state of kho submit, found another file"), "{err}");
    assert_eq!(sender.signed(), 1);
}

/// Else it is a second record: under another id, with other bytes.
#[test]
fn what_stands_in_a_state_that_does_not_open_is_not_signed_anew() {
    let sender = Sender::new();
    let (report, state) = (sender.reports("report.json", 1), sender.path("out/submit.state"));
    sender.ends(&report, 4);
    assert_eq!(sender.signed(), 1);
    let held = File::open(&state).unwrap();
    held.lock().unwrap();
    // nobody answers, and an earlier run may have sent it
    let (_, err) = sender.ends(&report, 3);
    assert!(err.contains("signed before: sending") && !err.contains("is not remembered"), "{err}");
    assert_eq!(sender.signed(), 1);
    let other = sender.path("other.json");
    fs::write(&other, fs::read_to_string(&report).unwrap().replace(":2}", ":3}")).unwrap();
    let (_, err) = sender.ends(&other, 4);
    assert!(err.contains("in use by another kho submit") && err.contains("is not remembered"), "{err}");
    assert_eq!(sender.signed(), 2);
    drop(held);

    // one that is there and does not read, as another user's
    fs::remove_file(&state).unwrap();
    std::os::unix::fs::symlink("submit.state", &state).unwrap();
    let (_, err) = sender.ends(&report, 1);
    assert!(err.contains("submit.state: "), "{err}");
    assert_eq!(sender.signed(), 2);
}

#[test]
fn whoever_waits_for_the_state_can_be_interrupted() {
    let sender = Sender::new();
    let report = sender.reports("report.json", 1);
    fs::create_dir(sender.path("out")).unwrap();
    let state = File::create(sender.path("out/submit.state")).unwrap();
    state.lock().unwrap();
    let (mut child, told) = sender.begin(&report);
    let begun = Instant::now();
    while !catches_interrupts(&child) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never does");
        std::thread::sleep(Duration::from_millis(1));
    }
    // by then it has read its report, and waits
    std::thread::sleep(Duration::from_millis(300));
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let told: Vec<_> = told.iter().collect();
    assert!(told.iter().any(|line| line.contains("interrupted: what was acknowledged")), "{told:?}");
    assert_eq!(sender.signed(), 0, "it did not wait until it could sign: {told:?}");
}

/// While the nodes were asked whether anybody is there, what they had not answered for was counted nowhere.
#[test]
fn what_is_in_doubt_is_counted_whenever_it_is_interrupted() {
    let sender = Sender::new();
    let reports = sender.reports("reports.ndjson", 3);
    let (_, err) = sender.ends(&reports, 4);
    assert!(err.contains("0 unknown, 3 not sent"), "{err}");
    // an earlier run may have sent them: in doubt, and a node is asked for one of them
    let (mut child, told) = sender.begin(&reports);
    let begun = Instant::now();
    let mut lines = Vec::new();
    // a call has 3 s, and the question that much again
    while let Ok(line) = told.recv_timeout(Duration::from_millis(4_500).saturating_sub(begun.elapsed())) {
        lines.push(line);
        if lines.iter().filter(|line| line.contains("[outcome-unknown]")).count() == 3 {
            break;
        }
    }
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130), "{lines:?}");
    lines.extend(told.iter());
    let summary = lines.iter().find(|line| line.contains(" reports: ")).unwrap();
    assert!(summary.starts_with("3 reports: 0 accepted") && summary.contains("3 unknown, 0 not sent"), "{summary}");
}
