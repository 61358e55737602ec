use std::fs;

use kho_proto::id::UnixMs;
use kho_proto::pb::peer::v1 as pb;

use super::incoming::{Incoming, IncomingError};
use super::layout::{Layout, LayoutError};
use super::manifest::{self, ManifestError};
use super::store::{Kept, SnapshotStore};
use crate::storage::rocks::{RocksStorage, Tuning};
use crate::storage::{Batch, Durability, Profile, Storage};

const TABLES: &[&str] = &["bodies", "records"];

struct Site {
    dir: tempfile::TempDir,
    layout: Layout,
    storage: RocksStorage,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::create(dir.path(), 1).unwrap();
        Self { dir, layout, storage: RocksStorage::new(Tuning::default()) }
    }

    /// A snapshot of some rows.
    fn snapshot(&self) -> Kept {
        let engine = self.storage.open(&self.layout.state(1), Profile::State, TABLES).unwrap();
        for key in 0..2000u32 {
            let mut batch = Batch::default();
            batch.put("bodies", key.to_be_bytes().to_vec(), vec![7; 1000]);
            batch.put("records", key.to_le_bytes().to_vec(), key.to_be_bytes().to_vec());
            engine.write(&batch, Durability::Buffered).unwrap();
        }
        SnapshotStore::open(self.layout.clone()).unwrap().make(&*engine, UnixMs(1), |_| Ok(2000)).unwrap()
    }
}

fn meta() -> pb::SnapshotMeta {
    let last_log_id = Some(pb::LogId { term: 1, node_id: 0, index: 2000 });
    pb::SnapshotMeta { last_log_id, membership_log_id: None, membership: Some(pb::Membership::default()) }
}

fn send(from: &Kept, to: &mut Incoming, chunk_bytes: usize, stop_after: usize) -> Result<usize, IncomingError> {
    let mut chunks = 0;
    for wanted in to.wanted()? {
        let bytes = fs::read(from.files.path().join(&wanted.name)).unwrap();
        let mut offset = wanted.offset;
        if bytes.is_empty() {
            to.chunk(&wanted.name, 0, &[])?;
        }
        while offset < bytes.len() as u64 {
            if chunks == stop_after {
                return Ok(chunks);
            }
            let at = offset as usize;
            let chunk = &bytes[at..bytes.len().min(at + chunk_bytes)];
            to.chunk(&wanted.name, offset, chunk)?;
            offset += chunk.len() as u64;
            chunks += 1;
        }
    }
    Ok(chunks)
}

#[test]
fn a_transfer_resumes_where_it_stopped_and_the_copy_opens() {
    let (from, to) = (Site::new(), Site::new());
    let kept = from.snapshot();
    let manifest = manifest::make(&kept.files, meta()).unwrap();
    assert_eq!(manifest::make(&kept.files, meta()).unwrap(), manifest, "kept beside the snapshot");
    let all = send(&kept, &mut Incoming::begin(&to.layout, manifest.clone()).unwrap(), 10_000, 7).unwrap();
    assert_eq!(all, 7);
    let mut again = Incoming::begin(&to.layout, manifest.clone()).unwrap();
    let missing: u64 = again.wanted().unwrap().iter().map(|file| file.offset).sum();
    assert!(missing > 0, "goes on inside a file");
    send(&kept, &mut again, 10_000, usize::MAX).unwrap();
    assert!(again.wanted().unwrap().is_empty());
    let (files, _) = again.finish().unwrap();
    let copy = to.storage.open_read_only(files.path(), Profile::State, TABLES).unwrap();
    assert_eq!(copy.get("records", &1999u32.to_le_bytes()).unwrap().as_deref(), Some(&1999u32.to_be_bytes()[..]));
}

#[test]
fn damage_on_the_way_is_found_and_only_that_file_is_wanted_again() {
    let (from, to) = (Site::new(), Site::new());
    let kept = from.snapshot();
    let manifest = manifest::make(&kept.files, meta()).unwrap();
    let mut incoming = Incoming::begin(&to.layout, manifest.clone()).unwrap();
    send(&kept, &mut incoming, 1 << 20, usize::MAX).unwrap();
    let victim = manifest.files.iter().find(|file| file.name.ends_with(".sst")).unwrap();
    let path = to.layout.incoming().join(incoming.id().to_string()).join(&victim.name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(incoming.finish(), Err(IncomingError::Damaged { name, .. }) if name == victim.name));
    let incoming = Incoming::begin(&to.layout, manifest.clone()).unwrap();
    let wanted = incoming.wanted().unwrap();
    assert_eq!(wanted, [pb::WantedFile { name: victim.name.clone(), offset: 0 }]);
}

