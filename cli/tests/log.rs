//! `kho log`: logs that keep their promise, and logs that fork, shrink or lie. Published into directories, with keys made for
//! the test; and once over HTTPS by real nodes. R-C1.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kho::dev::{DevCluster, NodeId, Plane};
use kho_proto::checkpoint::{Checkpoint, LogKey, LogSigner, Origin, VerifierKey};
use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, Epoch, KeyId, RecordId, UnixMs};
use kho_proto::leaf::{Leaf, LeafKind};
use kho_proto::merkle::{TILE_WIDTH, leaf_hash, root_of, verify_consistency, verify_inclusion};
use kho_proto::tlog::{Bundle, Resource, Tile};
use serde_json::Value;

const CLUSTER: ClusterId = ClusterId([7; 16]);
/// Accepted-at of leaf 0; each later one comes a millisecond after.
const START_MS: u64 = 1_600_000_000_000;

/// What a command printed, whatever became of it.
struct Ran {
    exit: i32,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.exit, 0, "{}\n{}", self.out, self.err);
        self.out
    }

    #[track_caller]
    fn refused(self, code: &str) -> String {
        assert_eq!(self.exit, 1, "{}\n{}", self.out, self.err);
        assert!(self.err.contains(&format!("error [{code}]: ")), "{}", self.err);
        self.out
    }
}

fn kho(arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_kho")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { exit: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn leaf(index: u64) -> Leaf {
    let kind = if index == 0 { LeafKind::Genesis } else { LeafKind::Record };
    let digest = |what: &str| Digest::of(format!("{what} {index}").as_bytes());
    Leaf {
        kind,
        record_id: RecordId(if index == 0 { CLUSTER.0 } else { digest("id").0[..16].try_into().unwrap() }),
        accepted_at: UnixMs(START_MS + index),
        key_id: KeyId([1; 16]),
        header_digest: if index == 0 { Digest::of(b"genesis") } else { digest("header") },
        signature_block_digest: digest("block"),
        sealed_head_digest: digest("head"),
        sealed_payload_digest: digest("payload"),
        attachments_digest: Digest::of(b""),
    }
}

/// A log's leaves, and its key: it signs whatever it is told to.
#[derive(Clone)]
struct Log {
    leaves: Vec<Vec<u8>>,
}

impl Log {
    fn of(size: u64) -> Self {
        Self { leaves: (0..size).map(|index| leaf(index).encode().to_vec()).collect() }
    }

    /// The same, but for one leaf.
    fn but(&self, index: usize, change: impl FnOnce(&mut Leaf)) -> Self {
        let mut other = self.clone();
        let mut leaf = Leaf::decode(&other.leaves[index]).unwrap();
        change(&mut leaf);
        other.leaves[index] = leaf.encode().to_vec();
        other
    }

    fn signer() -> LogSigner {
        LogSigner::new(&LogKey::new([9; 32]), Origin::new(CLUSTER, Epoch(1), Digest::of(b"genesis")))
    }

    fn key() -> VerifierKey {
        Self::signer().verifier_key().clone()
    }

    fn hashes(&self, size: usize) -> Vec<Digest> {
        self.leaves[..size].iter().map(|leaf| leaf_hash(leaf)).collect()
    }

    fn root(&self, size: usize) -> Digest {
        root_of(&self.hashes(size))
    }

    fn note(&self, size: usize) -> Vec<u8> {
        let signer = Self::signer();
        let origin = signer.origin().clone();
        signer.sign(&Checkpoint { origin, size: size as u64, root: self.root(size) }).to_vec()
    }

    /// Its checkpoint, tiles and bundles, a file each: those of its size only, as a log that keeps no old partial ones.
    fn publish(&self, dir: &Path) {
        let put = |resource: Resource, bytes: Vec<u8>| {
            let path = dir.join(resource.to_string());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        put(Resource::Checkpoint, self.note(self.leaves.len()));
        let mut row = self.hashes(self.leaves.len());
        for level in 0.. {
            for (index, hashes) in (0..).zip(row.chunks(TILE_WIDTH)) {
                let bytes = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
                put(Resource::Tile(Tile { level, index, width: hashes.len() as u16 }), bytes);
            }
            row = row.as_chunks::<TILE_WIDTH>().0.iter().map(|full| root_of(full)).collect();
            if row.is_empty() {
                break;
            }
        }
        for (index, leaves) in (0..).zip(self.leaves.chunks(TILE_WIDTH)) {
            let bundle = Bundle { index, width: leaves.len() as u16 };
            put(Resource::Entries(bundle), Bundle::encode(leaves));
        }
    }
}

/// A monitor's directory, beside the log's.
struct Monitor {
    dir: tempfile::TempDir,
    key: String,
}

impl Monitor {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), key: Log::key().to_string() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Publishes a log anew.
    fn publish(&self, log: &Log) {
        let _first = fs::remove_dir_all(self.path("log"));
        log.publish(&self.path("log"));
    }

