//! A log that forks or shrinks is refused, and what proves it is kept.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod fake;

use std::path::Path;
use std::time::Duration;

use fake::log::{SIZE, forked_at, leaves, log_of, note, publish, receipt_in};
use fake::{Act, Fake, client, config, log, signed_as};
use kho_client::log::PublicLog;
use kho_client::{
    Client, ConfigError, Evidence, Filter, GetError, LogMemory, MemoryError, Order, ReadError, ReceiptCheck,
    ReceiptError, SAVE_INTERVAL, Said, SeriesOf, SubmitError,
};
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::receipt::Receipt;
use serde_json::Value;

/// The same leaf in the tree of the first 200 leaves: an older receipt, as a duplicate's is.
fn older(receipt: &mut Receipt) {
    *receipt = receipt_in(&log(), &leaves()[..200], receipt.leaf);
}

/// An older one still.
fn oldest(receipt: &mut Receipt) {
    *receipt = receipt_in(&log(), &leaves()[..100], receipt.leaf);
}

/// In a tree of the log's size that has another last leaf.
fn forked(receipt: &mut Receipt) {
    *receipt = receipt_in(&log(), &forked_at(255), receipt.leaf);
}

/// In a tree of 250 leaves, of which one from before 200 is another.
fn forked_and_smaller(receipt: &mut Receipt) {
    *receipt = receipt_in(&log(), &forked_at(199)[..250], receipt.leaf);
}

fn held_client(node: &Fake, memory: LogMemory) -> Result<Client, ConfigError> {
    Client::new(kho_client::Config { memory, ..config(&[node]) })
}

fn evidence(dir: &Path) -> LogMemory {
    LogMemory { file: None, evidence: Some(dir.to_owned()) }
}

#[tokio::test]
async fn two_roots_of_one_size_are_a_fork_and_end_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let node = Fake::node(1, 1, &[Act::Accept, Act::Forge(forked), Act::Accept]).await;
    let client = held_client(&node, evidence(dir.path())).unwrap();
    client.submit(&signed_as(1).await).await.unwrap();
    let error = client.submit(&signed_as(2).await).await.unwrap_err();
    assert_eq!(error.code(), Code::LogForked);
    let SubmitError::Receipt { source: ReceiptError::Breach(breach), rejected, .. } = error else { panic!("{error}") };
    assert!(rejected.receipt().is_some());
    // the evidence has both notes, and verifies without anybody's word
    let Evidence::Written(path) = &breach.evidence else { panic!("{breach}") };
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let signed =
        ["old", "new"].map(|name| log().verifier_key().open(document[name].as_str().unwrap().as_bytes()).unwrap());
    assert_eq!((signed[0].size, signed[1].size), (SIZE, SIZE));
    assert_eq!(document["root_of_new_at_old_size"], signed[1].root.to_string());
    assert_ne!(signed[0].root, signed[1].root);
    assert_eq!(document["verifier_key"], log().verifier_key().to_string());
    // nothing of it is accepted any more, not even what verified before
    let after = client.submit(&signed_as(1).await).await.unwrap_err();
    let SubmitError::Receipt { source: ReceiptError::Breach(after), .. } = after else { panic!("{after}") };
    assert_eq!((after.code, after.said), (Code::LogForked, Said::Before));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "one piece of evidence");
    let remembered = client.remembered();
    assert_eq!(remembered[0].breach.as_ref().map(|breach| breach.code), Some(Code::LogForked));
}

#[tokio::test]
async fn a_fork_is_told_on_streams_and_in_messages_too() {
    for many in [true, false] {
        let node = Fake::node(1, 1, &[Act::Accept, Act::Forge(forked), Act::Accept]).await;
        let client = client(&[&node]);
        let records = fake::several(3).await;
        let codes: Vec<_> = if many {
            let answers = client.submit_many(&records).await;
            answers.into_iter().map(|answer| answer.err().map(|error| error.code())).collect()
        } else {
            let (sender, mut results) = client.submit_stream();
            let mut codes = Vec::new();
            for record in records {
                sender.send(record).await.unwrap();
                codes.push(results.next().await.unwrap().answer.err().map(|error| error.code()));
            }
            codes
        };
        assert_eq!(codes, [None, Some(Code::LogForked), Some(Code::LogForked)]);
    }
}

