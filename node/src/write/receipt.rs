//! Receipts: proof of a leaf, and the checkpoint at the end of its Raft entry, signed.
//!
//! Ed25519 is deterministic and the checkpoint's size is fixed by the entry, so that a retry gets the same bytes on
//! every keyed node.

use std::sync::Arc;

use bytes::Bytes;
use kho_ledger::{Effects, Outcome, Prover, Raised, RaisedTiles, ReadError, Tip, View, prove};
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::Seq;
use kho_proto::leaf::Leaf;
use kho_proto::pb::v1::{Receipt, ReceiptState};
use quick_cache::sync::Cache;

use super::propose::Answer;
use crate::consensus::StateStore;
use crate::keys::{GuardError, Notary};

/// Signed checkpoints remembered, at most; some 300 bytes each.
const NOTES_MAX: usize = 4096;
/// Tiles of the tree remembered with what stands above them, at most: of the 131,072 records read last, some 12 MiB.
const TILES_MAX: usize = 512;

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state can't be read.
    #[error("state: {0}")]
    State(#[from] ReadError),
    /// The tree does not hold the proof.
    #[error("proof: {0}")]
    Proof(#[from] prove::Error),
    /// A row that must be there is not.
    #[error("leaf {0}: expected its row and the end of its entry, found none")]
    Missing(Seq),
    /// The log key can't be used.
    #[error(transparent)]
    Keys(#[from] GuardError),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let code = match &error {
            Error::State(_) | Error::Proof(_) | Error::Missing(_) => Code::StorageFailed,
            Error::Keys(error) => error.code(),
        };
        Refusal::new(code, error.to_string())
    }
}

/// Makes receipts out of committed state.
pub struct Receipts {
    state: StateStore,
    notary: Arc<Notary>,
    /// By size and root.
    notes: Cache<(u64, Digest), Bytes>,
    tiles: Tiles,
}

/// By level and index.
struct Tiles(Cache<(u8, u64), Arc<Raised>>);

impl RaisedTiles for Tiles {
    fn find(&self, level: u8, index: u64) -> Option<Arc<Raised>> {
        self.0.get(&(level, index))
    }

    fn keep(&self, level: u8, index: u64, tile: Arc<Raised>) {
        self.0.insert((level, index), tile);
    }
}

impl Receipts {
    /// Signed with `notary`.
    pub fn new(state: StateStore, notary: Arc<Notary>) -> Self {
        Self { state, notary, notes: Cache::new(NOTES_MAX), tiles: Tiles(Cache::new(TILES_MAX)) }
    }

    /// Whether the state is of a formed cluster with this node's keys: before that nothing may be sealed.
    pub(super) fn ready(&self) -> Result<(), GuardError> {
        let (view, tip) = self.state.read();
        self.notary.check(&view, &tip)
    }

    /// Answers for all commands of an applied entry.
    pub(super) fn answers(&self, effects: Effects) -> Result<Vec<Answer>, Error> {
        let (view, tip) = self.state.read();
        let prover = Prover::over(&view, &tip, &self.tiles);
        let Effects { outcomes, size, root } = effects;
        outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Outcome::Accepted { seq, leaf } => {
                    let receipt = self.receipt(&prover, &view, &tip, seq, &leaf, (size, root))?;
                    Ok(Answer::Accepted { receipt, duplicate: false })
                }
                Outcome::Duplicate { seq } => {
                    let receipt = self.first_with(&prover, &view, &tip, seq)?;
                    Ok(Answer::Accepted { receipt, duplicate: true })
                }
                Outcome::Refused(refusal) => Ok(Answer::Refused(refusal)),
                Outcome::Done => Ok(Answer::Done),
            })
            .collect()
    }

    /// The first receipt of the leaf at `seq`. View and tip must be of the same moment.
    pub fn first(&self, view: &dyn View, tip: &Tip, seq: Seq) -> Result<Receipt, Error> {
        self.first_with(&Prover::over(view, tip, &self.tiles), view, tip, seq)
    }

    fn first_with(&self, prover: &Prover<'_>, view: &dyn View, tip: &Tip, seq: Seq) -> Result<Receipt, Error> {
        let leaf = kho_ledger::leaf(view, seq)?.ok_or(Error::Missing(seq))?;
        let size = kho_ledger::entry_end(view, seq)?.ok_or(Error::Missing(seq))?;
        self.receipt(prover, view, tip, seq, &leaf, (size, prover.root_at(size)?))
    }

    fn receipt(
        &self,
        prover: &Prover<'_>,
        view: &dyn View,
        tip: &Tip,
        seq: Seq,
        leaf: &Leaf,
        (size, root): (u64, Digest),
    ) -> Result<Receipt, Error> {
        let inclusion = prover.inclusion(seq, size)?;
        Ok(Receipt {
            leaf: Bytes::copy_from_slice(&leaf.encode()),
            sequence: seq.0,
            inclusion: inclusion.iter().map(|digest| Bytes::copy_from_slice(digest.as_ref())).collect(),
            checkpoint: self.note(view, tip, size, root)?,
            state: ReceiptState::Accepted.into(),
        })
    }

    /// The checkpoint of all that is applied, signed. View and tip must be of the same moment.
    pub(crate) fn checkpoint(&self, view: &dyn View, tip: &Tip) -> Result<Bytes, Error> {
        self.note(view, tip, tip.size(), tip.root())
    }

    /// The signed checkpoint: of an applied size only, which the caller has read from the state.
    fn note(&self, view: &dyn View, tip: &Tip, size: u64, root: Digest) -> Result<Bytes, Error> {
        self.notes.get_or_insert_with(&(size, root), || Ok(self.notary.sign(view, tip, size, root)?))
    }
}
