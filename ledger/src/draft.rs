//! An entry while it is being applied: the view, overlaid with what its commands have changed so far.
//!
//! Whatever is looked up is kept, so that an entry with a thousand records of one unit reads its data key once.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::id::{KeyId, RecordId, Seq, Token, UnixMs};
use kho_proto::leaf::Leaf;
use kho_proto::merkle;

use crate::change::Changes;
use crate::overlay::Overlay;
use crate::read;
use crate::row::{Body, CertificateRow, CrlRow, Damaged, DataKeyRow, Fault, GenesisRow, INDEX_VALUE};
use crate::row::{KeyOwner, RecordRow, SeriesRow, SizeRow, TileRow};
use crate::table::{self, Role, Table};
use crate::tip::{Formed, Tip};
use crate::view::{ReadError, View};

pub(crate) struct Draft<'a> {
    view: &'a dyn View,
    tip: Tip,
    accepted_at: UnixMs,
    /// Leaves that the entry added, the first at `base`.
    leaves: Vec<Leaf>,
    base: u64,
    changes: Changes,
    records: BTreeMap<RecordId, Option<RecordRow>>,
    series: BTreeMap<Token, Option<SeriesRow>>,
    owners: BTreeMap<KeyId, Option<KeyOwner>>,
    generations: BTreeMap<Token, u32>,
    certificates: BTreeSet<(Token, Digest)>,
    crls: BTreeMap<Digest, Option<CrlRow>>,
    objects: Overlay<'a>,
}

/// The cached value, or the one that `read` finds.
fn cached<K: Ord, V>(
    map: &mut BTreeMap<K, V>,
    key: K,
    read: impl FnOnce() -> Result<V, ReadError>,
) -> Result<&V, ReadError> {
    match map.entry(key) {
        Entry::Occupied(entry) => Ok(entry.into_mut()),
        Entry::Vacant(entry) => Ok(entry.insert(read()?)),
    }
}

impl<'a> Draft<'a> {
    pub(crate) fn new(view: &'a dyn View, tip: &Tip, proposed_at_ms: u64) -> Self {
        Self {
            view,
            tip: tip.clone(),
            accepted_at: tip.last_accepted_at.max(UnixMs(proposed_at_ms)),
            leaves: Vec::new(),
            base: tip.size(),
            changes: Changes::default(),
            records: BTreeMap::new(),
            series: BTreeMap::new(),
            owners: BTreeMap::new(),
            generations: BTreeMap::new(),
            certificates: BTreeSet::new(),
            crls: BTreeMap::new(),
            objects: Overlay::new(view),
        }
    }

    pub(crate) fn tip(&self) -> &Tip {
        &self.tip
    }

    /// max(last, proposed): the same for all records of an entry, and a function of the rows below.
    pub(crate) fn accepted_at(&self) -> UnixMs {
        self.accepted_at
    }

    /// Index of the next leaf.
    pub(crate) fn next_seq(&self) -> Seq {
        Seq(self.tip.size())
    }

    pub(crate) fn record(&mut self, id: RecordId) -> Result<Option<&RecordRow>, ReadError> {
        let view = self.view;
        cached(&mut self.records, id, || read::record_row(view, &id)).map(Option::as_ref)
    }

    pub(crate) fn series_head(&mut self, series: Token) -> Result<Option<SeriesRow>, ReadError> {
        let view = self.view;
        cached(&mut self.series, series, || read::series_head(view, &series)).copied()
    }

    pub(crate) fn key_owner(&mut self, id: KeyId) -> Result<Option<KeyOwner>, ReadError> {
        let view = self.view;
        cached(&mut self.owners, id, || read::key_owner(view, &id)).copied()
    }

    /// Latest generation of a unit's data keys; 0: none.
    pub(crate) fn generation(&mut self, unit: Token) -> Result<u32, ReadError> {
        let view = self.view;
        let latest = || Ok(read::data_key(view, &unit)?.map_or(0, |key| key.generation));
        cached(&mut self.generations, unit, latest).copied()
    }

    pub(crate) fn has_certificate(&mut self, unit: Token, digest: Digest) -> Result<bool, ReadError> {
        if self.certificates.contains(&(unit, digest)) {
            return Ok(true);
        }
        let stored = self.view.get(Table::Certificates, &table::certificate_key(&unit, &digest))?.is_some();
        if stored {
            self.certificates.insert((unit, digest));
        }
        Ok(stored)
    }