#[tokio::test]
async fn an_older_receipt_is_no_breach() {
    let node = Fake::node(1, 1, &[Act::Accept, Act::Forge(older), Act::Accept]).await;
    let client = client(&[&node]);
    for n in 1..4 {
        client.submit(&signed_as(n).await).await.unwrap();
    }
    let remembered = &client.remembered()[0];
    assert_eq!((remembered.newest, remembered.unproven, remembered.proven), (SIZE, 2, None));
}

/// Nothing is remembered of a checkpoint that proves no place: a node could fill the memory with what others had.
#[tokio::test]
async fn what_does_not_verify_is_not_remembered() {
    let node = Fake::node(1, 1, &[Act::Forge(|receipt| receipt.sequence.0 += 1)]).await;
    let client = client(&[&node]);
    client.submit(&signed_as(1).await).await.unwrap_err();
    assert_eq!(client.remembered(), []);
}

#[tokio::test]
async fn a_linearizable_answer_behind_what_was_signed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    // its lists are of 11 leaves
    let behind = Fake::log(2, 10, &[fake::reads::Read::Serve]).await;
    let (well, small) = (Fake::node(1, 1, &[Act::Accept]).await, Fake::sized(3, SIZE - 1).await);
    let mut config = config(&[&well]);
    config.further_sites = vec![vec![behind.address.clone()], vec![small.address.clone()]];
    config.memory = evidence(dir.path());
    let client = Client::new(config).unwrap();
    client.submit(&signed_as(1).await).await.unwrap();
    client.get(fake::signed().await.record_id()).await.unwrap();

    // the fake of records knows no lists: the next site answers
    let other = |node: &Fake| {
        let mut config = fake::config(&[&well, node]);
        config.preference = kho_client::Preference::Spread;
        config
    };
    let spread = Client::new(other(&small)).unwrap();
    spread.submit(&signed_as(1).await).await.unwrap();
    let error = spread.get(fake::signed().await.record_id()).await.unwrap_err();
    let GetError::Breach { breach, .. } = &error else { panic!("{error}") };
    assert_eq!((error.code(), &breach.evidence, breach.said), (Code::LogShrank, &Evidence::NotAsked, Said::Now));
    let document: Value = serde_json::from_str(&breach.document).unwrap();
    assert_eq!((&document["answer"]["size"], &document["answer"]["node"]), (&(SIZE - 1).into(), &3.into()));
    assert!(log().verifier_key().open(document["old"].as_str().unwrap().as_bytes()).is_ok());
    // its node's word only: the log stands, and the node rests
    spread.get(fake::signed().await.record_id()).await.unwrap();

    let spread = Client::new(kho_client::Config { memory: evidence(dir.path()), ..other(&behind) }).unwrap();
    spread.submit(&signed_as(1).await).await.unwrap();
    let error = spread.count(&Filter::default(), false).await.unwrap_err();
    let ReadError::Breach(breach) = &error else { panic!("{error}") };
    assert!(matches!(breach.evidence, Evidence::Written(_)), "{error}");
}

/// A node that is behind does not know what is not there, nor does one that says nothing of the log it looked at.
#[tokio::test]
async fn a_history_that_is_not_there_is_held_against_the_log() {
    let unknown = |log_size| {
        fake::reads::Read::Refuse(Refusal { log_size, ..Refusal::new(Code::RecordUnknown, "no such series") })
    };
    let answers = [
        (Some(SIZE - 1), false, Code::LogShrank),
        (Some(SIZE), false, Code::RecordUnknown),
        (None, false, Code::RecordUnknown),
        // of whatever state it had: nothing was promised
        (Some(SIZE - 1), true, Code::RecordUnknown),
    ];
    for (size, stale, code) in answers {
        let client = client(&[&Fake::log(1, 5, &[unknown(size)]).await]);
        client.submit(&signed_as(1).await).await.unwrap();
        let of = SeriesOf::Record(fake::signed().await.record_id());
        let error = client.history(of, Order::Oldest, stale).next().await.unwrap_err();
        assert_eq!(error.code(), code, "{size:?} {stale}: {error}");
    }
}

