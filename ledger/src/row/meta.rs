use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, Epoch, UnixMs};
use kho_proto::pb::ledger::v1 as pb;
use prost::Message;

use super::reader::Reader;
use super::{Fault, ROW_VERSION};
use crate::table::joined;

/// The genesis record: what a cluster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisRow {
    /// The record's bytes: an encoded `kho.ledger.v1.Genesis`.
    pub record: Bytes,
    /// Id of the cluster.
    pub cluster_id: ClusterId,
    /// Its first epoch.
    pub epoch: Epoch,
    /// When it was made, by its maker's clock.
    pub created_at: UnixMs,
    /// Raw Ed25519 public key of the log.
    pub log_public_key: [u8; 32],
}

impl GenesisRow {
    /// Reads the record; none where a field is not of its length.
    pub(crate) fn of(genesis: &pb::Genesis) -> Option<Self> {
        Some(Self {
            record: genesis.encode_to_vec().into(),
            cluster_id: ClusterId::try_from(genesis.cluster_id.as_ref()).ok()?,
            epoch: Epoch(genesis.epoch),
            created_at: UnixMs(genesis.created_at_ms),
            log_public_key: genesis.log_public_key.as_ref().try_into().ok()?,
        })
    }

    /// SHA-256 of the record: its first 16 hex digits stand in the log's origin.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.record)
    }

    pub(crate) fn encode(&self) -> Bytes {
        joined(&[&[ROW_VERSION], &self.record])
    }

    pub(crate) fn decode(value: Bytes) -> Result<Self, Fault> {
        let record = Reader::new(value)?.rest();
        let fault = Fault::Content { expected: "an encoded genesis record" };
        let genesis = pb::Genesis::decode(record.clone()).map_err(|_| fault)?;
        let row = Self::of(&genesis).ok_or(fault)?;
        if row.record == record { Ok(row) } else { Err(fault) }
    }
}
