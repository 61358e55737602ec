//! The tables, and the keys of their rows. Values are in [`crate::row`]; each starts with a version byte.
//!
//! Numbers are big-endian, so that rows stand in the order of their numbers. `seq` is 8 bytes.
//!
//! | table | key | value, after its version byte |
//! | --- | --- | --- |
//! | `meta` | `genesis` | encoded `kho.ledger.v1.Genesis` |
//! | `bodies` | seq | length of the sealed head (4), sealed head, sealed payload; for leaf 0 the genesis record in place of the head |
//! | `leaves` | seq | leaf v1 (whose first byte is the version) |
//! | `records` | record id (16) | seq (8), header digest (32), tokens of unit, regime, series (16 each), revision (4), length of the period (1), period, tokens of the receivers (16 each) |
//! | `index` | role (1), token of unit or receiver (16), token of regime (16), period, 0x00, seq | nothing |
//! | `series` | token of series (16), revision (4) | seq (8), record id (16) |
//! | `tiles` | tile level (1), tile index (8) | 256 hashes (32 each); full tiles only |
//! | `keys` | 0x01, token of unit (16), generation (4) | leaves before it (8), key id (16), fingerprint of the wrapping key (32), wrapped key |
//! | `keys` | 0x02, key id (16) | token of unit (16), generation (4) |
//! | `certificates` | token of unit (16), digest (32) | seq of the record that brought it (8), key id (16), sealed certificate |
//! | `sizes` | leaves after an entry (8) | root over them (32); only entries that added leaves |
//! | `objects` | 0x01, object id (32) | leaves before it (8), token of unit (16), key id (16), length (8) |
//! | `objects` | 0x02, object id (32), index (4) | the sealed chunk (whose first byte is the version) |
//! | `objects` | 0x03, object id (32), index (4) | leaves before it (8), time (8), SHA-256 of the sealed chunk (32) |
//! | `objects` | 0x04, object id (32) | leaves before it was complete (8), time (8), sealed digest (32) |
//! | `objects` | 0x05, object id (32), seq of a record that names it | nothing |
//! | `objects` | 0x06, seq | of each of the record's attachments object id (32) and sealed digest (32) |
//!
//! The role byte in `index` is 0x01 for what a unit sent, 0x02 for what it receives. Revisions count from 1.
//!
//! The record row repeats what its other rows' keys are made of, so that [`crate::rewind()`] finds them, and so
//! that a node knows who may read a record without opening it. **Rows per record**: `bodies`, `leaves`,
//! `records`, `series`, one in `index` for the unit and one for each receiver: six with one receiver, and one
//! more for each further receiver. Beside them an entry writes one row in `sizes`, each 256 leaves about one
//! tile, and each certificate one row when it is first seen.

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::id::{KeyId, ObjectId, Seq, Token};

/// A table: an ordered map of rows; a column family in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Facts about the cluster.
    Meta,
    /// Sealed records by sequence; append-only.
    Bodies,
    /// Leaves by sequence; append-only, never erased.
    Leaves,
    /// Records by id.
    Records,
    /// Records by unit, regime and period, and by receiver.
    Index,
    /// Revisions of a series.
    Series,
    /// Full tiles of the tree.
    Tiles,
    /// Data keys.
    Keys,
    /// Sealed certificates.
    Certificates,
    /// Ends of entries.
    Sizes,
    /// Attachments. Made in the store with the first row: a build from before it can open a state without any.
    Objects,
}

impl Table {
    /// All tables.
    pub const ALL: &'static [Table] = &[
        Table::Meta,
        Table::Bodies,
        Table::Leaves,
        Table::Records,
        Table::Index,
        Table::Series,
        Table::Tiles,
        Table::Keys,
        Table::Certificates,
        Table::Sizes,
        Table::Objects,
    ];

    /// Name in the store; never changes.
    pub fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Bodies => "bodies",
            Table::Leaves => "leaves",
            Table::Records => "records",
            Table::Index => "index",
            Table::Series => "series",
            Table::Tiles => "tiles",
            Table::Keys => "keys",
            Table::Certificates => "certificates",
            Table::Sizes => "sizes",
            Table::Objects => "objects",
        }
    }
}

/// Key of the genesis record in `meta`.
pub const GENESIS_KEY: &[u8] = b"genesis";
/// Prefix of lists of revoked certificates in `meta`, in the order of their coming. They stand here and not in a table of
/// their own, which a build from before them could not open.
pub const CRLS: &[u8] = b"crl/";
/// Prefix of the same by authority, in `meta`.
pub const CRLS_BY_ISSUER: &[u8] = b"crl-of/";

