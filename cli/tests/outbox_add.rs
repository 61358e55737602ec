//! What `kho outbox add` takes, and that it takes nothing twice. No node runs here.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod common;

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::machine::Machine;
use kho_client::{Limits, Outbox};

/// What kho submit takes, the outbox takes: directories, lines, standard input. All or nothing.
#[test]
fn an_outbox_takes_directories_lines_and_standard_input() {
    let machine = Machine::new();
    machine.ends(&["cluster", "new", "--dir", "c"], 0);
    let line = |series: &str| std::fs::read_to_string(machine.path(&machine.report("one.tmp", series, None))).unwrap();
    std::fs::create_dir(machine.path("june")).unwrap();
    machine.report("june/a.json", "a", None);
    std::fs::write(machine.path("june/b.ndjson"), format!("{}\n\n{}\n", line("b"), line("c"))).unwrap();
    let (ids, _) = machine.ends(&["outbox", "add", "june"], 0);
    assert_eq!(ids.lines().count(), 3);
    assert_eq!(machine.list(&[], "series"), ["a", "b", "c"]);
    assert_eq!(machine.list(&[], "origin"), ["june/a.json", "june/b.ndjson:1", "june/b.ndjson:3"]);
    let (table, _) = machine.ends(&["outbox", "list"], 0);
    assert!(table.contains("june/b.ndjson:3") && table.contains("YT-01"), "{table}");

    let from_stdin = |text: &str| {
        let mut adding = machine.kho(&["outbox", "add", "-"]);
        let mut adding = adding.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut adding.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let ended = adding.wait_with_output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    assert_eq!(from_stdin(&line("d")).0, Some(0));
    assert_eq!(machine.list(&[], "origin")[3], "standard input:1");
    // a bad line among good ones: none of them
    let (code, told) = from_stdin(&format!("{}\n{{}}\n", line("e")));
    assert!(code == Some(1) && told.contains("standard input:2") && told.contains("[report-invalid]"), "{told}");
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&line("e")).unwrap()).unwrap();
    let (code, told) = from_stdin(&pretty);
    assert!(code == Some(1) && told.contains("jq -c"), "{told}");
    assert_eq!(from_stdin("\n").0, Some(1), "nothing to add is no success");
    assert_eq!(machine.list(&[], "series").len(), 4);

    let (_, told) = machine.ends(&["outbox", "retry"], 2);
    assert!(told.contains("--all") && told.contains("kho outbox list --refused"), "{told}");
    let vi = machine.kho(&["outbox", "status", "--lang", "vi"]).output().unwrap();
    let vi = String::from_utf8(vi.stdout).unwrap();
    assert!(vi.contains("đang chờ") && vi.contains("4, trong đó 0 có thể đã vào kho"), "{vi}");
}

/// A folder that is added every hour: what was added before is no second record, and needs no second place.
#[test]
fn what_was_added_before_is_no_second_record() {
    let machine = Machine::new();
    machine.ends(&["cluster", "new", "--dir", "c"], 0);
    std::fs::create_dir(machine.path("june")).unwrap();
    machine.report("june/a.json", "a", None);
    machine.report("june/b.json", "b", None);
    let (first, told) = machine.ends(&["outbox", "add", "june"], 0);
    assert_eq!((first.lines().count(), told.as_str()), (2, ""));
    machine.report("june/c.json", "c", None);
    // there is room for the new one, not for all of them once more
    let hourly = ["outbox", "add", "june", "--records-max", "3"];
    let (second, told) = machine.ends(&hourly, 0);
    assert!(second.starts_with(&first) && second.lines().count() == 3, "{second}");
    assert_eq!(told.matches(": it was there already, queued").count(), 2, "{told}");
    for _ in 0..2 {
        assert_eq!(machine.ends(&hourly, 0).0, second);
    }
    assert_eq!(machine.list(&[], "series"), ["a", "b", "c"]);
    let mode = |name: &str| std::fs::metadata(machine.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("spool"), mode("spool/add.state")), (0o700, 0o600));

    // it is known by what it says: moved it is the same, edited another; the same twice at once are two
    std::fs::rename(machine.path("june/a.json"), machine.path("moved.json")).unwrap();
    assert_eq!(machine.ends(&["outbox", "add", "moved.json"], 0).0, first.lines().next().unwrap().to_owned() + "\n");
    machine.report("june/b.json", "edited", None);
    std::fs::copy(machine.path("june/c.json"), machine.path("june/d.json")).unwrap();
    for _ in 0..2 {
        machine.ends(&["outbox", "add", "june"], 0);
        assert_eq!(machine.list(&[], "series"), ["a", "b", "c", "edited", "c"]);
    }

    // one with an id of its own, given twice at once and again, is one; edited under that id it is refused, each time
    let named = machine.named("named.json", "named");
    for count in [1, 0] {
        let (ids, told) = machine.ends(&["outbox", "add", &named, &named], 0);
        assert!(ids.lines().all(|id| id == Machine::ID), "{ids}");
        assert_eq!(told.matches(": it was there already, queued").count(), 2 - count, "{told}");
    }
    machine.named("named.json", "edited under its id");
    for _ in 0..2 {
        let (_, told) = machine.ends(&["outbox", "add", &named], 1);
        assert!(told.contains("[record-id-conflict]"), "{told}");
    }
    assert_eq!(machine.status("queued"), 6);
}