    /// The newest list of revoked certificates of an authority.
    pub(crate) fn crl_head(&mut self, issuer: Digest) -> Result<Option<&CrlRow>, ReadError> {
        let view = self.view;
        cached(&mut self.crls, issuer, || read::crl_head(view, &issuer)).map(Option::as_ref)
    }

    /// A leaf that must be there, since a record row names it.
    pub(crate) fn leaf(&self, seq: Seq) -> Result<Leaf, ReadError> {
        let new = seq.0.checked_sub(self.base).and_then(|at| self.leaves.get(usize::try_from(at).ok()?));
        match new {
            Some(leaf) => Ok(*leaf),
            None => {
                let missing = || Damaged::new(Table::Leaves, &table::seq_key(seq), Fault::Missing);
                Ok(read::leaf(self.view, seq)?.ok_or_else(missing)?)
            }
        }
    }

    /// Appends a leaf and its body.
    pub(crate) fn append(&mut self, leaf: Leaf, body: &Body) -> Seq {
        let seq = self.next_seq();
        let key = Bytes::copy_from_slice(&table::seq_key(seq));
        let bytes = leaf.encode();
        let Self { tip, changes, .. } = self;
        changes.put(Table::Bodies, key.clone(), body.encode());
        changes.put(Table::Leaves, key, Bytes::copy_from_slice(&bytes));
        tip.edge.push(merkle::leaf_hash(&bytes), |level, index, hashes| {
            changes.put(Table::Tiles, Bytes::copy_from_slice(&table::tile_key(level, index)), TileRow::of(hashes));
        });
        tip.last_accepted_at = leaf.accepted_at;
        self.leaves.push(leaf);
        seq
    }

    pub(crate) fn put_genesis(&mut self, genesis: &GenesisRow) {
        self.changes.put(Table::Meta, table::GENESIS_KEY, genesis.encode());
        self.tip.genesis = Some(Formed::of(genesis));
    }

    pub(crate) fn put_record(&mut self, id: RecordId, row: RecordRow) {
        let index = |role, unit| table::index_key(role, unit, &row.regime_token, &row.period, row.seq);
        self.changes.put(Table::Records, Bytes::copy_from_slice(id.as_ref()), row.encode());
        self.changes.put(Table::Index, index(Role::Sender, &row.unit_token), INDEX_VALUE);
        for receiver in &row.receiver_tokens {
            self.changes.put(Table::Index, index(Role::Receiver, receiver), INDEX_VALUE);
        }
        let revision = SeriesRow { revision: row.revision, seq: row.seq, record_id: id };
        self.changes.put(Table::Series, table::series_key(&row.series_token, row.revision), revision.encode());
        self.series.insert(row.series_token, Some(revision));
        self.records.insert(id, Some(row));
    }

    pub(crate) fn put_data_key(&mut self, unit: Token, row: &DataKeyRow) {
        let owner = KeyOwner { unit_token: unit, generation: row.generation };
        self.changes.put(Table::Keys, table::key_by_unit_key(&unit, row.generation), row.encode());
        self.changes.put(Table::Keys, table::key_by_id_key(&row.key_id), owner.encode());
        self.owners.insert(row.key_id, Some(owner));
        self.generations.insert(unit, row.generation);
    }

    pub(crate) fn put_certificate(&mut self, unit: Token, digest: Digest, row: &CertificateRow) {
        self.changes.put(Table::Certificates, table::certificate_key(&unit, &digest), row.encode());
        self.certificates.insert((unit, digest));
    }

    pub(crate) fn put_crl(&mut self, row: CrlRow) {
        self.changes.put(Table::Meta, table::crl_key(row.version), row.encode());
        self.changes.put(Table::Meta, table::crl_of_key(&row.issuer, row.version), INDEX_VALUE);
        self.tip.crl_version = row.version;
        self.crls.insert(row.issuer, Some(row));
    }

    /// The table of objects.
    pub(crate) fn objects(&mut self) -> &mut Overlay<'a> {
        &mut self.objects
    }

    /// Closes the entry.
    pub(crate) fn finish(mut self) -> (Changes, Tip) {
        if !self.leaves.is_empty() {
            let row = SizeRow { root: self.tip.root() };
            let key = Bytes::copy_from_slice(&table::size_key(self.tip.size()));
            self.changes.put(Table::Sizes, key, row.encode());
        }
        self.objects.finish(&mut self.changes);
        (self.changes, self.tip)
    }
}