#[tokio::test]
async fn an_answer_of_before_the_signature_is_no_breach() {
    let behind = Fake::log(2, 10, &[fake::reads::Read::Serve]).await;
    let client = client(&[&behind]);
    let mut listing = client.list(kho_client::ListQuery { page_size: 3, ..Default::default() });
    listing.next().await.unwrap();
    // signed while the list is under way: its later pages are of the moment of the first
    client.submit(&signed_as(1).await).await.unwrap();
    assert_eq!(listing.all().await.unwrap().len(), 9);
    let error = client.count(&Filter::default(), false).await.unwrap_err();
    assert_eq!(error.code(), Code::LogShrank);
}

#[tokio::test]
async fn tiles_prove_all_that_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let node = Fake::node(1, 1, &[Act::Accept, Act::Forge(older), Act::Forge(oldest)]).await;
    let client = client(&[&node]);
    client.submit(&signed_as(1).await).await.unwrap();
    client.submit(&signed_as(2).await).await.unwrap();
    // 300 leaves: the log went on
    let mut longer = leaves().to_vec();
    longer.extend_from_slice(&leaves()[..44]);
    publish(dir.path(), &log(), &longer);
    let public = PublicLog::directory(dir.path());
    let check = client.check_log(&public).await.unwrap();
    assert_eq!((check.checkpoint.size, check.compared), (300, 3), "256, 200 and 300 itself");
    let remembered = &client.remembered()[0];
    assert_eq!((remembered.newest, remembered.proven, remembered.unproven), (300, Some(300), 0));
    // an older one that comes later is held against what is proven
    client.submit(&signed_as(3).await).await.unwrap();
    assert_eq!(client.check_log(&public).await.unwrap().compared, 1 + 1);
}

#[tokio::test]
async fn a_fork_of_two_sizes_is_found_by_tiles_and_ends_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let node = Fake::node(1, 1, &[Act::Forge(forked_and_smaller), Act::Accept]).await;
    let client = held_client(&node, evidence(&dir.path().join("evidence"))).unwrap();
    client.submit(&signed_as(1).await).await.unwrap();
    // the receipts alone contradict each other in nothing
    client.submit(&signed_as(2).await).await.unwrap();
    publish(dir.path(), &log(), leaves());
    let error = client.check_log(&PublicLog::directory(dir.path())).await.unwrap_err();
    let kho_client::LogCheckError::Breach(breach) = &error else { panic!("{error}") };
    assert_eq!(error.code(), Code::LogForked);
    let document: Value = serde_json::from_str(&breach.document).unwrap();
    let open = |name: &str| log().verifier_key().open(document[name].as_str().unwrap().as_bytes()).unwrap();
    let (old, new) = (open("old"), open("new"));
    let byte = |text: &str, n: usize| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap();
    let hash = |value: &Value| Digest(std::array::from_fn(|n| byte(value.as_str().unwrap(), n)));
    let proof: Vec<_> = document["consistency_proof"].as_array().unwrap().iter().map(hash).collect();
    let root = hash(&document["root_of_new_at_old_size"]);
    kho_proto::merkle::verify_consistency(old.size, new.size, &root, &new.root, &proof).unwrap();
    assert_ne!(root, old.root, "the evidence stands without tiles");
    let error = client.submit(&signed_as(2).await).await.unwrap_err();
    assert_eq!(error.code(), Code::LogForked);
}

