use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use kho_proto::digest::Digest;
use kho_proto::error::Code;
use kho_proto::id::{ClusterId, Epoch, KeyId, Token};
use kho_proto::sealed::{DataKey, WrapContext};

use super::{Keyring, create, load};
use crate::keys::KeyProvider;
use crate::seams::Entropy;

const CLUSTER: ClusterId = ClusterId([1; 16]);

/// 1, 1, 1.. then 2, 2, 2..: each call has its own byte.
#[derive(Default)]
struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) {
        out.fill(1 + self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    }
}

fn fresh() -> (tempfile::TempDir, PathBuf, Keyring) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keyring");
    let keyring = create(&path, CLUSTER, &Counting::default()).unwrap();
    (dir, path, keyring)
}

fn refused(path: &std::path::Path, cluster: ClusterId) -> Code {
    match load(path, cluster) {
        Ok(_) => panic!("the keyring was taken"),
        Err(error) => error.code(),
    }
}

#[test]
fn golden_bytes_of_version_1() {
    let (_dir, path, _) = fresh();
    let body = format!(
        "kho-keyring 1\ncluster 01010101-0101-0101-0101-010101010101\nwrap 1 {}\ntoken 1 {}\nlog 1 {}\n",
        "01".repeat(32),
        "02".repeat(32),
        "03".repeat(32)
    );
    let checksum = Digest::of(body.as_bytes());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{body}checksum {checksum}\n"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_was_created_loads_with_the_same_fingerprint() {
    let (_dir, path, created) = fresh();
    let loaded = load(&path, CLUSTER).unwrap();
    assert_eq!(loaded.fingerprint(), created.fingerprint());
    assert_eq!(loaded.wrapped_by(), created.wrapped_by());
    assert_eq!(loaded.log_key(Epoch(1)).unwrap().as_bytes(), &[3; 32]);
    assert_eq!(loaded.log_key(Epoch(2)).unwrap_err().code(), Code::KeysMissing);
}

#[test]
fn it_never_overwrites() {
    let (_dir, path, created) = fresh();
    assert!(create(&path, CLUSTER, &Counting::default()).is_err());
    assert_eq!(load(&path, CLUSTER).unwrap().fingerprint(), created.fingerprint());
}

#[test]
fn readable_by_others_is_refused() {
    let (_dir, path, _) = fresh();
    for mode in [0o640, 0o604, 0o660, 0o777] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(refused(&path, CLUSTER), Code::KeyringPermissions, "{mode:o}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    load(&path, CLUSTER).unwrap();
}

#[test]
fn another_cluster_is_refused() {
    let (_dir, path, _) = fresh();
    assert_eq!(refused(&path, ClusterId([2; 16])), Code::KeyringOtherCluster);
}

#[test]
fn every_changed_or_missing_byte_is_noticed() {
    let (_dir, path, _) = fresh();
    let good = std::fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 0x01;
        std::fs::write(&path, &changed).unwrap();
        assert_eq!(refused(&path, CLUSTER), Code::KeyringCorrupt, "byte {at}");
        std::fs::write(&path, &good[..at]).unwrap();
        assert_eq!(refused(&path, CLUSTER), Code::KeyringCorrupt, "cut at {at}");
    }
}

#[test]
fn an_error_never_shows_a_key() {
    let (_dir, path, _) = fresh();
    let text = std::fs::read_to_string(&path).unwrap().replace("wrap 1 ", "wrap 2 ");
    let body = &text[..text.rfind("checksum").unwrap()];
    std::fs::write(&path, format!("{body}checksum {}\n", Digest::of(body.as_bytes()))).unwrap();
    let Err(error) = load(&path, CLUSTER) else { panic!("taken") };
    assert_eq!(error.code(), Code::KeyringCorrupt);
    assert!(!error.to_string().contains("010101"), "{error}");
}

#[test]
fn wraps_and_unwraps_and_notices_another_wrapping_key() {
    let (_dir, _, keyring) = fresh();
    let context =
        WrapContext { cluster_id: CLUSTER, key_id: KeyId([5; 16]), unit_token: Token([6; 16]), generation: 1 };
    let key = DataKey::new([7; 32]);
    let wrapped = keyring.wrap(&context, [8; 12], &key).unwrap();
    let opened = keyring.unwrap(&context, keyring.wrapped_by(), &wrapped).unwrap();
    assert_eq!(opened.as_bytes(), key.as_bytes());
    let other = keyring.unwrap(&context, Digest([9; 32]), &wrapped).unwrap_err();
    assert_eq!(other.code(), Code::KeyringFingerprintMismatch);
}
