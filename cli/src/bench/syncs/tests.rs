use super::*;

fn nodes(totals: [u64; 3]) -> Vec<NodeSyncs> {
    let node = |total| NodeSyncs { name: String::new(), calls: BTreeMap::new(), total };
    totals.map(node).to_vec()
}

#[test]
fn a_majority_is_two_nodes_for_every_record() {
    // a leader and one follower; a leader and either of two followers; two followers that were faster than their leader
    for enough in [[100, 100, 0], [100, 60, 40], [0, 100, 100], [300, 100, 3]] {
        assert!(majority(100, &nodes(enough)), "{enough:?}");
    }
    // one node that syncs often is one node
    for short in [[300, 0, 0], [100, 99, 0], [66, 66, 66], [0, 0, 0]] {
        assert!(!majority(100, &nodes(short)), "{short:?}");
    }
}

#[test]
fn tools_are_read() {
    let perf = "# started on Thu\n\n12,,syscalls:sys_enter_fsync,1,100.00,,\n3456,,syscalls:sys_enter_fdatasync,1,100.00,,\n\
                <not counted>,,syscalls:sys_enter_msync,0,0.00,,\n0,,syscalls:sys_enter_syncfs,1,100.00,,\n";
    let strace = "syscall              calls\n---------------- ---------\nfdatasync             3456\nfsync                   12\n\
                  ---------------- ---------\ntotal                 3468\n";
    for (tool, text) in [(Tool::Perf, perf), (Tool::Strace, strace)] {
        let counts = tool.read(text).expect("an output");
        let expected = [("fdatasync", 3456), ("fsync", 12), ("msync", 0), ("syncfs", 0)];
        assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)).into());
    }
    assert!(Tool::Perf.read("<not supported>,,syscalls:sys_enter_fsync,0,,,\n").is_err());
    assert!(Tool::Perf.read("").is_err(), "an output that says nothing counts nothing");
}

/// Of children that did not live yet when counting began, as PostgreSQL has them.
#[tokio::test]
async fn syncs_of_a_process_and_its_later_children_are_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    for tool in [Tool::Perf, Tool::Strace] {
        if !tool.works() {
            eprintln!("left out: {} cannot be used here", tool.as_str());
            continue;
        }
        let script = "sleep 2; for i in 1 2 3 4 5; do dd if=/dev/zero of=file bs=1 count=1 conv=fsync; done; sleep 30";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(dir.path()).stderr(Stdio::null());
        let mut child = shell.spawn().expect("sh");
        let group = Group { name: "shell".to_owned(), pid: child.id(), alone: false };
        let watches = start(tool, &[group], dir.path()).expect("the tool starts");
        tokio::time::sleep(Duration::from_secs(4)).await;
        let family = family(child.id()).expect("a family");
        let counted = stop(tool, watches).await.expect("the tool ends");
        for pid in family.iter().rev() {
            let pid = Pid::from_raw(i32::try_from(*pid).expect("a pid")).expect("a pid");
            // the sleep may have ended with its shell
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        child.wait().expect("it ended");
        assert_eq!((counted[0].calls["fsync"], counted[0].total), (5, 5), "{}: {counted:?}", tool.as_str());
    }
}
