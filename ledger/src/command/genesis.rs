//! `Genesis`: forms the cluster; leaf 0.

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{KeyId, RecordId};
use kho_proto::leaf::{Leaf, LeafKind};
use kho_proto::pb::ledger::v1::Genesis;

use super::{Stop, check_epoch, fixed, wrong};
use crate::draft::Draft;
use crate::effects::Outcome;
use crate::row::{Body, GenesisRow};

/// The first primacy of a cluster.
const FIRST_EPOCH: u64 = 1;

/// Bytes of a raw Ed25519 public key.
const LOG_PUBLIC_KEY_LENGTH: usize = 32;

pub(super) fn apply(draft: &mut Draft<'_>, epoch: u64, command: &Genesis) -> Result<Outcome, Stop> {
    if draft.tip().genesis.is_some() {
        return Err(Refusal::new(Code::AlreadyInitialized, "the cluster is formed already").into());
    }
    let row = check(command)?;
    check_epoch(FIRST_EPOCH, epoch)?;
    let leaf = Leaf {
        kind: LeafKind::Genesis,
        record_id: RecordId(row.cluster_id.0),
        accepted_at: draft.accepted_at(),
        key_id: KeyId([0; 16]),
        header_digest: row.digest(),
        signature_block_digest: Digest::ZERO,
        sealed_head_digest: Digest::ZERO,
        sealed_payload_digest: Digest::ZERO,
        attachments_digest: Digest::ZERO,
    };
    let seq = draft.append(leaf, &Body { sealed_head: row.record.clone(), sealed_payload: Bytes::new() });
    draft.put_genesis(&row);
    Ok(Outcome::Accepted { seq, leaf })
}

fn check(command: &Genesis) -> Result<GenesisRow, Stop> {
    fixed::<kho_proto::id::ClusterId>("genesis.cluster_id", &command.cluster_id)?;
    if command.epoch != FIRST_EPOCH {
        return Err(wrong("genesis.epoch", FIRST_EPOCH.to_string(), command.epoch.to_string()).into());
    }
    let found = command.log_public_key.len();
    let length = || wrong("genesis.log_public_key", format!("{LOG_PUBLIC_KEY_LENGTH} bytes"), format!("{found} bytes"));
    Ok(GenesisRow::of(command).ok_or_else(length)?)
}
