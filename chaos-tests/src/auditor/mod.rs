//! What an auditor would write with RFC 6962 and the C2SP pages in hand and nothing of Kho: reads a receipt's
//! text form, checks the checkpoint's signature and the leaf's inclusion, and reads leaf v1.

#[cfg(test)]
pub(crate) mod forge;
mod note;
mod proof;

use aws_lc_rs::digest::{SHA256, digest};

pub use note::VerifierKey;

/// SHA-256.
pub type Hash = [u8; 32];

/// Why a receipt proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The text is not of the form.
    #[error("expected {expected}")]
    Form {
        /// What should stand there.
        expected: &'static str,
    },
    /// The checkpoint's signature is not by the key.
    #[error("the checkpoint is not signed by {name}")]
    Signature {
        /// Name of the key.
        name: String,
    },
    /// The leaf is not in the tree of the checkpoint.
    #[error("the inclusion proof leads to another root")]
    Inclusion,
    /// The leaf is of another record.
    #[error("the leaf's {field} is not the record's")]
    Leaf {
        /// Where they differ.
        field: &'static str,
    },
}

/// A checkpoint whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log.
    pub origin: String,
    /// Leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Leaf v1 as it stands in the log.
    pub leaf: Vec<u8>,
    /// Its index.
    pub index: u64,
    /// The tree that it is in.
    pub checkpoint: Checkpoint,
}

/// What a leaf must say of a record: the signed header's bytes and the signature block's.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// 16 bytes.
    pub id: &'a [u8],
    /// As signed.
    pub header: &'a [u8],
    /// As sent.
    pub signature_block: &'a [u8],
}

/// SHA-256 of the concatenation of `parts`.
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, &parts.concat()).as_ref());
    hash
}

/// Checks a receipt's text form against the log's key.
pub fn verify(key: &VerifierKey, tlog_proof: &str) -> Result<Proven, Rejected> {
    let parsed = proof::parse(tlog_proof)?;
    let checkpoint = key.open(parsed.checkpoint)?;
    let leaf_hash = sha256(&[&[0], &parsed.leaf]);
    let root = proof::root(leaf_hash, parsed.index, checkpoint.size, &parsed.hashes).ok_or(Rejected::Inclusion)?;
    if root != checkpoint.root {
        return Err(Rejected::Inclusion);
    }
    Ok(Proven { leaf: parsed.leaf, index: parsed.index, checkpoint })
}

impl Proven {
    /// Whether the leaf is of `record`: docs/formats/leaf.md.
    pub fn is_of(&self, record: Record<'_>) -> Result<(), Rejected> {
        const LEAF_LENGTH: usize = 202;
        let leaf: &[u8; LEAF_LENGTH] =
            self.leaf.as_slice().try_into().map_err(|_| Rejected::Form { expected: "a leaf of 202 bytes" })?;
        let same = |field, found: &[u8], expected: &[u8]| {
            if found == expected { Ok(()) } else { Err(Rejected::Leaf { field }) }
        };
        same("version and kind", &leaf[..2], &[1, 1])?;
        same("record id", &leaf[2..18], record.id)?;
        same("header digest", &leaf[42..74], &sha256(&[record.header]))?;
        same("signature block digest", &leaf[74..106], &sha256(&[record.signature_block]))
    }
}

#[cfg(test)]
mod tests;
