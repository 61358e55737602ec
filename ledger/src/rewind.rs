//! Back to an earlier size: the state as it stood right after the last leaf of that size.
//!
//! "Right after" means that data keys and lists of revoked certificates that came between that leaf and the next one go too. Whoever feeds
//! commands again starts after the leaf; a data key that was kept and comes again changes nothing, while one
//! of a history given up that stayed would win against its successor.

use std::collections::BTreeSet;

use bytes::Bytes;
use kho_proto::id::Seq;

use crate::change::Changes;
use crate::edge::full_tiles;
use crate::prove::{self, Prover};
use crate::read;
use crate::row::{CertificateRow, ChunkFacts, Damaged, DataKeyRow, Fault, RecordRow, SizeRow};
use crate::row::{number_key, split_key};
use crate::table::{self, AFTER_ALL, Role, Table};
use crate::tip::Tip;
use crate::view::{ReadError, View};

/// Why the state can't be taken back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tree has not grown so far.
    #[error("expected a size of at most {tip}, found {size}")]
    Ahead {
        /// Size asked for.
        size: u64,
        /// Size of the tip.
        tip: u64,
    },
    /// The state could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What to write to take the state back to its first `size` leaves. The tip is loaded anew afterwards.
///
/// The changes grow with the number of leaves that go. A long way back may be gone in steps, each written
/// before the next is asked for: any size on the way is a valid state.
pub fn rewind(view: &dyn View, tip: &Tip, size: u64) -> Result<Changes, Error> {
    if size > tip.size() {
        return Err(Error::Ahead { size, tip: tip.size() });
    }
    let mut changes = Changes::default();
    for seq in size..tip.size() {
        drop_leaf(view, Seq(seq), &mut changes)?;
    }
    if size == 0 && tip.genesis.is_some() {
        changes.delete(Table::Meta, table::GENESIS_KEY);
    }
    drop_keys(view, size, &mut changes)?;
    drop_certificates(view, size, &mut changes)?;
    drop_crls(view, tip, size, &mut changes)?;
    drop_objects(view, size, &mut changes)?;
    drop_tiles(tip.size(), size, &mut changes);
    end_at(view, tip, size, &mut changes)?;
    Ok(changes)
}

fn drop_leaf(view: &dyn View, seq: Seq, changes: &mut Changes) -> Result<(), ReadError> {
    let key = table::seq_key(seq);
    let missing = |table, key: &[u8]| Damaged::new(table, key, Fault::Missing);
    let leaf = read::leaf(view, seq)?.ok_or_else(|| missing(Table::Leaves, &key))?;
    changes.delete(Table::Bodies, Bytes::copy_from_slice(&key));
    changes.delete(Table::Leaves, Bytes::copy_from_slice(&key));
    if leaf.kind == kho_proto::leaf::LeafKind::Record {
        let id = leaf.record_id;
        let row = read::record_row(view, &id)?.ok_or_else(|| missing(Table::Records, id.as_ref()))?;
        if row.seq != seq {
            let fault = Fault::Content { expected: "the sequence number of its leaf" };
            return Err(Damaged::new(Table::Records, id.as_ref(), fault).into());
        }
        changes.delete(Table::Records, Bytes::copy_from_slice(id.as_ref()));
        drop_names(view, seq, changes)?;
        drop_record(&row, changes);
    }
    Ok(())
}

fn drop_record(row: &RecordRow, changes: &mut Changes) {
    let index = |role, unit| table::index_key(role, unit, &row.regime_token, &row.period, row.seq);
    changes.delete(Table::Index, index(Role::Sender, &row.unit_token));
    for receiver in &row.receiver_tokens {
        changes.delete(Table::Index, index(Role::Receiver, receiver));
    }
    changes.delete(Table::Series, table::series_key(&row.series_token, row.revision));
}

/// Calls `visit` with every row that starts with `prefix`, in order.
fn scan(
    view: &dyn View,
    table: Table,
    prefix: &[u8],
    mut visit: impl FnMut(Bytes, Bytes) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut at = prefix.to_vec();
    while let Some((key, value)) = view.at_or_after(table, prefix, &at)? {
        at.clear();
        at.extend_from_slice(&key);
        at.push(0);
        visit(key, value)?;
    }
    Ok(())
}

fn drop_keys(view: &dyn View, size: u64, changes: &mut Changes) -> Result<(), ReadError> {
    let mut dropped = BTreeSet::new();
    scan(view, Table::Keys, &[table::KEYS_BY_UNIT], |key, value| {
        let (_, generation) = split_key::<17, 4>(Table::Keys, &key)?;
        let row = DataKeyRow::decode(u32::from_be_bytes(generation), value);
        let row = row.map_err(|fault| Damaged::new(Table::Keys, &key, fault))?;
        if row.size_before >= size {
            dropped.insert(row.key_id);
            changes.delete(Table::Keys, key);
        }
        Ok(())
    })?;
    for id in &dropped {
        changes.delete(Table::Keys, table::key_by_id_key(id));
    }
    Ok(())
}

