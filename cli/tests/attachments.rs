//! Attachments over real processes: the commands, and an upload whose leader is killed in the middle of it.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{cluster, ends, text, verifier_key};
use kho_client::{Content, Draft, Part, System, describe};
use kho_proto::id::UnitCode;

fn content(length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

fn report_of(period: &str) -> String {
    format!(r#"{{"unit": "BYT", "regime": "YT-01", "period": "{period}", "text": "Kèm bản đồ"}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_attaches_and_gets() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster(&dir).await;
    let (at, config) = (|name: &str| dir.path().join(name), cluster.layout().client_file());
    let (map, notes) = (content(3_000_000), b"ghi ch\xc3\xba".to_vec());
    std::fs::write(at("map.pdf"), &map).unwrap();
    std::fs::write(at("notes.txt"), &notes).unwrap();
    // a name as macOS writes it, its accents apart
    std::fs::write(at("ba\u{309}n \u{111}o\u{300}.csv"), "1").unwrap();
    std::fs::write(at("report.json"), report_of("2020-06-12")).unwrap();
    let (report, map_file, notes_file, records) = (at("report.json"), at("map.pdf"), at("notes.txt"), at("records"));
    let submit = ["submit", "--config", text(&config), "--out", text(&records), text(&report)];
    let apart = at("ba\u{309}n \u{111}o\u{300}.csv");
    let attach = ["--attach", text(&map_file), "--attach", text(&notes_file), "--attach", text(&apart)];
    let (out, err) = ends(&[&submit[..], &attach].concat(), 0);
    assert!(err.contains("uploading map.pdf"), "{err}");
    let record = out.lines().find(|line| line.ends_with(".record")).unwrap();
    let id = Path::new(record).file_stem().unwrap().to_str().unwrap();

    // the record again, with its files and with one that it does not name
    let again = ["submit", "--config", text(&config), "--out", text(&records), record];
    ends(&[&again[..], &attach].concat(), 0);
    std::fs::write(at("other.txt"), "khác").unwrap();
    let (_, err) = ends(&[&again[..], &["--attach", text(&at("other.txt"))]].concat(), 1);
    assert!(err.contains("record-id-conflict") && err.contains("map.pdf"), "{err}");
    let (_, err) = ends(&[&submit[..], &[text(&report)], &attach].concat(), 1);
    assert!(err.contains("one report"), "{err}");
    ends(&[&submit[..], &["--attach", text(&at("absent"))]].concat(), 1);

    // with a state of its own: the same once more is the same record
    let (next, state, apart) = (at("next.json"), at("june.state"), at("apart"));
    std::fs::write(&next, report_of("2020-06-13")).unwrap();
    let submit = ["submit", "--config", text(&config), "--out", text(&apart), "--attach", text(&map_file), text(&next)];
    let named = [&submit[..], &["--state", text(&state)]].concat();
    let receipts = [(); 2].map(|()| ends(&named, 0).0.lines().last().unwrap().to_owned());
    assert_eq!(receipts[0], receipts[1]);
    assert!(std::fs::read_to_string(&state).unwrap().starts_with("kho submit state 1\n"));
    assert!(!apart.join("submit.state").exists());
    // who names one wants it held to
    let (_, err) = ends(&[&submit[..], &["--state", text(&apart)]].concat(), 1);
    assert!(err.contains("apart: Is a directory"), "{err}");

    let (_, err) = ends(&["get", id, "--config", text(&config)], 0);
    assert!(err.contains("attached: map.pdf, application/pdf, 3000000 bytes"), "{err}");
    let files = at("files");
    let get = ["attachment", "get", id, "--config", text(&config), "--out", text(&files)];
    // a part from a download that was cut off, and one of the digest's name with other bytes in it
    std::fs::create_dir(&files).unwrap();
    let part = |content: &[u8]| files.join(format!(".{}.part", kho_proto::digest::Digest::of(content)));
    std::fs::write(part(&map), &map[..1_000_001]).unwrap();
    let (out, err) = ends(&get, 0);
    assert!(err.contains("behind 1000001 bytes"), "{err}");
    assert_eq!(out.lines().count(), 3);
    assert!(std::fs::read(files.join("map.pdf")).unwrap() == map);
    assert_eq!(std::fs::read(files.join("notes.txt")).unwrap(), notes);
    assert!(files.join("b\u{1ea3}n \u{111}\u{f2}.csv").exists(), "{out}");
    assert_eq!(std::fs::read_dir(&files).unwrap().count(), 3, "no parts are left");
    for name in ["b\u{1ea3}n \u{111}\u{f2}.csv", "ba\u{309}n \u{111}o\u{300}.csv"] {
        let (_, err) = ends(&[&get[..], &[name]].concat(), 0);
        assert!(err.contains("there already"), "{name}: {err}");
    }
    let (_, err) = ends(&[&get[..], &["map.pdf"]].concat(), 0);
    assert!(err.contains("there already"), "{err}");
    std::fs::write(files.join("notes.txt"), "x").unwrap();
    std::fs::write(part(&notes), "not").unwrap();
    let (_, err) = ends(&[&get[..], &["notes.txt"]].concat(), 1);
    assert!(err.contains("--force"), "{err}");
    assert_eq!(std::fs::read(files.join("notes.txt")).unwrap(), b"x", "what stands there stays");
    // somebody else downloads it
    let lock = std::fs::File::open(part(&notes)).unwrap();
    lock.lock().unwrap();
    let (_, err) = ends(&[&get[..], &["notes.txt", "--force"]].concat(), 1);
    assert!(err.contains("another command"), "{err}");
    drop(lock);
    let (_, err) = ends(&[&get[..], &["notes.txt", "--force"]].concat(), 1);
    assert!(err.contains("attachment-digest-mismatch"), "{err}");
    ends(&[&get[..], &["notes.txt", "--force"]].concat(), 0);
    assert_eq!(std::fs::read(files.join("notes.txt")).unwrap(), notes, "the bad part is gone");
    let (_, err) = ends(&[&get[..], &["absent.pdf"]].concat(), 1);
    assert!(err.contains("attachment-unknown") && err.contains("map.pdf"), "{err}");
}

/// A content that stops where it is told, until it may go on.
struct Held {
    bytes: Bytes,
    hold_at: u64,
    reached: tokio::sync::watch::Sender<bool>,
    free: AtomicU64,
}

impl Content for Held {
    fn length(&self) -> std::io::Result<u64> {
        self.bytes.length()
    }

    fn read_at(&self, offset: u64, piece: &mut [u8]) -> std::io::Result<()> {
        if offset >= self.hold_at {
            self.reached.send_replace(true);
            while self.free.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.bytes.read_at(offset, piece)
    }
}

/// The state was held for as long as a file took: who submitted beside it signed without, and lost its memory.
#[test]
fn nobody_waits_for_the_state_while_a_file_is_uploaded() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    ends(&["cluster", "new", "--dir", text(&at("c"))], 0);
    // a node that takes the connection and never answers
    let node = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    node.set_nonblocking(true).unwrap();
    let client = std::fs::read_to_string(at("c/client.toml")).unwrap();
    let (nodes, rest) = client.split_once('\n').unwrap();
    assert!(nodes.starts_with("nodes = "), "{client}");
    let client = format!("nodes = [\"{}\"]\n{}\n{rest}", node.local_addr().unwrap(), verifier_key());
    std::fs::write(at("c/client.toml"), client).unwrap();
    std::fs::write(at("map.pdf"), content(1000)).unwrap();
    std::fs::write(at("report.json"), report_of("2020-06-12")).unwrap();
    let mut kho = std::process::Command::new(env!("CARGO_BIN_EXE_kho"))
        .args(["submit", "--config", text(&at("c/client.toml")), "--out", text(&at("records"))])
        .args(["--attach", text(&at("map.pdf")), text(&at("report.json"))])
        .spawn()
        .unwrap();
    let reached = loop {
        match node.accept() {
            Err(wait) if wait.kind() == std::io::ErrorKind::WouldBlock => {}
            reached => break reached,
        }
        assert_eq!(kho.try_wait().unwrap(), None, "ended before it called");
        std::thread::sleep(Duration::from_millis(2));
    };
    let held = at("records/submit.state").exists();
    kho.kill().unwrap();
    kho.wait().unwrap();
    reached.unwrap();
    assert!(!held, "it is opened when the file is there");
}

/// R-A2: the leader is killed in the middle of an upload; another takes over, and the client goes on behind what was stored.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_when_its_leader_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = cluster(&dir).await;
    let client = Arc::new(cluster.client().unwrap());
    let unit: UnitCode = "BYT".parse().unwrap();
    let bytes = Bytes::from(content(24 << 20));
    let attachment = describe("scan.bin", "application/octet-stream", &bytes).unwrap();
    // some that teach the client who leads: the node that serves the upload is the one that is killed
    let small = Bytes::from_static(b"small");
    for _ in 0..6 {
        let described = describe("s", "text/plain", &small).unwrap();
        client.upload(&unit, &described, Arc::new(small.clone()), |_| {}).await.unwrap();
    }
    let (reached, mut middle) = tokio::sync::watch::channel(false);
    let held = Arc::new(Held { bytes: bytes.clone(), hold_at: 12 << 20, reached, free: AtomicU64::new(0) });
    let began = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let upload = {
        let (client, attachment, held, began) = (client.clone(), attachment.clone(), held.clone(), began.clone());
        let unit = unit.clone();
        tokio::spawn(async move {
            let mut last = u64::MAX;
            let told = |at| {
                // going back, or the first: a stream began here
                if at < last {
                    began.lock().push(at);
                }
                last = at;
            };
            client.upload(&unit, &attachment, held, told).await
        })
    };
    middle.wait_for(|reached| *reached).await.unwrap();
    let leader = cluster.leader().await.unwrap().unwrap();
    cluster.kill(leader).unwrap();
    held.free.store(1, Ordering::Relaxed);
    upload.await.unwrap().unwrap();
    // served by a follower it goes on there: the leader's end is between the two
    let began = began.lock().clone();
    assert!(began.len() == 1 || began[1] > 0, "it goes on, and not from the beginning: {began:?}");

    let draft = Draft {
        record_id: None,
        unit: unit.clone(),
        regime: "YT-01".parse().unwrap(),
        period: "2020-06-12".parse().unwrap(),
        series: String::new(),
        supersedes: None,
        receivers: Vec::new(),
        media_type: "text/plain".to_owned(),
        payload: "kèm tệp".into(),
    };
    let record = draft.sign_with(vec![attachment.clone()], &cluster.signer(&unit).unwrap(), &System).await.unwrap();
    client.submit(&record).await.unwrap();
    cluster.start(leader).unwrap();
    cluster.wait_ready().await.unwrap();
    cluster.wait_equal().await.unwrap();
    // each node has all of it, the killed one too
    for node in cluster.nodes() {
        let one = cluster.client_of(node).unwrap();
        let mut download = one.download(record.record_id(), 0, &attachment, Part::default());
        let mut found = Vec::new();
        while let Some(piece) = download.next().await.unwrap() {
            found.extend_from_slice(&piece);
        }
        assert!(found == bytes, "{node}");
    }

    // and the very node that served it is killed
    let other = Bytes::from(content(4 << 20)).slice(1..);
    let described = describe("other.bin", "application/octet-stream", &other).unwrap();
    let (reached, mut middle) = tokio::sync::watch::channel(false);
    let held = Arc::new(Held { bytes: other.clone(), hold_at: 3 << 20, reached, free: AtomicU64::new(0) });
    let serving = cluster.leader().await.unwrap().unwrap();
    let one = cluster.client_of(serving).unwrap();
    let upload = {
        let (described, unit, held) = (described.clone(), unit.clone(), held.clone());
        tokio::spawn(async move { one.upload(&unit, &described, held, |_| {}).await })
    };
    middle.wait_for(|reached| *reached).await.unwrap();
    // what was sent is stored by then
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.kill(serving).unwrap();
    upload.abort();
    held.free.store(1, Ordering::Relaxed);
    let mut first = None;
    client
        .upload(&unit, &described, Arc::new(other), |at| {
            first.get_or_insert(at);
        })
        .await
        .unwrap();
    assert!(first.unwrap() > 0, "the other nodes have what was stored");
}

/// R-A3: a node that was away for longer than the log reaches back gets attachments with the snapshot, piece for piece.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_brings_attachments() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = cluster(&dir).await;
    let client = cluster.client().unwrap();
    let unit: UnitCode = "BYT".parse().unwrap();
    // before the first one all members are asked whether they know attachments
    let first = Bytes::from_static(b"first");
    let described = describe("f", "text/plain", &first).unwrap();
    client.upload(&unit, &described, Arc::new(first), |_| {}).await.unwrap();
    let leader = cluster.leader().await.unwrap().unwrap();
    let away = cluster.nodes().find(|node| *node != leader).unwrap();
    cluster.kill(away).unwrap();
    let mut records = Vec::new();
    for (name, length) in [("large.bin", 5 << 20), ("small.bin", 17), ("empty.bin", 0)] {
        let bytes = Bytes::from(content(length));
        let attachment = describe(name, "application/octet-stream", &bytes).unwrap();
        client.upload(&unit, &attachment, Arc::new(bytes.clone()), |_| {}).await.unwrap();
        let draft = Draft {
            record_id: None,
            unit: unit.clone(),
            regime: "YT-01".parse().unwrap(),
            period: "2020-06-12".parse().unwrap(),
            series: name.to_owned(),
            supersedes: None,
            receivers: Vec::new(),
            media_type: "text/plain".to_owned(),
            payload: "kèm tệp".into(),
        };
        let record = draft.sign_with(vec![attachment.clone()], &cluster.signer(&unit).unwrap(), &System).await.unwrap();
        client.submit(&record).await.unwrap();
        records.push((record.record_id(), attachment, bytes));
    }
    let made = cluster.admin(leader).unwrap().trigger_snapshot().await.unwrap().snapshot;
    cluster
        .wait_until("the leader to purge its log", kho::dev::READY_TIMEOUT, |statuses, _| {
            statuses.get(&leader).is_some_and(|status| status.purged >= made)
        })
        .await
        .unwrap();
    cluster.start(away).unwrap();
    cluster.wait_equal().await.unwrap();
    let status = cluster.admin(away).unwrap().status().await.unwrap();
    assert!(status.snapshot >= made && status.purged >= made, "it came back with the log");
    let one = cluster.client_of(away).unwrap();
    for (id, attachment, bytes) in records {
        let mut download = one.download(id, 0, &attachment, Part::default());
        let mut found = Vec::new();
        while let Some(piece) = download.next().await.unwrap() {
            found.extend_from_slice(&piece);
        }
        assert!(found == bytes, "{}", attachment.name);
    }
}

