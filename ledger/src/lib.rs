//! The replicated state machine, pure: (state, entry) -> (changes, effects).
//!
//! [`apply()`] reads rows through a [`View`], decides idempotency, sequence and supersession, and answers with
//! the rows to write, what to tell each proposer, and the next [`Tip`]. It has no clock, no randomness, no
//! I/O of its own; it sees ciphertext, digests and tokens only. Whoever holds the store writes all changes
//! of an entry in one atomic batch.
//!
//! Nothing here counts or merges: every row can be recomputed from the commands below a sequence number,
//! so that [`rewind()`] can take the state back to any size.

pub mod apply;
pub mod bounds;
pub mod change;
mod command;
pub mod conformance;
mod draft;
mod edge;
pub mod effects;
pub mod memory;
mod overlay;
pub mod prove;
pub mod publish;
pub mod read;
pub mod rewind;
pub mod row;
pub mod select;
pub mod table;
pub mod tip;
pub mod view;

#[cfg(test)]
mod tests;

pub use apply::apply;
pub use bounds::entry_version;
pub use change::{Change, Changes};
pub use command::data_key::FIRST_GENERATION;
pub use effects::{Applied, Effects, Outcome};
pub use prove::{Prover, Raised, RaisedTiles, consistency, inclusion, root_at};
pub use read::{
    attachments, body, certificate, chunk, chunk_facts, complete_object, crl_heads, data_key, data_key_by_id,
    entry_end, genesis, is_named, leaf, object, object_after, object_touched, record_row, series_head,
};
pub use rewind::rewind;
pub use table::Table;
pub use tip::Tip;
pub use view::{Direction, ReadError, View, ViewError};
