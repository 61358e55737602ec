//! What is remembered, and what is written down.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

use std::path::Path;
use std::sync::Arc;

use kho_proto::checkpoint::{Checkpoint, LogKey, LogSigner, Origin, VerifierKey};
use kho_proto::digest::Digest;
use kho_proto::error::Code;
use kho_proto::id::{ClusterId, Epoch, NodeId};

use super::*;

fn log() -> LogSigner {
    LogSigner::new(&LogKey::new([7; 32]), Origin::new(ClusterId([1; 16]), Epoch(1), Digest::of(b"genesis")))
}

/// Signed over so many leaves.
fn note(size: u64, root: &[u8]) -> Note {
    let checkpoint = Checkpoint { origin: log().origin().clone(), size, root: Digest::of(root) };
    Note { bytes: log().sign(&checkpoint), checkpoint }
}

fn key() -> VerifierKey {
    log().verifier_key().clone()
}

fn held(file: Option<&Path>, evidence: Option<&Path>) -> Arc<Held> {
    let memory = LogMemory { file: file.map(Path::to_owned), evidence: evidence.map(Path::to_owned) };
    Held::open(&memory, &[key()]).unwrap()
}

#[tokio::test]
async fn a_memory_is_bounded_and_forgets_the_smallest() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("memory.json");
    let memory = held(Some(&file), None);
    let newest = UNPROVEN_MAX as u64 + 2;
    for size in 1..=newest {
        memory.accept(&key(), note(size, b"root")).unwrap();
    }
    let remembered = memory.remembered();
    assert_eq!((remembered[0].unproven, remembered[0].newest), (UNPROVEN_MAX, newest));
    // a fork of what was signed last is found, one of what was forgotten is not
    memory.accept(&key(), note(1, b"other")).unwrap();
    assert_eq!(memory.remembered()[0].unproven, UNPROVEN_MAX);
    memory.save().unwrap();
    let bytes = std::fs::metadata(&file).unwrap().len();
    assert!(bytes < 600 * UNPROVEN_MAX as u64, "{bytes} bytes");
    let fork = memory.accept(&key(), note(3, b"other")).unwrap_err();
    assert_eq!((fork.code, fork.said), (Code::LogForked, Said::Now));
}

/// A node that is behind answers so for as long as it is asked: it must not fill the disk.
#[tokio::test]
async fn who_stays_behind_has_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let memory = held(None, Some(dir.path()));
    memory.accept(&key(), note(100, b"root")).unwrap();
    let floor = memory.floor();
    for (address, size) in [("a:1", 7), ("a:1", 8), ("b:1", 8), ("a:1", 9)] {
        let answer = Answer { address, node: NodeId(1), epoch: Some(Epoch(1)), size };
        let breach = memory.at_least(&floor, &answer).unwrap_err();
        let filed = memory.filed(breach, address).await;
        let Evidence::Written(path) = &filed.evidence else { panic!("{filed}") };
        assert_eq!(std::fs::read_to_string(path).unwrap(), filed.document, "of the last time");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "one for each node");
    memory.accept(&key(), note(101, b"root")).unwrap();
}

#[tokio::test]
async fn evidence_that_cannot_be_written_is_said_and_the_log_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let no_directory = dir.path().join("a-file");
    std::fs::write(&no_directory, b"").unwrap();
    let memory = held(None, Some(&no_directory));
    memory.accept(&key(), note(100, b"root")).unwrap();
    let fork = memory.accept(&key(), note(100, b"other")).unwrap_err();
    assert!(matches!(fork.evidence, Evidence::Failed(_)), "{fork}");
    let known = memory.remembered()[0].breach.clone().unwrap();
    assert_eq!((&known.document, &known.evidence), (&fork.document, &fork.evidence));
    assert!(memory.stands(log().origin()).is_err());
}

/// A client may outlive a runtime.
#[test]
fn what_is_new_is_saved_after_a_runtime_that_ended_while_a_save_waited() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("memory.json");
    let memory = held(Some(&file), None);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime().block_on(async { memory.accept(&key(), note(1, b"root")) }).unwrap();
    assert!(!file.exists(), "a save waits for its time");
    runtime().block_on(async {
        memory.accept(&key(), note(2, b"root")).unwrap();
        let end = tokio::time::Instant::now() + SAVE_INTERVAL + Duration::from_secs(10);
        while !file.exists() {
            assert!(tokio::time::Instant::now() < end, "the file was not written");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}
