//! `kho drill` over real processes: what its report says is held against what is known otherwise. R-A2, R-A3, R-A5, R-B1.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use kho::dev::{DevCluster, NodeId};
use serde_json::Value;

/// No new leader can be elected sooner after the old one fell silent: its lease, less a heartbeat (docs/consensus.md).
const LEASE_MS: f64 = 320.0 - 75.0;

struct Drill {
    dir: tempfile::TempDir,
    cluster: DevCluster,
}

impl Drill {
    /// Three nodes; `pid` in the directory says whose process is whose.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = DevCluster::create(&dir.path().join("c"), 3).unwrap();
        cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
        cluster.launch().await.unwrap();
        let drill = Self { dir, cluster };
        drill.cluster.nodes().for_each(|node| drill.note_pid(node));
        drill
    }

    fn note_pid(&self, node: NodeId) {
        std::fs::write(self.path(&format!("pid{node}")), self.cluster.pid(node).unwrap().to_string()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command that sends the leader's process a signal.
    fn signal(&self, signal: &str) -> String {
        format!("kill -{signal} $(cat {}$KHO_LEADER_ID)", self.path("pid").display())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut kho = Command::new(env!("CARGO_BIN_EXE_kho"));
        kho.arg("drill").args(arguments).env_remove("KHO_CONFIG").env("LC_ALL", "C");
        kho.arg("--config").arg(self.cluster.layout().drill_file()).arg("--out").arg(self.path("reports"));
        kho.args(["--before", "1", "--after", "1"]);
        kho
    }

    /// Runs a drill that ends with `code`; its report, and what it said.
    #[track_caller]
    fn ends(&self, arguments: &[&str], code: i32) -> (Option<Value>, String) {
        said(self.command(arguments).output().unwrap(), code)
    }

    fn reports(&self) -> usize {
        std::fs::read_dir(self.path("reports")).map_or(0, Iterator::count)
    }

    /// Leaves besides the genesis record, on all nodes.
    async fn leaves(&mut self) -> u64 {
        self.cluster.wait_equal().await.unwrap().0 - 1
    }
}

#[track_caller]
fn said(output: Output, code: i32) -> (Option<Value>, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    let json = out.lines().find(|line| line.ends_with(".json"));
    if json.is_some() {
        let page = out.lines().find(|line| line.ends_with(".html")).unwrap();
        assert!(std::fs::read_to_string(page).unwrap().starts_with("<!doctype html>"));
    }
    (json.map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()), err)
}

fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} in {report:#}"))
}

fn verdicts(report: &Value) -> Vec<String> {
    let all = report["requirements"].as_array().unwrap().iter();
    all.map(|one| format!("{} {}", one["id"].as_str().unwrap(), one["verdict"].as_str().unwrap())).collect()
}

/// What must be true of every report, whatever happened.
fn sound(report: &Value) {
    assert_eq!(report["schema"], "kho-drill-report/1");
    let measured = |field: &str| number(report, &format!("/measured/{field}"));
    assert_eq!(measured("submitted"), measured("acknowledged") + measured("failed") + measured("unknown"));
    assert_eq!(measured("unknown"), measured("settled") + measured("unsettled"));
    assert_eq!(number(report, "/checks/records"), measured("acknowledged") + measured("settled"));
    let buckets = report["timeline"]["buckets"].as_array().unwrap();
    let sum = |field: &str| buckets.iter().map(|bucket| bucket[field].as_f64().unwrap()).sum::<f64>();
    for field in ["acknowledged", "failed", "unknown"] {
        assert_eq!(sum(field), measured(field), "{field} in the time line");
    }
    let length = measured("gap_ended_ms") - measured("gap_begun_ms");
    assert!((length - measured("longest_gap_ms")).abs() < 0.3, "{report:#}");
    assert!(measured("gap_ended_ms") >= number(report, "/fault/begun_ms"));
}

