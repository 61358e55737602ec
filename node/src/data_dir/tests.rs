use kho_proto::digest::Digest;
use kho_proto::error::Code;
use kho_proto::id::{ClusterId, NodeId};

use super::{DataDir, Identity};

const CLUSTER: ClusterId = ClusterId([1; 16]);
const KEYRING: Digest = Digest([3; 32]);

#[test]
fn golden_bytes_of_the_identity_file() {
    let identity = Identity { cluster: CLUSTER, node: NodeId(2), started: false, keyring: Some(KEYRING) };
    let text = "kho-data 1\ncluster 01010101-0101-0101-0101-010101010101\nnode 2\nstarted no\n\
        keyring 0303030303030303030303030303030303030303030303030303030303030303\n\
        checksum CHECKSUM\n";
    let body = &text[..text.find("checksum").unwrap()];
    let text = text.replace("CHECKSUM", &Digest::of(body.as_bytes()).to_string());
    assert_eq!(identity.encode(), text);
    assert_eq!(Identity::decode(&text), Ok(identity));
}

#[test]
fn any_changed_character_is_noticed() {
    let text = Identity { cluster: CLUSTER, node: NodeId(2), started: false, keyring: None }.encode();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        if let Ok(changed) = String::from_utf8(bytes) {
            assert!(Identity::decode(&changed).is_err(), "byte {at}");
        }
    }
}

#[test]
fn another_cluster_node_or_keyring_is_refused_and_leaves_the_directory_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data/node1");
    DataDir::create(&path, CLUSTER, NodeId(1)).unwrap();
    drop(DataDir::open(&path, CLUSTER, NodeId(1), Some(KEYRING)).unwrap());
    let before = std::fs::read(path.join("identity")).unwrap();
    let open = |cluster, node, keyring| DataDir::open(&path, cluster, node, keyring).unwrap_err().code();
    assert_eq!(open(ClusterId([9; 16]), NodeId(1), Some(KEYRING)), Code::DataDirOtherCluster);
    assert_eq!(open(CLUSTER, NodeId(2), Some(KEYRING)), Code::DataDirOtherNode);
    assert_eq!(open(CLUSTER, NodeId(1), Some(Digest([4; 32]))), Code::KeyringFingerprintMismatch);
    assert_eq!(std::fs::read(path.join("identity")).unwrap(), before);
    // Without a keyring the node may still replicate.
    let dir = DataDir::open(&path, CLUSTER, NodeId(1), None).unwrap();
    assert_eq!(dir.identity().keyring, Some(KEYRING));
}

#[test]
fn the_first_keyring_is_written_down_later_too() {
    let dir = tempfile::tempdir().unwrap();
    DataDir::create(dir.path(), CLUSTER, NodeId(1)).unwrap();
    drop(DataDir::open(dir.path(), CLUSTER, NodeId(1), None).unwrap());
    drop(DataDir::open(dir.path(), CLUSTER, NodeId(1), Some(KEYRING)).unwrap());
    let again = DataDir::open(dir.path(), CLUSTER, NodeId(1), Some(Digest([4; 32]))).unwrap_err();
    assert_eq!(again.code(), Code::KeyringFingerprintMismatch);
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    DataDir::create(dir.path(), CLUSTER, NodeId(1)).unwrap();
    let held = DataDir::open(dir.path(), CLUSTER, NodeId(1), None).unwrap();
    assert_eq!(DataDir::open(dir.path(), CLUSTER, NodeId(1), None).unwrap_err().code(), Code::DataDirLocked);
    drop(held);
    DataDir::open(dir.path(), CLUSTER, NodeId(1), None).unwrap();
}

#[test]
fn logs_without_an_identity_are_damage() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("logs")).unwrap();
    assert_eq!(DataDir::open(dir.path(), CLUSTER, NodeId(1), None).unwrap_err().code(), Code::DataDirDamaged);
    std::fs::write(dir.path().join("identity"), "kho-data 2\n").unwrap();
    assert_eq!(DataDir::open(dir.path(), CLUSTER, NodeId(1), None).unwrap_err().code(), Code::DataDirDamaged);
}

#[test]
fn an_absent_or_empty_directory_is_refused_and_stays_so() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("data");
    for path in [dir.path(), &absent] {
        assert_eq!(DataDir::open(path, CLUSTER, NodeId(1), None).unwrap_err().code(), Code::DataDirMissing);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn a_new_directory_is_made_only_where_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("lost+found")).unwrap();
    DataDir::create(dir.path(), CLUSTER, NodeId(1)).unwrap();
    let before = std::fs::read(dir.path().join("identity")).unwrap();
    assert_eq!(DataDir::create(dir.path(), CLUSTER, NodeId(2)).unwrap_err().code(), Code::DataDirNotEmpty);
    assert_eq!(std::fs::read(dir.path().join("identity")).unwrap(), before);
}

#[test]
fn a_node_that_took_part_does_not_begin_again_without_its_logs() {
    let dir = tempfile::tempdir().unwrap();
    DataDir::create(dir.path(), CLUSTER, NodeId(1)).unwrap();
    drop(DataDir::open(dir.path(), CLUSTER, NodeId(1), None).unwrap()); // refused later on, before its log stood
    let mut data = DataDir::open(dir.path(), CLUSTER, NodeId(1), None).unwrap();
    std::fs::create_dir(dir.path().join("logs")).unwrap();
    data.mark_started().unwrap();
    drop(data);
    drop(DataDir::open(dir.path(), CLUSTER, NodeId(1), None).unwrap());
    std::fs::remove_dir(dir.path().join("logs")).unwrap();
    assert_eq!(DataDir::open(dir.path(), CLUSTER, NodeId(1), None).unwrap_err().code(), Code::DataDirDamaged);
}
