//! Two checkpoints of one log, or not.

use std::fs;

use kho_proto::checkpoint::{LogKey, LogSigner};
use kho_proto::digest::Digest;
use kho_proto::merkle::verify_consistency;

use crate::monitor::{Monitor, digest, digests, json, kho, opened};
use crate::published::Log;

#[test]
fn a_checkpoint_is_proven_to_extend_an_older_one() {
    let monitor = Monitor::new();
    for (old, new) in [(1, 2), (2, 255), (255, 256), (255, 257), (256, 257), (257, 257), (300, 65_793)] {
        let log = Log::of(new);
        monitor.publish(&log);
        let from = monitor.keep("old", &log, old);
        let save = monitor.text("saved");
        let report = json(&monitor.run("verify", &["--from", &from, "--save", &save, "--format", "json"]).ok());
        assert_eq!(report["result"], "consistent");
        assert_eq!((report["old"]["size"].as_u64(), report["new"]["size"].as_u64()), (Some(old as u64), Some(new)));
        let proof = digests(&report["proof"]);
        let (old_root, new_root) = (log.root(old), log.root(new as usize));
        assert_eq!(verify_consistency(old as u64, new, &old_root, &new_root, &proof), Ok(()));
        assert_eq!(digest(&report["new"]["root"]), new_root);
        assert_eq!(fs::read(monitor.path("saved")).unwrap(), log.note(new as usize));
        let to = monitor.keep("new", &log, new as usize);
        let text = monitor.run("verify", &["--from", &from, "--to", &to]).ok();
        assert!(text.starts_with(&format!("consistent: {new} leaves extend {old}")), "{text}");
    }
    assert!(!monitor.path("evidence").exists());
}

#[test]
fn a_forked_log_is_caught_with_both_of_its_signatures() {
    let monitor = Monitor::new();
    let honest = Log::of(600);
    for (old, changed) in [(300, 0), (300, 299), (256, 17), (512, 300), (599, 598), (600, 599), (600, 0)] {
        let fork = honest.but(changed, |leaf| leaf.sealed_payload_digest = Digest::of(b"another"));
        monitor.publish(&fork);
        let from = monitor.keep("old", &honest, old);
        let save = monitor.text("saved");
        let ran = monitor.run("verify", &["--from", &from, "--save", &save, "--format", "json"]);
        assert!(ran.err.contains("keep it: with the log's key it proves to anybody"), "{}", ran.err);
        let report = json(&ran.refused("log-forked"));
        assert_eq!((report["result"].as_str(), report["code"].as_str()), (Some("forked"), Some("log-forked")));
        assert!(!monitor.path("saved").exists(), "what the log can be held to stays");

        // the evidence needs neither the log nor this program
        let evidence = monitor.evidence(&report);
        let (older, newer) = (opened(&evidence, "old"), opened(&evidence, "new"));
        assert_eq!((older.size, older.root), (old as u64, honest.root(old)));
        assert_eq!((newer.size, newer.root), (600, fork.root(600)));
        let (root, proof) = (digest(&evidence["root_of_new_at_old_size"]), digests(&evidence["consistency_proof"]));
        assert_eq!(verify_consistency(older.size, newer.size, &root, &newer.root, &proof), Ok(()));
        assert_ne!(root, older.root, "one key signed two trees");
    }
}

#[test]
fn a_shrunk_log_is_caught() {
    let monitor = Monitor::new();
    let log = Log::of(300);
    let from = monitor.keep("old", &log, 300);
    monitor.publish(&Log::of(299));
    let report =
        json(&monitor.run("verify", &["--from", &from, "--patience", "0", "--format", "json"]).refused("log-shrank"));
    assert_eq!(report["result"], "shrank");
    let evidence = monitor.evidence(&report);
    assert_eq!((opened(&evidence, "old").size, opened(&evidence, "new").size), (300, 299));
    // audited before, and gone
    monitor.publish(&log);
    let state = monitor.text("state");
    monitor.run("audit", &["--state", &state]).ok();
    monitor.publish(&Log::of(299));
    let report =
        json(&monitor.run("audit", &["--state", &state, "--patience", "0", "--format", "json"]).refused("log-shrank"));
    assert_eq!(opened(&monitor.evidence(&report), "new").size, 299);
}

#[test]
fn who_serves_other_tiles_proves_nothing_about_the_log() {
    let monitor = Monitor::new();
    let log = Log::of(600);
    monitor.publish(&log);
    let from = monitor.keep("old", &log, 300);
    let tile = monitor.path("log/tile/0/001");
    let good = fs::read(&tile).unwrap();
    let mut bad = good.clone();
    bad[44 * 32] ^= 1;
    fs::write(&tile, bad).unwrap();
    monitor.run("verify", &["--from", &from]).refused("log-tiles-invalid");
    fs::write(&tile, &good[1..]).unwrap();
    monitor.run("verify", &["--from", &from]).refused("log-tiles-invalid");
    fs::remove_file(&tile).unwrap();
    monitor.run("verify", &["--from", &from]).refused("log-tile-absent");
    assert!(!monitor.path("evidence").exists());
    // another key's signature
    let other = LogSigner::new(&LogKey::new([8; 32]), Log::signer().origin().clone());
    let key = other.verifier_key().to_string();
    let ran = kho(&["log", "verify", "--dir", &monitor.text("log"), "--key", &key, "--from", &from]);
    ran.refused("receipt-invalid");
}

#[test]
fn a_partial_tile_may_have_given_way_to_the_full_one() {
    let monitor = Monitor::new();
    let log = Log::of(300);
    monitor.publish(&Log::of(600));
    // the log has gone on, and keeps no partial tile of the size that the monitor asks for
    assert!(!monitor.path("log/tile/0/001.p/44").exists() && monitor.path("log/tile/0/001").exists());
    let (from, to) = (monitor.keep("old", &log, 270), monitor.keep("new", &log, 300));
    monitor.run("verify", &["--from", &from, "--to", &to]).refused("log-tile-absent"); // tile/1/000.p/1 has no full one yet
    let top = monitor.path("log/tile/1/000.p");
    let bytes = fs::read(top.join("2")).unwrap();
    fs::write(top.join("1"), &bytes[..32]).unwrap();
    monitor.run("verify", &["--from", &from, "--to", &to]).ok();
    monitor.run("audit", &["--to", &to]).ok();
}

#[test]
fn a_saved_checkpoint_is_not_overwritten() {
    let monitor = Monitor::new();
    monitor.publish(&Log::of(5));
    let save = monitor.text("last");
    let printed = monitor.run("checkpoint", &[]).ok();
    assert_eq!(printed.trim_end().as_bytes(), Log::of(5).note(5).trim_ascii_end());
    let report = json(&monitor.run("checkpoint", &["--save", &save, "--format", "json"]).ok());
    assert_eq!(report["size"], 5);
    assert_eq!(report["note"].as_str().unwrap().as_bytes(), Log::of(5).note(5));
    monitor.run("checkpoint", &["--save", &save]).ok();
    monitor.publish(&Log::of(6));
    let ran = monitor.run("checkpoint", &["--save", &save]);
    assert!(ran.err.contains("kho log verify --from"), "{}", ran.err);
    ran.refused("config-invalid");
    assert_eq!(fs::read(monitor.path("last")).unwrap(), Log::of(5).note(5));
    monitor.run("verify", &["--from", &save, "--save", &save]).ok();
    assert_eq!(fs::read(monitor.path("last")).unwrap(), Log::of(6).note(6));
}