/// What must be true where nothing was lost and everybody answered.
fn nothing_lost(report: &Value) {
    sound(report);
    assert_eq!(report["passed"], true, "{report:#}");
    let records = number(report, "/checks/records");
    assert!(records > 100.0);
    assert_eq!((number(report, "/checks/lost"), number(report, "/measured/failed")), (0.0, 0.0));
    assert_eq!(number(report, "/checks/receipts_verified"), records);
    for node in 0..3 {
        assert_eq!(number(report, &format!("/checks/nodes/{node}/good")), records);
    }
    let term = |when: &str| number(report, &format!("/fault/term_{when}"));
    assert!(term("after") > term("before"));
    assert_ne!(report["fault"]["leader_after"], report["fault"]["leader_before"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_is_measured_and_its_report_agrees_with_the_cluster() {
    let mut drill = Drill::new().await;
    let leader = drill.cluster.leader().await.unwrap().unwrap();
    let to = drill.cluster.nodes().find(|node| *node != leader).unwrap();

    let plan = String::from_utf8(drill.command(&["leader-transfer", "--plan"]).output().unwrap().stdout).unwrap();
    assert!(plan.contains("The cluster is healthy") && plan.contains(&format!("node {leader} leads")), "{plan}");
    assert_eq!((drill.reports(), drill.leaves().await), (0, 0), "a plan does nothing");

    let (report, _) = drill.ends(&["leader-transfer", "--to", &to.to_string()], 0);
    let report = report.unwrap();
    nothing_lost(&report);
    assert_eq!(verdicts(&report), ["R-A2 pass", "R-A3 not-shown", "R-A5 pass", "R-B1 pass"]);
    assert_eq!(report["fault"]["leader_before"], leader.0);
    assert_eq!(report["fault"]["leader_after"], to.0);
    assert_eq!(drill.cluster.leader().await.unwrap(), Some(to));
    let cluster = std::fs::read_to_string(drill.cluster.layout().cluster_file()).unwrap();
    assert!(cluster.contains(report["cluster"]["id"].as_str().unwrap()));
    // one leaf for each record and the probe, and none that nobody told of
    let leaves = drill.leaves().await;
    assert_eq!(number(&report, "/checks/records") + 1.0, leaves as f64);
    assert_eq!(number(&report, "/log/after/tree_size"), leaves as f64 + 1.0);
    assert_eq!(number(&report, "/log/before/tree_size"), 1.0);

    // refusals, each with its code; nothing is written
    let reports = drill.reports();
    let client = drill.cluster.layout().client_file();
    let (none, err) = drill.ends(&["leader-transfer", "--to", "9"], 1);
    assert!(none.is_none() && err.contains("[member-unknown]"), "{err}");
    let mut other = Command::new(env!("CARGO_BIN_EXE_kho"));
    other.args(["drill", "leader-transfer", "--config"]).arg(client);
    let (_, err) = said(other.output().unwrap(), 1);
    assert!(err.contains("[drill-unit-required]") && err.contains("BYT"), "{err}");
    assert_eq!(drill.reports(), reports);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_replaced_and_comes_back() {
    let drill = Drill::new().await;
    let (kill, config) = (drill.signal("KILL"), drill.cluster.layout().dir().join("node$KHO_LEADER_ID.toml"));
    let (log, pid) = (drill.path("restarted.log"), drill.path("again"));
    let restart = format!(
        "{} serve --config {} 2> {} & echo $! > {}",
        env!("CARGO_BIN_EXE_kho"),
        config.display(),
        log.display(),
        pid.display()
    );
    let arguments = ["leader-kill", "--outage", "2", "--kill-command", &kill, "--restart-command", &restart];
    let (report, _) = drill.ends(&arguments, 0);
    let again = Restarted(std::fs::read_to_string(drill.path("again")).unwrap());
    let report = report.unwrap();
    nothing_lost(&report);
    assert_eq!(verdicts(&report), ["R-A2 pass", "R-A3 pass", "R-A5 pass", "R-B1 pass"]);
    assert!(number(&report, "/measured/longest_gap_ms") > LEASE_MS, "{report:#}");
    assert!(number(&report, "/measured/recovered_after_fault_ms") > 2_000.0, "not before it was started again");
    let ran: Vec<_> = report["fault"]["commands"].as_array().unwrap().iter().map(|run| &run["exit_code"]).collect();
    assert_eq!(ran, [0, 0]);
    let status = Command::new("kill").args(["-0", again.0.trim()]).status().unwrap();
    assert!(status.success(), "the restarted node runs");
}

/// A node that no cluster value knows of.
struct Restarted(String);

impl Drop for Restarted {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", self.0.trim()]).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_shows_nothing_or_too_little_ends_with_5() {
    let mut drill = Drill::new().await;
    let (report, err) = drill.ends(&["leader-kill", "--outage", "1", "--kill-command", "true"], 5);
    let report = report.unwrap();
    sound(&report);
    assert!(err.contains("[drill-not-met]") && err.contains("took no effect"), "{err}");
    assert_eq!(report["fault"]["took_effect"], false);
    assert!(verdicts(&report).iter().all(|verdict| verdict.ends_with("not-shown")), "{report:#}");

    // the leader goes, and nobody brings it back
    let kill = drill.signal("KILL");
    let arguments = ["leader-kill", "--outage", "1", "--recover-within", "1", "--kill-command", &kill];
    let (report, err) = drill.ends(&arguments, 5);
    let report = report.unwrap();
    sound(&report);
    assert!(err.contains("[drill-not-met]") && err.contains("R-A5"), "{err}");
    assert_eq!(verdicts(&report), ["R-A2 pass", "R-A3 pass", "R-A5 fail", "R-B1 pass"], "{report:#}");
    assert_eq!(report["measured"]["recovered_after_fault_ms"], Value::Null);
    let away = report["checks"]["nodes"].as_array().unwrap().iter().filter(|node| node["reachable"] == false).count();
    assert_eq!(away, 1);

    // now a node is missing: another one less would cost the majority
    let reports = drill.reports();
    for arguments in [&["leader-transfer"][..], &["leader-kill", "--kill-command", &kill]] {
        let (none, err) = drill.ends(arguments, 1);
        assert!(none.is_none() && err.contains("[cluster-unhealthy]"), "{err}");
    }
    assert!(drill.cluster.check_alive().is_err(), "the one that was killed");
    assert!(drill.cluster.check_alive().is_ok(), "and no other");
    assert_eq!(drill.reports(), reports);
    let out = drill.command(&["leader-transfer", "--plan"]).output().unwrap().stdout;
    assert!(String::from_utf8(out).unwrap().contains("would be refused"));
    // forced, a harmless one is made, and shows that the cluster is not whole
    let (report, _) = drill.ends(&["leader-transfer", "--force", "--recover-within", "1"], 5);
    let report = report.unwrap();
    assert_eq!(verdicts(&report), ["R-A2 pass", "R-A3 not-shown", "R-A5 fail", "R-B1 pass"]);
    assert!(!report["cluster"]["problems_before"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_is_replaced_and_returns() {
    let mut drill = Drill::new().await;
    let leader = drill.cluster.leader().await.unwrap().unwrap();
    let (cut, heal) = (drill.signal("STOP"), drill.signal("CONT"));
    let arguments = ["isolate", "--outage", "3", "--cut-command", &cut, "--heal-command", &heal];
    let (report, _) = drill.ends(&arguments, 0);
    let report = report.unwrap();
    nothing_lost(&report);
    assert_eq!(verdicts(&report), ["R-A2 pass", "R-A3 pass", "R-A5 pass", "R-B1 pass"]);
    assert_eq!(report["fault"]["leader_before"], leader.0);
    assert!(number(&report, "/measured/longest_gap_ms") > LEASE_MS, "{report:#}");
    assert!(number(&report, "/fault/mended_ms") - number(&report, "/fault/begun_ms") >= 3_000.0);
    let leaves = drill.leaves().await;
    assert_eq!(number(&report, "/checks/records") + 1.0, leaves as f64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_is_healed_however_the_drill_ends() {
    let drill = Drill::new().await;
    let log = drill.path("log");
    let healed = || std::fs::read_to_string(&log).unwrap_or_default();
    let heal = format!("echo healed $KHO_LEADER_ID >> {}", log.display());

    // the cut fails half-way
    let (none, err) = drill.ends(&["isolate", "--cut-command", "echo no way; exit 9", "--heal-command", &heal], 1);
    assert!(none.is_none() && err.contains("[drill-fault-failed]") && err.contains("no way"), "{err}");
    assert_eq!(healed().lines().count(), 1, "{err}");

    // it takes too long
    let arguments = ["isolate", "--command-timeout", "1", "--cut-command", "sleep 600", "--heal-command", &heal];
    let (_, err) = drill.ends(&arguments, 1);
    assert!(err.contains("[drill-fault-failed]"), "{err}");
    assert_eq!(healed().lines().count(), 2);

    // a signal arrives while it is cut; another while it heals changes nothing
    for signal in ["INT", "TERM"] {
        let (cut_done, before) = (drill.path(&format!("cut{signal}")), healed().lines().count());
        let cut = format!("touch {}", cut_done.display());
        let slow = format!("sleep 1; {heal}");
        let mut kho = drill.command(&["isolate", "--outage", "60", "--cut-command", &cut, "--heal-command", &slow]);
        let child = kho.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(&cut_done);
        let kill = |pid: u32| Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().unwrap();
        assert!(kill(child.id()).success());
        std::thread::sleep(Duration::from_millis(300));
        assert!(kill(child.id()).success());
        let (none, err) = said(child.wait_with_output().unwrap(), 1);
        assert!(none.is_none() && err.contains(&format!("interrupted by SIG{signal}")), "{err}");
        assert_eq!(healed().lines().count(), before + 1, "{err}");
    }

    // what can't be healed is the loudest: with the words to do it by hand
    let arguments = ["isolate", "--outage", "1", "--cut-command", "true", "--heal-command", "exit 7"];
    let (_, err) = drill.ends(&arguments, 6);
    assert!(err.contains("[drill-not-healed]") && err.contains("KHO_LEADER_ID=") && err.contains("exit 7"), "{err}");
}

fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}