#[tokio::test]
async fn a_public_log_that_stays_behind_shrank_and_tiles_that_lie_accuse_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    let client = held_client(&node, evidence(&dir.path().join("evidence"))).unwrap();
    client.submit(&signed_as(1).await).await.unwrap();
    publish(dir.path(), &log(), &leaves()[..200]);
    let public = PublicLog::directory(dir.path());
    let error = client.check_log(&public).await.unwrap_err();
    assert_eq!(error.code(), Code::LogShrank);
    // it may catch up: the log stands
    client.submit(&signed_as(1).await).await.unwrap();
    let mut longer = leaves().to_vec();
    longer.extend_from_slice(leaves());
    publish(dir.path(), &log(), &longer);
    longer[0] = longer[1];
    publish(&dir.path().join("other"), &log(), &longer);
    let tile = "tile/1/000.p/2";
    std::fs::copy(dir.path().join("other").join(tile), dir.path().join(tile)).unwrap();
    let error = client.check_log(&public).await.unwrap_err();
    assert!(matches!(error, kho_client::LogCheckError::Tiles(_)), "{error}");
    client.submit(&signed_as(1).await).await.unwrap();
}

#[tokio::test]
async fn memory_survives_a_restart_and_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let memory = LogMemory { file: Some(dir.path().join("below/memory.json")), evidence: None };
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    let first = held_client(&node, memory.clone()).unwrap();
    first.submit(&signed_as(1).await).await.unwrap();
    let second = held_client(&node, memory.clone()).err().unwrap();
    assert!(matches!(second, ConfigError::Memory(MemoryError::Taken { .. })), "{second}");
    drop(first);

    // after a restart the log shows another face
    let liar = Fake::node(1, 1, &[Act::Forge(forked)]).await;
    let restarted = held_client(&liar, memory.clone()).unwrap();
    assert_eq!(restarted.remembered()[0].newest, SIZE);
    let error = restarted.submit(&signed_as(2).await).await.unwrap_err();
    assert_eq!(error.code(), Code::LogForked);
    drop(restarted);

    // and that is remembered too
    let restarted = held_client(&node, memory.clone()).unwrap();
    let error = restarted.submit(&signed_as(1).await).await.unwrap_err();
    let SubmitError::Receipt { source: ReceiptError::Breach(breach), .. } = error else { panic!("{error}") };
    assert_eq!((breach.code, breach.said), (Code::LogForked, Said::Before));
    assert!(breach.document.contains("consistency_proof"));
}

/// A caller that gives up on a fork at once must not forget it: it is in the file before it is told.
#[tokio::test]
async fn a_fork_is_in_the_file_when_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let memory = LogMemory { file: Some(dir.path().join("memory.json")), evidence: Some(dir.path().join("a/b")) };
    let node = Fake::node(1, 1, &[Act::Accept, Act::Forge(forked)]).await;
    let client = held_client(&node, memory.clone()).unwrap();
    client.submit(&signed_as(1).await).await.unwrap();
    let error = client.submit(&signed_as(2).await).await.unwrap_err();
    assert_eq!(error.code(), Code::LogForked);
    let text = std::fs::read_to_string(memory.file.as_ref().unwrap()).unwrap();
    let evidence = std::fs::read_dir(memory.evidence.unwrap()).unwrap().next().unwrap().unwrap().path();
    assert!(text.contains("log-forked") && text.contains(&evidence.display().to_string()), "{text}");
}

/// What no tile has proven yet is what a fork would contradict.
#[tokio::test]
async fn checkpoints_that_wait_for_a_proof_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let memory = LogMemory { file: Some(dir.path().join("memory.json")), evidence: None };
    let node = Fake::node(1, 1, &[Act::Accept, Act::Forge(forked_and_smaller), Act::Forge(oldest)]).await;
    let client = held_client(&node, memory.clone()).unwrap();
    for n in 1..4 {
        client.submit(&signed_as(n).await).await.unwrap();
    }
    let before = client.remembered();
    drop(client);
    let restarted = held_client(&node, memory).unwrap();
    assert_eq!((restarted.remembered(), before[0].unproven), (before, 3));
    // and the fork among them is found
    publish(&dir.path().join("public"), &log(), leaves());
    let error = restarted.check_log(&PublicLog::directory(&dir.path().join("public"))).await.unwrap_err();
    assert_eq!(error.code(), Code::LogForked, "{error}");
}

