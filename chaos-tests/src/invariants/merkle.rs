//! I5: same size, same root, on every voter and in every checkpoint that was ever handed out.

use std::collections::BTreeMap;

use super::Breach;
use crate::auditor::Hash;

/// A root that somebody stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// Who: a node, or a receipt.
    pub by: String,
    /// Leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

/// Holds all statements against each other.
pub fn judge(stated: impl IntoIterator<Item = Stated>) -> Vec<Breach> {
    let mut first: BTreeMap<u64, Stated> = BTreeMap::new();
    let mut breaches = Vec::new();
    for one in stated {
        let known = first.entry(one.size).or_insert_with(|| one.clone());
        if known.root != one.root {
            let (size, here, there) = (one.size, hex::encode(one.root), hex::encode(known.root));
            let what = format!("at size {size} {} says {here} and {} says {there}", one.by, known.by);
            breaches.push(Breach { invariant: "I5", what });
        }
    }
    breaches
}
