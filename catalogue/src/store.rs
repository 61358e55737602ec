//! Entries of a log, in memory: which version of which unit and regime counts on a day, as of a size of the log.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use kho_proto::id::{RecordId, Seq};

use crate::day::Day;
use crate::document::{Kind, PolicyDocument, UnitDocument};
use crate::entry::{Entry, POLICY_CODE};
use crate::regime::Regime;

/// Codes of units and regimes, at most: the country has some 12,000 units.
pub const CODES_MAX: usize = 20_000;
/// Versions of one code, corrections too, at most.
pub const VERSIONS_MAX: usize = 256;
/// Bytes of all documents, at most; in memory they take a few times as much.
pub const BYTES_MAX: usize = 48 << 20;

/// An entry where it stands in the log.
#[derive(Debug, Clone)]
pub struct Version {
    /// The day from which it counts.
    pub effective_from: Day,
    /// Its leaf.
    pub seq: Seq,
    /// Its record.
    pub record_id: RecordId,
    /// Of this day's entry, from 1.
    pub revision: u32,
    /// Canonical JSON.
    pub document: Bytes,
    /// What it says.
    pub entry: Arc<Entry>,
}

/// Why there is no room for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Too many codes.
    #[error("the catalogue has {CODES_MAX} codes already")]
    Codes,
    /// Too many versions of one code.
    #[error("the code has {VERSIONS_MAX} versions already")]
    Versions,
    /// Too many bytes.
    #[error("the catalogue has {BYTES_MAX} bytes already")]
    Bytes,
}

/// The catalogue of a log. Versions stay in the order of their days, then of their revisions.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    entries: BTreeMap<(Kind, String), Vec<Version>>,
    bytes: usize,
}

impl Catalogue {
    /// Puts an entry in. A version that is there already stays as it is.
    pub fn insert(&mut self, version: Version) {
        let key = (version.entry.kind(), version.entry.code().to_owned());
        let versions = self.entries.entry(key).or_default();
        let order = |version: &Version| (version.effective_from, version.revision);
        if let Err(place) = versions.binary_search_by_key(&order(&version), order) {
            self.bytes += version.document.len();
            versions.insert(place, version);
        }
    }

    /// Whether another version has room.
    pub fn room_for(&self, entry: &Entry, length: usize) -> Result<(), Full> {
        match self.entries.get(&(entry.kind(), entry.code().to_owned())) {
            None if self.entries.len() >= CODES_MAX => Err(Full::Codes),
            Some(versions) if versions.len() >= VERSIONS_MAX => Err(Full::Versions),
            _ if self.bytes + length > BYTES_MAX => Err(Full::Bytes),
            _ => Ok(()),
        }
    }

    /// Whether it has a version.
    pub fn has(&self, seq: Seq, kind: Kind, code: &str) -> bool {
        self.versions(kind, code).iter().any(|version| version.seq == seq)
    }

    /// All versions of a code, corrected ones too, in the order of their days.
    pub fn versions(&self, kind: Kind, code: &str) -> &[Version] {
        self.entries.get(&(kind, code.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Codes behind one, in order.
    pub fn codes(&self, kind: Kind, after: Option<&str>) -> impl Iterator<Item = &str> {
        let from =
            after.map_or(Bound::Included((kind, String::new())), |after| Bound::Excluded((kind, after.to_owned())));
        let entries = self.entries.range((from, Bound::Unbounded));
        entries
            .map(|((kind, code), _)| (kind, code))
            .take_while(move |(of, _)| **of == kind)
            .map(|(_, code)| code.as_str())
    }

    /// The latest revision of each day's version of a code, among the first `size` leaves.
    pub fn latest(&self, kind: Kind, code: &str, size: u64) -> impl Iterator<Item = &Version> {
        let mut versions = self.versions(kind, code).iter().filter(move |version| version.seq.0 < size).peekable();
        std::iter::from_fn(move || {
            let mut version = versions.next()?;
            while let Some(next) = versions.next_if(|next| next.effective_from == version.effective_from) {
                version = next;
            }
            Some(version)
        })
    }

    /// The version that counts on a day.
    pub fn on(&self, kind: Kind, code: &str, day: Day, size: u64) -> Option<&Version> {
        let versions = self.versions(kind, code).iter();
        versions.rev().find(|version| version.seq.0 < size && version.effective_from <= day)
    }

    /// Whether there is a version of any day.
    pub fn knows(&self, kind: Kind, code: &str, size: u64) -> bool {
        self.versions(kind, code).iter().any(|version| version.seq.0 < size)
    }

    /// The unit as of a day, whether valid or not.
    pub(crate) fn unit(&self, code: &str, day: Day, size: u64) -> Option<(&UnitDocument, bool)> {
        match &*self.on(Kind::Unit, code, day, size)?.entry {
            Entry::Unit(document, valid) => Some((document, within(*valid, day))),
            Entry::Regime(_) | Entry::Policy(_) => None,
        }
    }

    /// The regime as of a day, whether valid or not.
    pub(crate) fn regime(&self, code: &str, day: Day, size: u64) -> Option<(&Regime, bool)> {
        match &*self.on(Kind::Regime, code, day, size)?.entry {
            Entry::Regime(regime) => Some((regime, within(regime.valid, day))),
            Entry::Unit(..) | Entry::Policy(_) => None,
        }
    }

    fn policy(&self, day: Day, size: u64) -> Option<&PolicyDocument> {
        match &*self.on(Kind::Policy, POLICY_CODE, day, size)?.entry {
            Entry::Policy(document) => Some(document),
            Entry::Unit(..) | Entry::Regime(_) => None,
        }
    }

    /// Whether reports for periods that end on a day must be as the catalogue has it.
    pub fn is_enforced(&self, day: Day, size: u64) -> bool {
        self.policy(day, size).is_some_and(|policy| policy.enforced)
    }
}

fn within((from, to): (Option<Day>, Option<Day>), day: Day) -> bool {
    from.is_none_or(|from| from <= day) && to.is_none_or(|to| day <= to)
}
