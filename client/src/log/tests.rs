use std::fs;
use std::time::Instant as Started;

use kho_proto::error::Code;

use super::*;

const TWO: Tile = Tile { level: 0, index: 0, width: 2 };
/// Longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(30);

fn log(dir: &Path, patience: Duration) -> PublicLog {
    PublicLog { source: Source::Directory(dir.to_owned()), patience }
}

fn put(dir: &Path, resource: Resource, bytes: &[u8]) {
    let path = dir.join(resource.to_string());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // whole, or not there
    fs::write(dir.join("new"), bytes).unwrap();
    fs::rename(dir.join("new"), path).unwrap();
}

/// A node behind the same address that has not applied as much yet.
#[tokio::test]
async fn what_is_not_there_yet_is_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let error = log(dir.path(), Duration::ZERO).tiles(2, [TWO].into()).await.unwrap_err();
    assert_eq!(error.code(), Code::LogTileAbsent);
    let patient = log(dir.path(), LONG);
    let wait = patient.tiles(2, [TWO].into());
    let later = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        put(dir.path(), Resource::Tile(TWO), &[7; 64]);
    };
    let (found, ()) = tokio::join!(wait, later);
    found.unwrap();
}

#[tokio::test]
async fn a_full_tile_or_bundle_serves_at_once_for_a_partial_one_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), Resource::Tile(TWO.full()), &[7; 8192]);
    let leaves: Vec<_> = (0..=255u8).map(|n| [n; 3]).collect();
    let bundle = Bundle { index: 0, width: 256 };
    put(dir.path(), Resource::Entries(bundle), &Bundle::encode(&leaves));
    let (log, start) = (log(dir.path(), LONG), Started::now());
    log.tiles(2, [TWO].into()).await.unwrap();
    let found = log.leaves(Bundle { width: 2, ..bundle }).await.unwrap();
    assert_eq!(found, [[0; 3].as_slice(), &[1; 3]]);
    assert!(start.elapsed() < LONG / 2, "without patience");
}

#[tokio::test]
async fn what_does_not_pass_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (log, start) = (log(dir.path(), LONG), Started::now());
    put(dir.path(), Resource::Tile(TWO), &[7; 63]);
    assert_eq!(log.tiles(2, [TWO].into()).await.unwrap_err().code(), Code::LogTilesInvalid);
    let bundle = Bundle { index: 0, width: 2 };
    put(dir.path(), Resource::Entries(bundle), &Bundle::encode([b"one"]));
    assert_eq!(log.leaves(bundle).await.unwrap_err().code(), Code::LogTilesInvalid);
    put(dir.path(), Resource::Checkpoint, &[b'x'; NOTE_LENGTH_MAX + 1]);
    assert_eq!(log.checkpoint().await.unwrap_err().code(), Code::LogUnusable);
    assert!(start.elapsed() < LONG / 2, "without patience");
}
