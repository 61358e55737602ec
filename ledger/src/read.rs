//! Reads for the node: rows by what one knows of them.

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::id::{KeyId, ObjectId, RecordId, Seq, Token, UnixMs};
use kho_proto::leaf::Leaf;

use crate::command::data_key::FIRST_GENERATION;
use crate::command::submit::FIRST_REVISION;
use crate::row::{
    AttachmentsRow, Body, CertificateRow, ChunkFacts, CompleteRow, CrlRow, Damaged, DataKeyRow, Fault, GenesisRow,
    KeyOwner, ObjectRow, RecordRow, SeriesRow,
};
use crate::row::{number_key, split_key};
use crate::table::{self, AFTER_ALL, Table};
use crate::view::{ReadError, View};

fn get<T>(
    view: &dyn View,
    table: Table,
    key: &[u8],
    decode: impl FnOnce(Bytes) -> Result<T, Fault>,
) -> Result<Option<T>, ReadError> {
    let Some(value) = view.get(table, key)? else { return Ok(None) };
    decode(value).map(Some).map_err(|fault| Damaged::new(table, key, fault).into())
}

/// The genesis record; none before it is applied.
pub fn genesis(view: &dyn View) -> Result<Option<GenesisRow>, ReadError> {
    get(view, Table::Meta, table::GENESIS_KEY, GenesisRow::decode)
}

/// Where the record with this id stands, and whose it is.
pub fn record_row(view: &dyn View, id: &RecordId) -> Result<Option<RecordRow>, ReadError> {
    get(view, Table::Records, id.as_ref(), RecordRow::decode)
}

/// The leaf at an index.
pub fn leaf(view: &dyn View, seq: Seq) -> Result<Option<Leaf>, ReadError> {
    let decode = |value: Bytes| Leaf::decode(&value).map_err(|_| Fault::Content { expected: "leaf v1" });
    get(view, Table::Leaves, &table::seq_key(seq), decode)
}

/// The sealed record of the leaf at an index.
pub fn body(view: &dyn View, seq: Seq) -> Result<Option<Body>, ReadError> {
    get(view, Table::Bodies, &table::seq_key(seq), Body::decode)
}

/// Size of the tree at the end of the entry that holds the leaf at an index: the size that its receipt is for.
pub fn entry_end(view: &dyn View, seq: Seq) -> Result<Option<u64>, ReadError> {
    let after = table::size_key(seq.0.saturating_add(1));
    let Some((key, _)) = view.at_or_after(Table::Sizes, &[], &after)? else { return Ok(None) };
    Ok(Some(number_key(Table::Sizes, &key)?))
}

/// Latest data key of a unit.
pub fn data_key(view: &dyn View, unit: &Token) -> Result<Option<DataKeyRow>, ReadError> {
    // Nearly every unit has one generation, and asking for a key is far cheaper than seeking backwards.
    let of = |generation| {
        let decode = |value| DataKeyRow::decode(generation, value);
        get(view, Table::Keys, &table::key_by_unit_key(unit, generation), decode)
    };
    let first = of(FIRST_GENERATION)?;
    if first.is_none() || of(FIRST_GENERATION + 1)?.is_none() {
        return Ok(first);
    }
    let prefix = table::joined(&[&[table::KEYS_BY_UNIT], unit.as_ref()]);
    let after = table::joined(&[&prefix, AFTER_ALL]);
    let Some((key, value)) = view.before(Table::Keys, &prefix, &after)? else { return Ok(None) };
    let (_, generation) = split_key::<17, 4>(Table::Keys, &key)?;
    let row = DataKeyRow::decode(u32::from_be_bytes(generation), value);
    row.map(Some).map_err(|fault| Damaged::new(Table::Keys, &key, fault).into())
}

/// Whose a data key is.
pub fn key_owner(view: &dyn View, id: &KeyId) -> Result<Option<KeyOwner>, ReadError> {
    get(view, Table::Keys, &table::key_by_id_key(id), KeyOwner::decode)
}

