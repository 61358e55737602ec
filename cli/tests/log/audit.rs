//! Every leaf, and the rules that leaves keep.

use std::fs;

use kho_proto::digest::Digest;
use kho_proto::leaf::{Leaf, LeafKind};
use kho_proto::merkle::{leaf_hash, verify_inclusion};
use kho_proto::tlog::Bundle;

use crate::monitor::{Monitor, digests, json, opened};
use crate::published::Log;

#[test]
fn an_audit_reads_every_leaf_and_goes_on_where_it_stood() {
    let monitor = Monitor::new();
    let state = monitor.text("state");
    for (size, from) in [(1, 0), (300, 1), (300, 300), (700, 300)] {
        monitor.publish(&Log::of(size));
        let report = json(&monitor.run("audit", &["--state", &state, "--format", "json"]).ok());
        assert_eq!(report["result"], "audited");
        assert_eq!((report["read_from"].as_u64(), report["checkpoint"]["size"].as_u64()), (Some(from), Some(size)));
        assert_eq!(report["began_at"], 0);
    }
    let text = monitor.run("audit", &[]).ok();
    assert!(
        text.contains("700 leaves lead to the signed root") && text.contains("2020-09-13T19:26:40.699+07:00"),
        "{text}"
    );

    // behind a checkpoint that is trusted: its leaves are not read
    let from = monitor.keep("trusted", &Log::of(700), 300);
    for tile in ["log/tile/0/001.p/44", "log/tile/1/000.p/1"] {
        let path = monitor.path(tile);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let wide = if tile.contains("/0/001") { "log/tile/0/001" } else { "log/tile/1/000.p/2" };
        let width: usize = tile.rsplit('/').next().unwrap().parse().unwrap();
        fs::write(&path, &fs::read(monitor.path(wide)).unwrap()[..32 * width]).unwrap();
    }
    fs::remove_file(monitor.path("log/tile/entries/000")).unwrap();
    let report = json(&monitor.run("audit", &["--from", &from, "--format", "json"]).ok());
    assert_eq!((report["read_from"].as_u64(), report["began_at"].as_u64()), (Some(300), Some(300)));
    monitor.run("audit", &[]).refused("log-tile-absent");
    let other = monitor.keep("other", &Log::of(700).but(3, |leaf| leaf.accepted_at.0 -= 1), 300);
    monitor.run("audit", &["--from", &other]).refused("log-tiles-invalid");
}

#[test]
fn an_audit_finds_leaves_that_break_a_rule() {
    let monitor = Monitor::new();
    let honest = Log::of(600);
    let back = |leaf: &mut Leaf| leaf.accepted_at.0 -= 2;
    let mut undecodable = honest.clone();
    undecodable.leaves[257] = b"nothing".to_vec();
    for (log, at, rule, count) in [
        (honest.but(300, back), 300, "accepted-at", 2),
        (honest.but(256, back), 256, "accepted-at", 2),
        (honest.but(599, |leaf| leaf.kind = LeafKind::Genesis), 599, "second genesis", 2),
        (honest.but(0, |leaf| leaf.kind = LeafKind::Record), 0, "genesis as leaf 0", 1),
        (honest.but(0, |leaf| leaf.header_digest = Digest::of(b"another")), 0, "names", 1),
        (undecodable, 257, "202 bytes", 2),
    ] {
        monitor.publish(&log);
        let ran = monitor.run("audit", &["--format", "json"]);
        assert!(ran.err.contains(&format!("leaf {at}: ")) && ran.err.contains(rule), "{}", ran.err);
        let evidence = monitor.evidence(&json(&ran.refused("log-leaf-invalid")));
        let point = opened(&evidence, "checkpoint");
        let leaves = evidence["leaves"].as_array().unwrap();
        assert_eq!((leaves.len(), leaves[count - 1]["index"].as_u64()), (count, Some(at)));
        for leaf in leaves {
            let hash = leaf_hash(&hex::decode(leaf["leaf"].as_str().unwrap()).unwrap());
            let proof = digests(&leaf["inclusion_proof"]);
            assert_eq!(
                verify_inclusion(&hash, leaf["index"].as_u64().unwrap(), point.size, &proof, &point.root),
                Ok(())
            );
        }
    }
}

#[test]
fn an_audit_tells_a_lying_server_from_a_lying_log() {
    let monitor = Monitor::new();
    let honest = Log::of(600);
    // bundles that are not those of the tree, with or without a rule broken
    for change in [|leaf: &mut Leaf| leaf.accepted_at.0 -= 2, |leaf: &mut Leaf| leaf.sealed_head_digest = Digest::ZERO]
    {
        monitor.publish(&honest);
        let lie = honest.but(300, change);
        fs::write(monitor.path("log/tile/entries/001"), Bundle::encode(&lie.leaves[256..512])).unwrap();
        monitor.run("audit", &[]).refused("log-tiles-invalid");
    }
    assert!(!monitor.path("evidence").exists());
    // another tree under a new checkpoint, after an audit: the log itself
    monitor.publish(&honest);
    let state = monitor.text("state");
    monitor.run("audit", &["--state", &state]).ok();
    let mut longer = Log::of(700);
    longer = longer.but(17, |leaf| leaf.sealed_head_digest = Digest::ZERO);
    monitor.publish(&longer);
    let report = json(&monitor.run("audit", &["--state", &state, "--format", "json"]).refused("log-forked"));
    let evidence = monitor.evidence(&report);
    assert_eq!((opened(&evidence, "old").size, opened(&evidence, "new").size), (600, 700));
    // a state of another log is of no use, and a changed one comes to another root
    let text = fs::read_to_string(monitor.path("state")).unwrap();
    let mut other = json(&text);
    other["verifier_key"] = "another".into();
    fs::write(monitor.path("state"), other.to_string()).unwrap();
    let ran = monitor.run("audit", &["--state", &state]);
    assert!(ran.exit == 1 && ran.err.contains("expected an audit of"), "{}", ran.err);
    let mut changed = json(&text);
    changed["peaks"][0] = Digest::ZERO.to_string().into();
    fs::write(monitor.path("state"), changed.to_string()).unwrap();
    monitor.publish(&Log::of(700));
    monitor.run("audit", &["--state", &state]).refused("log-tiles-invalid");
}