#[test]
fn chunks_out_of_place_are_refused() {
    let (from, to) = (Site::new(), Site::new());
    let kept = from.snapshot();
    let manifest = manifest::make(&kept.files, meta()).unwrap();
    let name = manifest.files[0].name.clone();
    let length = manifest.files[0].length as usize;
    let mut incoming = Incoming::begin(&to.layout, manifest).unwrap();
    assert!(matches!(incoming.chunk(&name, 1, b"x"), Err(IncomingError::Place { expected: 0, found: 1, .. })));
    assert!(matches!(incoming.chunk("../../x", 0, b"x"), Err(IncomingError::Place { .. })));
    assert!(matches!(incoming.chunk(&name, 0, &vec![0; length + 1]), Err(IncomingError::Place { .. })));
}

#[test]
fn manifests_that_could_write_elsewhere_are_refused() {
    let file = |name: &str| pb::SnapshotFile { name: name.to_owned(), length: 1, digest: vec![0; 32].into() };
    let manifest = |files| pb::SnapshotManifest { version: 1, meta: Some(meta()), files };
    assert_eq!(manifest::check(&manifest(vec![file("000012.sst"), file("CURRENT")])), Ok(()));
    for bad in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a b", &"a".repeat(65)] {
        let found = manifest::check(&manifest(vec![file(bad)]));
        assert_eq!(found, Err(ManifestError::Name(bad.to_owned())), "{bad:?}");
    }
    assert_eq!(manifest::check(&manifest(vec![file("a"), file("a")])), Err(ManifestError::Name("a".to_owned())));
    assert_eq!(manifest::check(&manifest(vec![])), Err(ManifestError::Files(0)));
    let nowhere = pb::SnapshotManifest { meta: None, ..manifest(vec![file("a")]) };
    assert_eq!(manifest::check(&nowhere), Err(ManifestError::Position));
}

#[test]
fn current_points_to_one_state_and_the_rest_is_swept() {
    let site = Site::new();
    assert_eq!(site.layout.current().unwrap(), None);
    for number in [1, 2] {
        fs::create_dir_all(site.layout.state(number)).unwrap();
    }
    fs::create_dir_all(site.layout.snapshots().join("tmp")).unwrap();
    site.layout.set_current(1).unwrap();
    site.layout.set_current(2).unwrap();
    assert_eq!(site.layout.current().unwrap(), Some(2));
    let pointer = site.dir.path().join("logs/1/CURRENT");
    assert_eq!(fs::read_to_string(&pointer).unwrap(), "kho-current 1 state-2\n");
    site.layout.sweep(2).unwrap();
    assert!(!site.layout.state(1).exists() && site.layout.state(2).exists());
    assert!(!site.layout.snapshots().join("tmp").exists());
    fs::write(&pointer, "state-2").unwrap();
    assert!(matches!(site.layout.current(), Err(LayoutError::Current { .. })));
    site.layout.set_current(9).unwrap();
    assert!(matches!(site.layout.current(), Err(LayoutError::StateMissing { .. })));
}

#[test]
fn one_snapshot_is_kept_and_a_held_one_stays() {
    let site = Site::new();
    let engine = site.storage.open(&site.layout.state(1), Profile::State, TABLES).unwrap();
    let store = SnapshotStore::open(site.layout.clone()).unwrap();
    let first = store.make(&*engine, UnixMs(1), |_| Ok(5)).unwrap();
    let second = store.make(&*engine, UnixMs(2), |_| Ok(9)).unwrap();
    assert_eq!((second.index, second.previous), (9, 5));
    assert!(first.files.path().exists(), "somebody may be sending it");
    let path = first.files.path().to_owned();
    drop(first);
    assert!(!path.exists());
    drop(store);
    let again = SnapshotStore::open(site.layout.clone()).unwrap().newest().unwrap();
    assert_eq!((again.index, again.previous, again.made_at), (9, 5, UnixMs(2)));
}
