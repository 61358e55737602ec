//! A record that stands in the log already gets its first receipt, whatever certificates and clocks say now.

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::pb::v1::Receipt;

use super::authenticate::Authenticated;
use super::receipt::{self, Receipts};
use super::seal::Sealer;
use crate::consensus::StateStore;

/// Why there is no first receipt.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Another header holds the id.
    #[error("the record id is held by another header")]
    Conflict {
        /// Header digest in the state; to the same unit only.
        expected: Option<Digest>,
        found: Digest,
        evidence: Option<Bytes>,
    },
    #[error(transparent)]
    Receipt(#[from] receipt::Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let text = error.to_string();
        match error {
            Error::Conflict { expected, found, evidence } => {
                let expected = expected.map(|digest| format!("header digest {digest}")).unwrap_or_default();
                let mut refusal = Refusal::new(Code::RecordIdConflict, text)
                    .expected_found(expected, format!("header digest {found}"));
                refusal.evidence_leaf = evidence;
                refusal
            }
            Error::Receipt(error) => error.into(),
        }
    }
}

/// The first receipt, if this node's state has the record; none says only that this node does not know it.
pub(super) fn lookup(
    state: &StateStore,
    sealer: &Sealer,
    receipts: &Receipts,
    authenticated: &Authenticated,
) -> Result<Option<Receipt>, Error> {
    let (view, tip) = state.read();
    let header = authenticated.header();
    let row = kho_ledger::record_row(&view, &header.record_id).map_err(receipt::Error::from)?;
    let Some(row) = row else { return Ok(None) };
    let found = Digest::of(&authenticated.record().header);
    if row.header_digest == found {
        return Ok(Some(receipts.first(&view, &tip, row.seq)?));
    }
    // The connection may submit for this unit: it learns of its own unit's record only.
    if sealer.tokens().unit(&header.unit) != row.unit_token {
        return Err(Error::Conflict { expected: None, found, evidence: None });
    }
    let leaf = kho_ledger::leaf(&view, row.seq).map_err(receipt::Error::from)?;
    let evidence = leaf.map(|leaf| Bytes::copy_from_slice(&leaf.encode()));
    Err(Error::Conflict { expected: Some(row.header_digest), found, evidence })
}