fn drop_certificates(view: &dyn View, size: u64, changes: &mut Changes) -> Result<(), ReadError> {
    scan(view, Table::Certificates, &[], |key, value| {
        let row = CertificateRow::decode(value).map_err(|fault| Damaged::new(Table::Certificates, &key, fault))?;
        if row.seq.0 >= size {
            changes.delete(Table::Certificates, key);
        }
        Ok(())
    })
}

/// Numbers and sizes grow together: from the last one back.
fn drop_crls(view: &dyn View, tip: &Tip, size: u64, changes: &mut Changes) -> Result<(), ReadError> {
    for version in (1..=tip.crl_version()).rev() {
        let key = table::crl_key(version);
        let row = read::crl(view, version)?.ok_or_else(|| Damaged::new(Table::Meta, &key, Fault::Missing))?;
        if row.size_before < size {
            break;
        }
        changes.delete(Table::Meta, key);
        changes.delete(Table::Meta, table::crl_of_key(&row.issuer, version));
    }
    Ok(())
}

/// The record names its attachments no more; the objects stay, if they came before.
fn drop_names(view: &dyn View, seq: Seq, changes: &mut Changes) -> Result<(), ReadError> {
    let names = read::attachments(view, seq)?.0;
    if names.is_empty() {
        return Ok(());
    }
    changes.delete(Table::Objects, table::attachments_key(seq));
    let unique: BTreeSet<_> = names.into_iter().map(|(id, _)| id).collect();
    for id in unique {
        changes.delete(Table::Objects, table::named_by_key(&id, seq));
    }
    Ok(())
}

/// Objects, chunks and marks that came after the leaf. What was complete before it has no younger chunk.
fn drop_objects(view: &dyn View, size: u64, changes: &mut Changes) -> Result<(), ReadError> {
    let mut after = None;
    while let Some((id, row)) = read::object_after(view, after.as_ref())? {
        let complete = read::complete_object(view, &id)?;
        if complete.is_none_or(|complete| complete.size_before >= size) {
            if complete.is_some() {
                changes.delete(Table::Objects, table::object_key(table::COMPLETE, &id));
            }
            if row.size_before >= size {
                changes.delete(Table::Objects, table::object_key(table::OBJECTS, &id));
            }
            scan(view, Table::Objects, &table::object_key(table::CHUNK_FACTS, &id), |key, value| {
                let facts = ChunkFacts::decode(value).map_err(|fault| Damaged::new(Table::Objects, &key, fault))?;
                if facts.size_before >= size {
                    let chunk = table::joined(&[&[table::CHUNKS], key.get(1..).unwrap_or_default()]);
                    changes.delete(Table::Objects, key);
                    changes.delete(Table::Objects, chunk);
                }
                Ok(())
            })?;
        }
        after = Some(id);
    }
    Ok(())
}

fn drop_tiles(from: u64, to: u64, changes: &mut Changes) {
    for level in 0u8.. {
        let (kept, full) = (full_tiles(u32::from(level), to), full_tiles(u32::from(level), from));
        if full == 0 {
            return;
        }
        for index in kept..full {
            changes.delete(Table::Tiles, Bytes::copy_from_slice(&table::tile_key(level, index)));
        }
    }
}

/// Entries end at sizes up to `size`, and one ends there, also when `size` lies inside an entry.
fn end_at(view: &dyn View, tip: &Tip, size: u64, changes: &mut Changes) -> Result<(), Error> {
    let mut at = Bytes::from_static(AFTER_ALL);
    while let Some((key, _)) = view.before(Table::Sizes, &[], &at).map_err(ReadError::from)? {
        if number_key(Table::Sizes, &key).map_err(ReadError::from)? <= size {
            break;
        }
        changes.delete(Table::Sizes, key.clone());
        at = key;
    }
    let key = table::size_key(size);
    if size > 0 && view.get(Table::Sizes, &key).map_err(ReadError::from)?.is_none() {
        let root = Prover::new(view, tip).root_at(size).map_err(|error| match error {
            prove::Error::Read(error) => Error::Read(error),
            _ => Error::Ahead { size, tip: tip.size() },
        })?;
        changes.put(Table::Sizes, Bytes::copy_from_slice(&key), SizeRow { root }.encode());
    }
    Ok(())
}
