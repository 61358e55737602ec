//! `kho outbox` as an operator uses it, over real processes.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::machine::Machine;
use kho::client_file::ClientFile;
use kho::dev::DevCluster;
use kho_client::{Limits, LogMemory, Outbox};
use rustix::process::{Pid, Signal, kill_process};

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// R-D1: reports wait while there is no cluster, are delivered when there is one, and what is refused is sent again by hand.
#[tokio::test(flavor = "multi_thread")]
async fn reports_wait_are_delivered_refused_retried_and_exported() {
    let machine = Machine::new();
    let mut cluster = DevCluster::create(&machine.path("c"), 3).unwrap();
    cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
    cluster.launch().await.unwrap();
    cluster.kill_all().unwrap();

    assert!(machine.ends(&["outbox", "status"], 1).1.contains("[outbox-missing]"));
    let first = machine.report("first.json", "a", None);
    let other = machine.report("other.json", "b", None);
    let (ids, _) = machine.ends(&["outbox", "add", &first, &other], 0);
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(
        (ids.len(), machine.list(&["--queued"], "record_id")),
        (2, ids.iter().map(|id| (*id).to_owned()).collect())
    );
    let (csv, _) = machine.ends(&["outbox", "list", "--format", "csv"], 0);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "record_id,state,added,bytes,rounds,in_doubt,code,sentence,told,sequence,unit,regime,period,series,origin"
    );
    assert!(lines.len() == 3 && lines[1].starts_with(&format!("{},queued,", ids[0])), "{csv}");
    assert!(lines[1].ends_with(",BYT,YT-01,2020-06-12,a,first.json"), "{csv}");
    let (csv, _) = machine.ends(&["outbox", "status", "--format", "csv"], 0);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "queued,in_doubt,oldest,refused,bytes,delivered,delivered_bytes,code,sentence");
    assert!(lines.len() == 2 && lines[1].starts_with("2,0,20"), "{csv}");
    // nobody is there: it waits, and ends when it is told to; certainly not in
    let mut draining = machine.kho(&["outbox", "drain"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(draining.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("waits [no-leader]")));
    let (_, refused) = machine.ends(&["outbox", "status"], 1);
    assert!(
        refused.contains("[outbox-locked]") && refused.contains(&format!("process {}", draining.id())),
        "{refused}"
    );
    kill_process(Pid::from_raw(draining.id() as i32).unwrap(), Signal::TERM).unwrap();
    assert!(lines.any(|line| line.contains("still waiting: 2 records, of which 0 may be in")));
    assert_eq!(draining.wait().unwrap().code(), Some(4));
    assert_eq!((machine.status("queued"), machine.status("code")), (2.into(), "no-leader".into()));

    cluster.start_all().unwrap();
    cluster.wait_ready().await.unwrap();
    machine.ends(&["outbox", "drain"], 0);
    assert_eq!((machine.status("queued"), machine.status("delivered")), (0.into(), 2.into()));

    // a second original is refused, and its correction with it
    let again = machine.report("again.json", "a", None);
    let other_figures = std::fs::read_to_string(machine.path(&again)).unwrap().replace(":2,", ":3,");
    std::fs::write(machine.path(&again), other_figures).unwrap();
    let (id, _) = machine.ends(&["outbox", "add", &again], 0);
    let id = id.trim();
    let correction = machine.report("correction.json", "a", Some(id));
    machine.ends(&["outbox", "add", &correction], 0);
    assert!(machine.ends(&["outbox", "drain"], 1).1.contains("refused: 2 records"));
    assert_eq!(machine.list(&["--refused"], "code"), ["series-has-head", "outbox-predecessor-refused"]);
    assert!(machine.ends(&["outbox", "list"], 0).0.contains("the series has a revision already"));
    assert!(machine.ends(&["outbox", "retry", id], 0).1.contains("queued again: 2 records"));
    assert!(machine.ends(&["outbox", "drain"], 1).1.contains("refused [series-has-head]"));
    machine.ends(&["outbox", "export", "--out", "refused", "--refused", "--forget"], 0);
    let why = std::fs::read_to_string(machine.path(&format!("refused/{id}.refused"))).unwrap();
    assert!(why.starts_with("series-has-head\nthe series has a revision already"), "{why}");
    assert_eq!(machine.status("refused"), 0);
    assert!(machine.ends(&["outbox", "retry", id], 1).1.contains("[record-unknown]"));
    // it is not in, and nobody has it any more: added again it is sent again
    assert_eq!(machine.ends(&["outbox", "add", &again], 0), (format!("{id}\n"), String::new()));
    assert!(machine.ends(&["outbox", "drain"], 1).1.contains("refused [series-has-head]"));
    let (_, told) = machine.ends(&["outbox", "add", &again], 0);
    assert!(told.contains(&format!("record {id}: it was there already, refused")), "{told}");
    machine.ends(&["outbox", "export", "--out", "refused", "--refused", "--forget"], 0);

    // their add was killed before it wrote down that they were taken: what forgets them does
    let state = std::fs::read_to_string(machine.path("spool/add.state")).unwrap();
    let open: String = state.lines().filter(|line| !line.ends_with(" done")).map(|line| format!("{line}\n")).collect();
    std::fs::write(machine.path("spool/add.state"), open).unwrap();
    let (written, _) = machine.ends(&["outbox", "export", "--out", "receipts", "--forget"], 0);
    assert_eq!((written.lines().count(), files(&machine.path("receipts")).len()), (2, 4));
    let key = cluster.verifier_key().unwrap().to_string();
    let (receipt, record) = (format!("receipts/{}.tlog-proof", ids[0]), format!("receipts/{}.record", ids[0]));
    machine.ends(&["verify", "--key", &key, "--trust", "c/ca/signers-ca.pem", &receipt, &record], 0);
    assert_eq!(machine.status("delivered"), 0);
    // what is in is no second record, though the outbox has it no longer
    let (again, told) = machine.ends(&["outbox", "add", &first, &other], 0);
    assert_eq!((again.lines().collect::<Vec<_>>(), machine.status("queued")), (ids.clone(), 0.into()));
    assert_eq!(told.matches(": added before, and no longer here").count(), 2, "{told}");

    // what was exported and forgotten may be added again: the same receipt, no second record
    machine.ends(&["outbox", "add", &record], 0);
    machine.ends(&["outbox", "drain"], 0);
    let outbox = Outbox::open_existing(&machine.path("spool"), Limits::default()).unwrap();
    let stored = outbox.read(ids[0].parse().unwrap()).await.unwrap().unwrap();
    let index = |text: &str| text.lines().find(|line| line.starts_with("index ")).map(str::to_owned);
    assert_eq!(index(&stored.receipt.unwrap()), index(&std::fs::read_to_string(machine.path(&receipt)).unwrap()));
    drop(outbox);
    cluster.terminate_all().await.unwrap();
}

