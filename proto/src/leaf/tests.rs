use super::{Error, Leaf, LeafKind, attachments_digest};
use crate::digest::Digest;
use crate::id::{KeyId, RecordId, UnixMs};

const VECTORS: &str = include_str!("../../../docs/formats/vectors/leaf.json");

fn example(kind: LeafKind) -> Leaf {
    Leaf {
        kind,
        record_id: "01730c5e-6e00-7111-8222-333344445555".parse().expect("a UUID"),
        accepted_at: UnixMs(1_593_568_800_000),
        key_id: KeyId([0x22; 16]),
        header_digest: Digest::of(b"header"),
        signature_block_digest: Digest::of(b"signature block"),
        sealed_head_digest: Digest::of(b"sealed head"),
        sealed_payload_digest: Digest::of(b"sealed payload"),
        attachments_digest: attachments_digest([]),
    }
}

fn genesis() -> Leaf {
    Leaf {
        kind: LeafKind::Genesis,
        record_id: RecordId([0x11; 16]),
        accepted_at: UnixMs(1),
        key_id: KeyId([0; 16]),
        header_digest: Digest::of(b"genesis record"),
        signature_block_digest: Digest::ZERO,
        sealed_head_digest: Digest::ZERO,
        sealed_payload_digest: Digest::ZERO,
        attachments_digest: Digest::ZERO,
    }
}

#[test]
fn golden_bytes() {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).expect("JSON");
    for (name, leaf) in [("record", example(LeafKind::Record)), ("genesis", genesis())] {
        let vector = &vectors[name];
        assert_eq!(vector["record_id"], leaf.record_id.to_string(), "{name}");
        assert_eq!(vector["accepted_at_ms"], leaf.accepted_at.0, "{name}");
        assert_eq!(vector["header_digest"], leaf.header_digest.to_string(), "{name}");
        assert_eq!(vector["leaf"], hex::encode(leaf.encode()), "{name}");
        assert_eq!(vector["leaf_hash"], leaf.hash().to_string(), "{name}");
        assert_eq!(Leaf::decode(&leaf.encode()), Ok(leaf), "{name}");
    }
}

#[test]
fn other_lengths_versions_and_kinds_are_refused() {
    let good = example(LeafKind::Record).encode();
    assert_eq!(Leaf::decode(&good[1..]), Err(Error::Length { found: Leaf::LENGTH - 1 }));
    assert_eq!(Leaf::decode(&[good.as_slice(), &[0]].concat()), Err(Error::Length { found: Leaf::LENGTH + 1 }));
    let with = |at: usize, byte: u8| {
        let mut bytes = good;
        bytes[at] = byte;
        Leaf::decode(&bytes)
    };
    assert_eq!(with(0, 2), Err(Error::Version { found: 2 }));
    assert_eq!(with(1, 0), Err(Error::Kind { found: 0 }));
    assert_eq!(with(1, 3), Err(Error::Kind { found: 3 }));
}

#[test]
fn the_order_of_attachments_counts() {
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    assert_ne!(attachments_digest([&a, &b]), attachments_digest([&b, &a]));
    assert_eq!(attachments_digest([]), Digest::of(b""));
}
