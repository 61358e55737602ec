//! What `kho outbox add` takes, and that it takes nothing twice. No node runs here.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use common::machine::Machine;

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