#[tokio::test]
async fn what_is_new_is_in_the_file_without_anybody_asking() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("memory.json");
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    let client = held_client(&node, LogMemory { file: Some(file.clone()), evidence: None }).unwrap();
    client.submit(&signed_as(1).await).await.unwrap();
    let end = std::time::Instant::now() + SAVE_INTERVAL + Duration::from_secs(10);
    while !file.exists() {
        assert!(std::time::Instant::now() < end, "the file was not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(std::fs::read_to_string(&file).unwrap().contains(log().origin().as_str()));
    std::fs::remove_file(&file).unwrap();
    client.save_memory().unwrap();
    assert!(!file.exists(), "nothing is new");
}

#[tokio::test]
async fn a_memory_that_cannot_be_read_is_no_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let memory = LogMemory { file: Some(dir.path().join("memory.json")), evidence: None };
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    let other = note(&log_of(1, 8), leaves());
    let entry = |newest: &[u8]| {
        let newest = String::from_utf8(newest.to_vec()).unwrap();
        serde_json::json!({ "version": 1, "logs": [{ "origin": log().origin().as_str(), "newest": newest }] })
    };
    let bad = [
        ("half a", "file"),
        ("{\"version\": 2, \"logs\": []}", "version"),
        ("{\"version\": 1}", "logs"),
        (&entry(&other).to_string(), "newest"),
        (&entry(b"no note").to_string(), "newest"),
    ]
    .map(|(text, field)| (text.to_owned(), field));
    for (text, expect) in bad {
        std::fs::write(memory.file.as_ref().unwrap(), &text).unwrap();
        let error = held_client(&node, memory.clone()).err().unwrap();
        let ConfigError::Memory(MemoryError::Malformed { field, .. }) = &error else { panic!("{text}: {error}") };
        assert_eq!((*field, error.code()), (expect, Code::ConfigInvalid), "{text}");
    }
    // of a log whose key is not pinned: kept, for when it is
    let elsewhere = serde_json::json!({ "version": 1, "logs": [{ "origin": "another", "newest": "unread" }] });
    std::fs::write(memory.file.as_ref().unwrap(), elsewhere.to_string()).unwrap();
    let client = held_client(&node, memory.clone()).unwrap();
    client.submit(&signed_as(1).await).await.unwrap();
    client.save_memory().unwrap();
    let text = std::fs::read_to_string(memory.file.as_ref().unwrap()).unwrap();
    assert!(text.contains("unread") && text.contains(log().origin().as_str()), "{text}");
}

#[tokio::test]
async fn each_epochs_key_opens_its_own_receipts() {
    fn second_epoch(receipt: &mut Receipt) {
        *receipt = receipt_in(&log_of(2, 9), leaves(), receipt.leaf);
    }
    let acts = [Act::Accept, Act::Forge(second_epoch), Act::Accept];
    let node = Fake::node(1, 1, &acts).await;
    let keys = [log(), log_of(2, 9)].map(|log| log.verifier_key().clone());
    let both = ReceiptCheck::PinnedKeys(keys.to_vec());
    let client = Client::new(kho_client::Config { receipts: both, ..config(&[&node]) }).unwrap();
    for n in 1..4 {
        client.submit(&signed_as(n).await).await.unwrap();
    }
    let sizes: Vec<_> = client.remembered().iter().map(|log| log.newest).collect();
    assert_eq!(sizes, [SIZE, SIZE], "each log by itself");
    // one that is not pinned
    let node = Fake::node(1, 1, &acts).await;
    let one = fake::client(&[&node]);
    one.submit(&signed_as(1).await).await.unwrap();
    let error = one.submit(&signed_as(2).await).await.unwrap_err();
    assert_eq!(error.code(), Code::ReceiptInvalid, "{error}");
}