/// What waits is delivered as it comes, until the service's manager ends it in good order.
#[tokio::test(flavor = "multi_thread")]
async fn run_goes_on_until_it_is_told_to_stop() {
    let machine = Machine::new();
    let mut cluster = DevCluster::create(&machine.path("c"), 3).unwrap();
    cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
    cluster.launch().await.unwrap();
    let first = machine.report("first.json", "a", None);
    machine.ends(&["outbox", "add", &first], 0);
    let mut running = machine.kho(&["outbox", "run"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains(": sequence ")));
    // it follows its TLS files, and holds the log to what it has signed before
    let file = ClientFile::load(&machine.path("c/client.toml")).unwrap();
    let memory = LogMemory { file: Some(machine.path("spool/logs.json")), evidence: None };
    let error = file.standing_client(memory.clone()).err().expect("the process has it");
    assert!(error.to_string().contains("another client that has it open"), "{error}");
    kill_process(Pid::from_raw(running.id() as i32).unwrap(), Signal::TERM).unwrap();
    assert!(lines.any(|line| line.contains("stopped; still waiting: 0 records, refused: 0")));
    assert_eq!(running.wait().unwrap().code(), Some(0));
    let client = file.standing_client(memory).unwrap();
    assert_eq!(client.remembered().len(), 1);
    assert!(client.tls_status().is_some());
    drop(client);
    assert_eq!(machine.list(&["--delivered"], "state"), ["delivered"]);
    cluster.terminate_all().await.unwrap();
}