/// Other bytes than were said, and then an end: a file that was edited while it was uploaded.
struct Edited(Bytes);

impl Content for Edited {
    fn length(&self) -> std::io::Result<u64> {
        self.0.length()
    }

    fn read_at(&self, offset: u64, piece: &mut [u8]) -> std::io::Result<()> {
        if offset > 600_000 {
            // what was sent is stored by then
            std::thread::sleep(Duration::from_millis(500));
            return Err(std::io::Error::other("the file is gone"));
        }
        self.0.read_at(offset, piece)?;
        piece[0] ^= 1;
        Ok(())
    }
}

/// What somebody else has left under the digest costs an upload another round, and no failure.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_of_another_upload_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster(&dir).await;
    let client = cluster.client().unwrap();
    let unit: UnitCode = "BYT".parse().unwrap();
    let bytes = Bytes::from(content(1_000_000));
    let attachment = describe("f", "application/octet-stream", &bytes).unwrap();
    let cut = client.upload(&unit, &attachment, Arc::new(Edited(bytes.clone())), |_| {}).await.unwrap_err();
    assert!(cut.to_string().contains("the file is gone"), "{cut}");
    let mut began = Vec::new();
    let mut last = u64::MAX;
    let told = |at| {
        if at < last {
            began.push(at);
        }
        last = at;
    };
    client.upload(&unit, &attachment, Arc::new(bytes), told).await.unwrap();
    assert!(began.len() == 2 && began[0] > 0 && began[1] == 0, "behind what was there, then anew: {began:?}");
}