/// Prefix of data keys by unit and generation.
pub const KEYS_BY_UNIT: u8 = 1;
/// Prefix of data keys by id.
pub const KEYS_BY_ID: u8 = 2;

/// Prefix of objects, in `objects`.
pub const OBJECTS: u8 = 1;
/// Prefix of sealed chunks, in `objects`.
pub const CHUNKS: u8 = 2;
/// Prefix of what is known of each chunk, in `objects`.
pub const CHUNK_FACTS: u8 = 3;
/// Prefix of the marks of complete objects, in `objects`.
pub const COMPLETE: u8 = 4;
/// Prefix of who names an object, in `objects`.
pub const NAMED_BY: u8 = 5;
/// Prefix of records' attachments, in `objects`.
pub const ATTACHMENTS: u8 = 6;

/// Whose side of a record an index row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// The unit that the record is of.
    Sender = 1,
    /// A unit that may read it.
    Receiver = 2,
}

/// After every key of a table keyed by a number.
pub(crate) const AFTER_ALL: &[u8] = &[0xff; 9];

/// Key of a row in `bodies` or `leaves`.
pub fn seq_key(seq: Seq) -> [u8; 8] {
    seq.0.to_be_bytes()
}

/// Key of a row in `sizes`.
pub fn size_key(size: u64) -> [u8; 8] {
    size.to_be_bytes()
}

/// Key of a row in `series`.
pub fn series_key(series: &Token, revision: u32) -> Bytes {
    joined(&[series.as_ref(), &revision.to_be_bytes()])
}

/// Key of a row in `tiles`.
pub fn tile_key(level: u8, index: u64) -> [u8; 9] {
    let mut key = [level; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

/// Key of a row in `index`. A period has no zero byte in it.
pub fn index_key(role: Role, unit: &Token, regime: &Token, period: &str, seq: Seq) -> Bytes {
    joined(&[&[role as u8], unit.as_ref(), regime.as_ref(), period.as_bytes(), &[0], &seq_key(seq)])
}

/// Key of a data key by unit and generation, in `keys`.
pub fn key_by_unit_key(unit: &Token, generation: u32) -> Bytes {
    joined(&[&[KEYS_BY_UNIT], unit.as_ref(), &generation.to_be_bytes()])
}

/// Key of a data key by id, in `keys`.
pub fn key_by_id_key(id: &KeyId) -> Bytes {
    joined(&[&[KEYS_BY_ID], id.as_ref()])
}

/// Key of a list of revoked certificates, in `meta`.
pub fn crl_key(version: u64) -> Bytes {
    joined(&[CRLS, &version.to_be_bytes()])
}

/// Prefix of an authority's lists, in `meta`.
pub fn crls_of_key(issuer: &Digest) -> Bytes {
    joined(&[CRLS_BY_ISSUER, issuer.as_ref()])
}

/// Key of the mark that a list is of an authority, in `meta`.
pub fn crl_of_key(issuer: &Digest, version: u64) -> Bytes {
    joined(&[CRLS_BY_ISSUER, issuer.as_ref(), &version.to_be_bytes()])
}

/// Key of a row in `certificates`.
pub fn certificate_key(unit: &Token, digest: &Digest) -> Bytes {
    joined(&[unit.as_ref(), digest.as_ref()])
}

/// Key of a row of an object, in `objects`: of [`OBJECTS`] or [`COMPLETE`], or the prefix of its other rows.
pub fn object_key(prefix: u8, id: &ObjectId) -> Bytes {
    joined(&[&[prefix], id.as_ref()])
}

/// Key of a chunk, or of what is known of it, in `objects`.
pub fn chunk_key(prefix: u8, id: &ObjectId, index: u32) -> Bytes {
    joined(&[&[prefix], id.as_ref(), &index.to_be_bytes()])
}

/// Key of the mark that a record names an object, in `objects`.
pub fn named_by_key(id: &ObjectId, seq: Seq) -> Bytes {
    joined(&[&[NAMED_BY], id.as_ref(), &seq_key(seq)])
}

/// Key of a record's attachments, in `objects`.
pub fn attachments_key(seq: Seq) -> Bytes {
    joined(&[&[ATTACHMENTS], &seq_key(seq)])
}

/// The parts, one after the other.
pub(crate) fn joined(parts: &[&[u8]]) -> Bytes {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        out.extend_from_slice(part);
    }
    out.into()
}