/// A data key by its id, and whose it is.
pub fn data_key_by_id(view: &dyn View, id: &KeyId) -> Result<Option<(KeyOwner, DataKeyRow)>, ReadError> {
    let Some(owner) = key_owner(view, id)? else { return Ok(None) };
    let key = table::key_by_unit_key(&owner.unit_token, owner.generation);
    let row = get(view, Table::Keys, &key, |value| DataKeyRow::decode(owner.generation, value))?;
    let row = row.ok_or_else(|| Damaged::new(Table::Keys, &key, Fault::Missing))?;
    if row.key_id != *id {
        return Err(Damaged::new(Table::Keys, &key, Fault::Content { expected: "the key that its id names" }).into());
    }
    Ok(Some((owner, row)))
}

/// A certificate of a unit, sealed.
pub fn certificate(view: &dyn View, unit: &Token, digest: &Digest) -> Result<Option<CertificateRow>, ReadError> {
    get(view, Table::Certificates, &table::certificate_key(unit, digest), CertificateRow::decode)
}

/// A list of revoked certificates by its number.
pub fn crl(view: &dyn View, version: u64) -> Result<Option<CrlRow>, ReadError> {
    get(view, Table::Meta, &table::crl_key(version), |value| CrlRow::decode(version, value))
}

/// The number in the last eight bytes of a key.
fn last_number(table: Table, key: &[u8]) -> Result<u64, ReadError> {
    let wrong = || Damaged::new(table, key, Fault::Length { expected: "a key of the table's length" });
    Ok(u64::from_be_bytes(*key.last_chunk().ok_or_else(wrong)?))
}

/// Number of the last list of revoked certificates; 0: none.
pub(crate) fn crl_version(view: &dyn View) -> Result<u64, ReadError> {
    let after = table::joined(&[table::CRLS, AFTER_ALL]);
    let Some((key, _)) = view.before(Table::Meta, table::CRLS, &after)? else { return Ok(0) };
    last_number(Table::Meta, &key)
}

/// The newest list of an authority.
pub fn crl_head(view: &dyn View, issuer: &Digest) -> Result<Option<CrlRow>, ReadError> {
    let prefix = table::crls_of_key(issuer);
    let Some((key, _)) = view.before(Table::Meta, &prefix, &table::joined(&[&prefix, AFTER_ALL]))? else {
        return Ok(None);
    };
    let version = last_number(Table::Meta, &key)?;
    let row = crl(view, version)?;
    Ok(Some(row.ok_or_else(|| Damaged::new(Table::Meta, &table::crl_key(version), Fault::Missing))?))
}

/// The newest list of each authority.
pub fn crl_heads(view: &dyn View) -> Result<Vec<CrlRow>, ReadError> {
    let (mut heads, mut at) = (Vec::new(), Bytes::from_static(table::CRLS_BY_ISSUER));
    while let Some((key, _)) = view.at_or_after(Table::Meta, table::CRLS_BY_ISSUER, &at)? {
        let wrong = || Damaged::new(Table::Meta, &key, Fault::Length { expected: "a key of the table's length" });
        let issuer = key.get(table::CRLS_BY_ISSUER.len()..).and_then(<[u8]>::first_chunk).ok_or_else(wrong)?;
        let issuer = Digest(*issuer);
        heads.push(crl_head(view, &issuer)?.ok_or_else(wrong)?);
        at = table::joined(&[&table::crls_of_key(&issuer), AFTER_ALL]);
    }
    Ok(heads)
}