/// Whatever ends an add, and wherever: the next one brings in what is missing, under its id, and nothing twice.
#[test]
fn an_add_that_was_ended_goes_on() {
    let machine = Machine::new();
    machine.ends(&["cluster", "new", "--dir", "c"], 0);
    let state = || std::fs::read_to_string(machine.path("spool/add.state")).unwrap();
    let all: Vec<_> = ["a", "b", "c"].map(|series| machine.report(&format!("{series}.json"), series, None)).into();
    machine.ends(&["outbox", "add", &all[0]], 0);
    // before the outbox took any of them: there is no room
    let (_, told) = machine.ends(&["outbox", "add", &all[1], &all[2], "--records-max", "2"], 1);
    assert!(told.contains("[outbox-full]"), "{told}");
    let given: Vec<_> = state().lines().rev().take(2).map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
    let add = ["outbox", "add", &all[0], &all[1], &all[2]];
    let (ids, _) = machine.ends(&add, 0);
    assert_eq!(ids.lines().rev().take(2).collect::<Vec<_>>(), given);

    // after it took them, before that was written down
    let (done, open): (Vec<_>, Vec<_>) = state().lines().map(str::to_owned).partition(|line| line.ends_with(" done"));
    assert_eq!(done.len(), 3);
    std::fs::write(machine.path("spool/add.state"), open.join("\n") + "\n").unwrap();
    for _ in 0..2 {
        let (again, told) = machine.ends(&add, 0);
        assert_eq!((again, told.matches(": it was there already, queued").count()), (ids.clone(), 3));
    }
    assert_eq!(machine.list(&[], "series"), ["a", "b", "c"]);

    // what lies there instead of its own file is nobody's to overwrite
    std::fs::write(machine.path("spool/add.state"), "something\n").unwrap();
    let (_, told) = machine.ends(&add, 1);
    assert!(told.contains("[outbox-damaged]") && told.contains("add.state: expected a state of kho outbox"), "{told}");
}

/// R-D1: forgotten, a refused record that may be in is in all the same, and its report signed anew would be a second one.
#[test]
fn a_report_whose_refused_record_may_be_in_is_not_signed_anew() {
    let machine = Machine::new();
    machine.ends(&["cluster", "new", "--dir", "c"], 0);
    let report = machine.report("a.json", "a", None);
    let (id, _) = machine.ends(&["outbox", "add", &report], 0);
    let (id, record) = (id.trim(), format!("refused/{}.record", id.trim()));
    let export = ["outbox", "export", "--out", "refused", "--refused"];
    let forget = ["outbox", "export", "--out", "refused", "--refused", "--forget"];
    let not_anew = || {
        assert_eq!(machine.list(&["--refused"], "in_doubt"), ["true"]);
        assert!(machine.ends(&["outbox", "list"], 0).0.contains("refused, in doubt"));
        machine.ends(&forget, 0);
        let (again, told) = machine.ends(&["outbox", "add", &report], 0);
        assert!(again.trim() == id && told.contains(": added before, and no longer here"), "{again}{told}");
        assert_eq!(machine.status("queued"), 0);
    };
    machine.ends(&["outbox", "refuse", id], 0);
    assert_eq!(machine.list(&["--refused"], "in_doubt"), ["false"]);
    machine.ends(&export, 0);
    // who has its file may have sent it
    machine.ends(&["outbox", "add", &record], 0);
    not_anew();
    // its own bytes may be sent; and given up in doubt it is as before
    machine.ends(&["outbox", "add", &record], 0);
    assert!(machine.ends(&["outbox", "refuse", id], 0).1.contains("of which 1 may be in"));
    not_anew();
}

/// What an add was ended too soon to write down, the next one does, whatever that brings; not what the outbox has not taken.
#[test]
fn an_add_writes_down_what_one_before_it_could_not() {
    let machine = Machine::new();
    machine.ends(&["cluster", "new", "--dir", "c"], 0);
    let state = || std::fs::read_to_string(machine.path("spool/add.state")).unwrap();
    let (report, named) = (machine.report("a.json", "a", None), machine.named("named.json", "named"));
    machine.ends(&["outbox", "add", &report, &named], 0);
    let edited = machine.named("edited.json", "edited under its id");
    assert!(machine.ends(&["outbox", "add", &edited], 1).1.contains("[record-id-conflict]"));
    let open: String =
        state().lines().filter(|line| !line.ends_with(" done")).map(|line| format!("{line}\n")).collect();
    std::fs::write(machine.path("spool/add.state"), &open).unwrap();
    machine.ends(&["outbox", "add", &machine.report("b.json", "b", None)], 0);
    assert_eq!(state().lines().filter(|line| line.ends_with(" done")).count(), 3, "{}", state());
    assert!(machine.ends(&["outbox", "add", &edited], 1).1.contains("[record-id-conflict]"));
}

/// An export that had the outbox while it waited for an add kept that from ending.
#[test]
fn an_export_waits_for_an_add_without_the_outbox() {
    let machine = Machine::new();
    machine.ends(&["cluster", "new", "--dir", "c"], 0);
    let (id, _) = machine.ends(&["outbox", "add", &machine.report("a.json", "a", None)], 0);
    machine.ends(&["outbox", "refuse", id.trim()], 0);
    // as an add that reads
    let adding = File::open(machine.path("spool/add.state")).unwrap();
    adding.lock().unwrap();
    let mut export = machine.kho(&["outbox", "export", "--out", "refused", "--refused", "--forget"]);
    let mut export = export.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        let opened = Outbox::open_existing(&machine.path("spool"), Limits::default());
        assert!(opened.is_ok(), "{}", opened.unwrap_err());
        drop(opened);
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(adding);
    assert_eq!(export.wait().unwrap().code(), Some(0));
}
