use std::sync::Arc;

use kho_ledger::memory::Memory;
use kho_ledger::{Tip, apply};
use kho_proto::digest::Digest;
use kho_proto::error::Code;
use kho_proto::id::{ClusterId, Epoch};
use kho_proto::pb::ledger::v1::{Command, Entry, Genesis, command::Kind};
use prost::Message;

use super::{KeyProvider, Notary, Verdict, check_state, keyring};
use crate::seams::Seams;

const CLUSTER: ClusterId = ClusterId([1; 16]);

fn notary(dir: &tempfile::TempDir, name: &str) -> Notary {
    let keyring = keyring::create(&dir.path().join(name), CLUSTER, &*Seams::system().entropy).unwrap();
    Notary::new(Arc::new(keyring) as Arc<dyn KeyProvider>)
}

fn formed(log_public_key: [u8; 32]) -> (Memory, Tip) {
    let genesis = Genesis {
        cluster_id: CLUSTER.0.to_vec().into(),
        epoch: 1,
        created_at_ms: 1_600_000_000_000,
        log_public_key: log_public_key.to_vec().into(),
    };
    let command = Command { kind: Some(Kind::Genesis(genesis)) };
    let entry = Entry { version: 1, epoch: 1, proposed_at_ms: 1_600_000_000_000, commands: vec![command] };
    let mut view = Memory::new();
    let applied = apply(&view, &Tip::empty(), &entry.encode_to_vec().into()).unwrap();
    view.write(&applied.changes);
    (view, applied.tip)
}

#[test]
fn signs_for_the_state_it_was_made_for() {
    let dir = tempfile::tempdir().unwrap();
    let notary = notary(&dir, "keyring");
    let (view, tip) = formed(notary.public_key(Epoch(1)).unwrap());
    assert_eq!(check_state(&notary, &view).unwrap(), Verdict::Same);
    let note = notary.sign(&view, &tip, tip.size(), tip.root()).unwrap();
    let checkpoint = notary.verifier_key(&view, &tip).unwrap().open(&note).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (1, tip.root()));
    assert_eq!(notary.sign(&view, &tip, tip.size(), tip.root()).unwrap(), note, "the same bytes each time");
}

#[test]
fn neither_signs_nor_passes_for_the_state_of_another_keyring() {
    let dir = tempfile::tempdir().unwrap();
    let (first, other) = (notary(&dir, "first"), notary(&dir, "other"));
    let (view, tip) = formed(first.public_key(Epoch(1)).unwrap());
    assert_eq!(other.check(&view, &tip).unwrap_err().code(), Code::KeyringFingerprintMismatch);
    assert_eq!(other.sign(&view, &tip, 1, Digest::ZERO).unwrap_err().code(), Code::KeyringFingerprintMismatch);
    first.check(&view, &tip).unwrap();
}

#[test]
fn nothing_is_signed_before_the_genesis() {
    let dir = tempfile::tempdir().unwrap();
    let notary = notary(&dir, "keyring");
    let view = Memory::new();
    assert_eq!(check_state(&notary, &view).unwrap(), Verdict::NotFormed);
    assert_eq!(notary.check(&view, &Tip::empty()).unwrap_err().code(), Code::NotInitialized);
}