/// Latest revision of a series.
pub fn series_head(view: &dyn View, series: &Token) -> Result<Option<SeriesRow>, ReadError> {
    // Nearly every record begins a series, and a filter answers for a key that is not there.
    if view.get(Table::Series, &table::series_key(series, FIRST_REVISION))?.is_none() {
        return Ok(None);
    }
    let after = table::joined(&[series.as_ref(), AFTER_ALL]);
    let Some((key, value)) = view.before(Table::Series, series.as_ref(), &after)? else { return Ok(None) };
    let (_, revision) = split_key::<16, 4>(Table::Series, &key)?;
    let row = SeriesRow::decode(u32::from_be_bytes(revision), value);
    row.map(Some).map_err(|fault| Damaged::new(Table::Series, &key, fault).into())
}

/// A revision of a series.
pub fn revision(view: &dyn View, series: &Token, revision: u32) -> Result<Option<SeriesRow>, ReadError> {
    get(view, Table::Series, &table::series_key(series, revision), |value| SeriesRow::decode(revision, value))
}

/// An object of which there is a chunk.
pub fn object(view: &dyn View, id: &ObjectId) -> Result<Option<ObjectRow>, ReadError> {
    get(view, Table::Objects, &table::object_key(table::OBJECTS, id), ObjectRow::decode)
}

/// That an object is complete.
pub fn complete_object(view: &dyn View, id: &ObjectId) -> Result<Option<CompleteRow>, ReadError> {
    get(view, Table::Objects, &table::object_key(table::COMPLETE, id), CompleteRow::decode)
}

/// A sealed chunk.
pub fn chunk(view: &dyn View, id: &ObjectId, index: u32) -> Result<Option<Bytes>, ReadError> {
    Ok(view.get(Table::Objects, &table::chunk_key(table::CHUNKS, id, index))?)
}

/// What is known of a chunk.
pub fn chunk_facts(view: &dyn View, id: &ObjectId, index: u32) -> Result<Option<ChunkFacts>, ReadError> {
    get(view, Table::Objects, &table::chunk_key(table::CHUNK_FACTS, id, index), ChunkFacts::decode)
}

/// The attachments of the record at an index; none: it has none.
pub fn attachments(view: &dyn View, seq: Seq) -> Result<AttachmentsRow, ReadError> {
    let row = get(view, Table::Objects, &table::attachments_key(seq), AttachmentsRow::decode)?;
    Ok(row.unwrap_or_default())
}

/// Whether a record names an object.
pub fn is_named(view: &dyn View, id: &ObjectId) -> Result<bool, ReadError> {
    let prefix = table::object_key(table::NAMED_BY, id);
    Ok(view.at_or_after(Table::Objects, &prefix, &prefix)?.is_some())
}

/// When something of an object came last. Uploads go from the first chunk to the last, so that the last chunk tells it.
pub fn object_touched(view: &dyn View, id: &ObjectId) -> Result<Option<UnixMs>, ReadError> {
    if let Some(complete) = complete_object(view, id)? {
        return Ok(Some(complete.at));
    }
    let prefix = table::object_key(table::CHUNK_FACTS, id);
    let Some((key, value)) = view.before(Table::Objects, &prefix, &table::joined(&[&prefix, AFTER_ALL]))? else {
        return Ok(None);
    };
    let facts = ChunkFacts::decode(value).map_err(|fault| Damaged::new(Table::Objects, &key, fault))?;
    Ok(Some(facts.at))
}

/// The first object after another, or the first of all.
pub fn object_after(view: &dyn View, after: Option<&ObjectId>) -> Result<Option<(ObjectId, ObjectRow)>, ReadError> {
    let prefix = [table::OBJECTS];
    let from = after.map_or_else(Bytes::new, |id| table::joined(&[&table::object_key(table::OBJECTS, id), &[0]]));
    let Some((key, value)) = view.at_or_after(Table::Objects, &prefix, &from)? else { return Ok(None) };
    let (_, id) = split_key::<1, 32>(Table::Objects, &key)?;
    let row = ObjectRow::decode(value).map_err(|fault| Damaged::new(Table::Objects, &key, fault))?;
    Ok(Some((ObjectId(id), row)))
}