/// What waits for another certificate is told, counted and left where it is; whoever drains is not kept for ever.
#[tokio::test(flavor = "multi_thread")]
async fn draining_ends_where_another_certificate_is_needed() {
    let machine = Machine::new();
    let mut cluster = DevCluster::create(&machine.path("c"), 3).unwrap();
    cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
    cluster.launch().await.unwrap();
    let file = machine.path("c/client.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let client = ["certs", "client", "--dir", "c", "--name", "other", "--role", "submitter", "--role", "reader"];
    machine.ends(&[client.as_slice(), &["--unit", "BTC"]].concat(), 0);
    machine.ends(&["outbox", "add", &machine.report("report.json", "a", None)], 0);

    std::fs::write(&file, good.replace("platform.", "other.")).unwrap();
    let mut draining = machine.kho(&["outbox", "drain"]).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while draining.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            draining.kill().unwrap();
            panic!("it waits on and on");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ended = draining.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(
        told.contains("waiting for another sender: 1 record [unit-not-permitted of 1], 0 of them may be in"),
        "{told}"
    );
    assert_eq!((machine.status("queued"), machine.status("refused")), (1.into(), 0.into()));

    std::fs::write(&file, good).unwrap();
    machine.ends(&["outbox", "drain"], 0);
    assert_eq!((machine.status("queued"), machine.status("delivered")), (0.into(), 1.into()));
}

/// By hand, and not while another process delivers: what waits is refused, and the list says whether it may be in.
#[test]
fn what_waits_is_given_up_by_hand() {
    let machine = Machine::new();
    machine.ends(&["cluster", "new", "--dir", "c"], 0);
    let (ids, _) =
        machine.ends(&["outbox", "add", &machine.report("a.json", "a", None), &machine.report("b.json", "b", None)], 0);
    let ids: Vec<&str> = ids.lines().collect();
    let held = Outbox::open_existing(&machine.path("spool"), Limits::default()).unwrap();
    let (_, told) = machine.ends(&["outbox", "refuse", ids[0]], 1);
    assert!(told.contains("[outbox-locked]") && told.contains("process"), "{told}");
    drop(held);
    let (_, told) = machine.ends(&["outbox", "refuse", ids[0]], 0);
    assert!(told.contains("given up: 1 record, of which 0 may be in"), "{told}");
    assert_eq!(machine.list(&["--refused"], "code"), ["outbox-given-up"]);
    assert_eq!(machine.list(&["--queued"], "series"), ["b"]);
    assert!(machine.ends(&["outbox", "refuse", ids[0], ids[1]], 1).1.contains("[record-unknown]"));
    assert_eq!(machine.status("queued"), 1, "all or none");

    // one from a file may have been sent by whoever wrote it down
    machine.ends(&["outbox", "export", "--out", "refused", "--refused", "--forget"], 0);
    machine.ends(&["outbox", "add", &format!("refused/{}.record", ids[0])], 0);
    let (_, told) = machine.ends(&["outbox", "refuse", ids[0], ids[1]], 0);
    assert!(told.contains("given up: 2 records, of which 1 may be in"), "{told}");
    let told = machine.list(&["--refused"], "sentence");
    assert_eq!(told, ["given up by hand; it certainly is not in", "given up by hand, and may be in"]);
    assert!(machine.ends(&["outbox", "retry", "--all"], 0).1.contains("queued again: 2 records"));
    assert_eq!((machine.status("queued"), machine.status("in_doubt")), (2.into(), 1.into()));
    machine.ends(&["outbox", "refuse"], 2);
}