    /// Keeps a checkpoint.
    fn keep(&self, name: &str, log: &Log, size: usize) -> String {
        fs::write(self.path(name), log.note(size)).unwrap();
        self.text(name)
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Ran {
        let (log, evidence) = (self.text("log"), self.text("evidence"));
        let mut all = vec!["log", command, "--dir", &log, "--key", &self.key];
        if command != "checkpoint" {
            all.extend(["--evidence", &evidence]);
        }
        all.extend(arguments);
        kho(&all)
    }

    /// The evidence that a report names.
    fn evidence(&self, report: &Value) -> Value {
        let path = Path::new(report["evidence"].as_str().unwrap_or_else(|| panic!("no evidence in {report}")));
        assert_eq!(path.parent(), Some(&*self.path("evidence")));
        json(&fs::read_to_string(path).unwrap())
    }
}

fn digest(value: &Value) -> Digest {
    Digest::try_from(hex::decode(value.as_str().unwrap()).unwrap().as_slice()).unwrap()
}

fn digests(value: &Value) -> Vec<Digest> {
    value.as_array().unwrap().iter().map(digest).collect()
}

fn opened(evidence: &Value, note: &str) -> Checkpoint {
    let key: VerifierKey = evidence["verifier_key"].as_str().unwrap().parse().unwrap();
    assert_eq!(key, Log::key());
    key.open(evidence[note].as_str().unwrap().as_bytes()).unwrap()
}

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
        assert!(ran.err.contains("docs/monitor.md"), "{}", ran.err);
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

#[test]
fn nobody_there_and_nothing_of_a_log_are_told_apart() {
    let key = Log::key().to_string();
    let dir = tempfile::tempdir().unwrap();
    let trust = dir.path().join("ca.pem");
    let made = kho(&["certs", "ca", "--dir", dir.path().to_str().unwrap(), "--plane", "log"]);
    fs::copy(made.ok().trim(), &trust).unwrap();
    let trust = trust.to_str().unwrap();
    let at = |url: &str| kho(&["log", "checkpoint", "--url", url, "--trust", trust, "--key", &key, "--patience", "0"]);
    assert_eq!(at("https://127.0.0.1:1").exit, 4);
    for url in ["http://127.0.0.1:1", "127.0.0.1:1", "https://", "https://a@b", "https://127.0.0.1:1/?x"] {
        at(url).refused("config-invalid");
    }
    assert_eq!(kho(&["log", "checkpoint", "--key", &key]).exit, 2);
    fs::write(dir.path().join("empty.pem"), "").unwrap();
    let empty = dir.path().join("empty.pem");
    kho(&["log", "checkpoint", "--url", "https://127.0.0.1:1", "--trust", empty.to_str().unwrap(), "--key", &key])
        .refused("tls-file-invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn real_nodes_publish_their_log_over_https() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = DevCluster::create(&dir.path().join("c"), 3).unwrap();
    cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
    cluster.launch().await.unwrap();
    let trust = cluster.layout().trust(Plane::Log);
    let (key, trust) = (cluster.verifier_key().unwrap().to_string(), trust.to_str().unwrap().to_owned());
    let client = cluster.client().unwrap();
    let signer = cluster.signer(&"BYT".parse().unwrap()).unwrap();
    let submit = async |count: usize, offset: usize| {
        for n in 0..count {
            let draft = kho_client::Draft {
                record_id: None,
                unit: "BYT".parse().unwrap(),
                regime: "YT-01".parse().unwrap(),
                period: "2020-06-12".parse().unwrap(),
                series: format!("series {}", n + offset),
                supersedes: None,
                receivers: vec!["VPCP".parse().unwrap()],
                media_type: "text/plain; charset=utf-8".to_owned(),
                payload: "Không có ca mắc mới".into(),
            };
            client.submit(&draft.sign(&signer, &kho_client::System).await.unwrap()).await.unwrap();
        }
    };
    let state = dir.path().join("state").to_str().unwrap().to_owned();
    let last = dir.path().join("last").to_str().unwrap().to_owned();
    let urls: Vec<String> = (1..=3).map(|node| cluster.log_url(NodeId(node)).unwrap().unwrap()).collect();
    let run = |command: &str, url: &str, more: &[&str]| {
        kho(&[&["log", command, "--url", url, "--trust", &trust, "--key", &key], more].concat())
    };
    submit(20, 0).await;
    cluster.wait_equal().await.unwrap();
    run("checkpoint", &urls[0], &["--save", &last]).ok();
    run("audit", &urls[0], &["--state", &state]).ok();
    submit(20, 20).await;
    cluster.wait_equal().await.unwrap();
    for url in &urls {
        let report = json(&run("verify", url, &["--from", &last, "--format", "json"]).ok());
        assert_eq!((report["old"]["size"].as_u64(), report["new"]["size"].as_u64()), (Some(21), Some(41)));
        let report = json(&run("audit", url, &["--format", "json"]).ok());
        assert_eq!(report["checkpoint"]["size"], 41);
    }
    let report = json(&run("audit", &urls[1], &["--state", &state, "--format", "json"]).ok());
    assert_eq!((report["read_from"].as_u64(), report["checkpoint"]["size"].as_u64()), (Some(21), Some(41)));
    // a server that another authority names is none
    let other = cluster.layout().trust(Plane::Client);
    let ran = kho(&[
        "log",
        "checkpoint",
        "--url",
        &urls[0],
        "--trust",
        other.to_str().unwrap(),
        "--key",
        &key,
        "--patience",
        "0",
    ]);
    assert_eq!(ran.exit, 4, "{}", ran.err);
    let config = cluster.layout().client_file();
    let status = kho(&["status", "--config", config.to_str().unwrap(), "--json"]).ok();
    assert_eq!(format!("https://{}", json(&status)["nodes"][0]["log_address"].as_str().unwrap()), urls[0]);
    cluster.terminate_all().await.unwrap();
}
