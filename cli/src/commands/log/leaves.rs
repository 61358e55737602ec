//! The rules that leaves keep among each other, one leaf after the other.

use kho_proto::checkpoint::Origin;
use kho_proto::id::{Epoch, UnixMs};
use kho_proto::leaf::{Leaf, LeafKind};
use kho_proto::merkle::{Frontier, leaf_hash};

/// An audit as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// The tree over all leaves so far.
    pub frontier: Frontier,
    /// Accepted-at of the last.
    pub last_accepted_at: UnixMs,
}

impl Course {
    /// Before the first leaf.
    pub fn beginning() -> Self {
        Self { frontier: Frontier::default(), last_accepted_at: UnixMs(0) }
    }

    /// Takes the next leaf in. An error names the rule that it breaks; it is in the tree all the same.
    pub fn take(&mut self, bytes: &[u8], origin: &Origin) -> Result<(), String> {
        let index = self.frontier.size();
        self.frontier.push(leaf_hash(bytes));
        let leaf = Leaf::decode(bytes).map_err(|error| error.to_string())?;
        match (leaf.kind, index) {
            (LeafKind::Genesis, 0) => genesis(&leaf, origin)?,
            (LeafKind::Record, 1..) => {}
            (LeafKind::Record, 0) => return Err("expected a genesis as leaf 0, found a record".to_owned()),
            (LeafKind::Genesis, _) => return Err("expected a record, found a second genesis".to_owned()),
        }
        if leaf.accepted_at < self.last_accepted_at {
            return Err(format!(
                "expected accepted-at of at least {} as the leaf before has, found {}",
                self.last_accepted_at.0, leaf.accepted_at.0
            ));
        }
        self.last_accepted_at = leaf.accepted_at;
        Ok(())
    }
}

/// The log's name says whose genesis it is: of which cluster, and in the first epoch also which record.
fn genesis(leaf: &Leaf, origin: &Origin) -> Result<(), String> {
    if leaf.record_id.0 != origin.cluster_id().0 {
        return Err(format!("expected a genesis of cluster {}, found one of another", origin.cluster_id()));
    }
    let named = Origin::new(origin.cluster_id(), origin.epoch(), leaf.header_digest);
    if origin.epoch() == Epoch(1) && named != *origin {
        return Err(format!("expected the genesis that {origin} names, found that of {named}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kho_proto::digest::Digest;
    use kho_proto::id::{ClusterId, KeyId, RecordId};

    use super::*;

    fn leaf(kind: LeafKind, accepted_at: u64) -> Leaf {
        Leaf {
            kind,
            record_id: RecordId([7; 16]),
            accepted_at: UnixMs(accepted_at),
            key_id: KeyId([0; 16]),
            header_digest: Digest::of(b"genesis"),
            signature_block_digest: Digest::ZERO,
            sealed_head_digest: Digest::ZERO,
            sealed_payload_digest: Digest::ZERO,
            attachments_digest: Digest::ZERO,
        }
    }

    fn origin() -> Origin {
        Origin::new(ClusterId([7; 16]), Epoch(1), Digest::of(b"genesis"))
    }

    fn broken(leaves: &[Leaf]) -> String {
        let mut course = Course::beginning();
        let (last, before) = leaves.split_last().unwrap();
        before.iter().for_each(|leaf| course.take(&leaf.encode(), &origin()).unwrap());
        course.take(&last.encode(), &origin()).unwrap_err()
    }

    #[test]
    fn leaves_keep_their_rules() {
        use LeafKind::{Genesis, Record};
        let mut course = Course::beginning();
        for leaf in [leaf(Genesis, 5), leaf(Record, 5), leaf(Record, 6)] {
            course.take(&leaf.encode(), &origin()).unwrap();
        }
        assert_eq!((course.frontier.size(), course.last_accepted_at), (3, UnixMs(6)));
        assert!(broken(&[leaf(Record, 5)]).contains("genesis as leaf 0"));
        assert!(broken(&[leaf(Genesis, 5), leaf(Genesis, 5)]).contains("second genesis"));
        assert!(broken(&[leaf(Genesis, 5), leaf(Record, 9), leaf(Record, 8)]).contains("at least 9"));
        let other = Leaf { header_digest: Digest::of(b"another"), ..leaf(Genesis, 5) };
        assert!(broken(&[other]).contains("names"));
        let other = Leaf { record_id: RecordId([8; 16]), ..leaf(Genesis, 5) };
        assert!(broken(&[other]).contains("of another"));
        let error = course.take(b"no leaf", &origin()).unwrap_err();
        assert!(error.contains("202 bytes"), "{error}");
        assert_eq!(course.frontier.size(), 4, "whatever it is, it is in the tree");
    }
}
