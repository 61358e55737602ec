//! The catalogue of units and regimes.

use bytes::Bytes;
use kho_proto::id::{RecordId, Seq};
use kho_proto::pb::v1 as pb;

use crate::ask::ReadError;
use crate::client::Client;
use crate::list::Fresh;
use crate::nodes::{Node, Store};

/// What an entry is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CatalogueKind {
    /// A unit.
    Unit,
    /// A regime.
    Regime,
    /// What the nodes make of the other two.
    Policy,
}

/// Which entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogueQuery {
    /// Of this kind; none: all.
    pub kind: Option<CatalogueKind>,
    /// Of these codes; empty: all.
    pub codes: Vec<String>,
    /// Only the versions that count on this day, `2020-06-30`.
    pub on: Option<String>,
    /// Takes the state of whichever node answers.
    pub stale: bool,
}

/// A version of a unit, a regime or the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// What it is of.
    pub kind: CatalogueKind,
    /// Its code.
    pub code: String,
    /// It counts from this day on, until the next version's.
    pub effective_from: String,
    /// Canonical JSON: the payload of its record.
    pub document: Bytes,
    /// Where the record stands.
    pub sequence: Seq,
    /// The record: what a correction supersedes.
    pub record_id: RecordId,
    /// Of this day's version, from 1.
    pub revision: u32,
}

fn entry(entry: pb::CatalogueEntry, node: &Node) -> Result<CatalogueEntry, ReadError> {
    let wrong = |field, expected: &str, found: String| ReadError::Answer {
        address: node.address.clone(),
        field,
        expected: expected.to_owned(),
        found,
    };
    let kind = match entry.kind() {
        pb::CatalogueKind::Unit => CatalogueKind::Unit,
        pb::CatalogueKind::Regime => CatalogueKind::Regime,
        pb::CatalogueKind::Policy => CatalogueKind::Policy,
        pb::CatalogueKind::Any => return Err(wrong("kind", "UNIT, REGIME or POLICY", entry.kind.to_string())),
    };
    let id = RecordId::try_from(entry.record_id.as_ref());
    Ok(CatalogueEntry {
        kind,
        code: entry.code,
        effective_from: entry.effective_from,
        document: entry.document,
        sequence: Seq(entry.sequence),
        record_id: id.map_err(|error| wrong("record_id", "16 bytes", format!("{} bytes", error.found)))?,
        revision: entry.revision,
    })
}

impl Client {
    /// All entries that are asked for, kind by kind, in the order of their codes and days: of one moment.
    pub async fn catalogue(&self, query: &CatalogueQuery) -> Result<(Vec<CatalogueEntry>, Fresh), ReadError> {
        let kind = query.kind.map_or(pb::CatalogueKind::Any, |kind| match kind {
            CatalogueKind::Unit => pb::CatalogueKind::Unit,
            CatalogueKind::Regime => pb::CatalogueKind::Regime,
            CatalogueKind::Policy => pb::CatalogueKind::Policy,
        });
        let mut request = pb::CatalogueRequest {
            kind: kind.into(),
            codes: query.codes.clone(),
            on: query.on.clone().unwrap_or_default(),
            page_size: 1_000,
            page_token: Bytes::new(),
            stale: query.stale,
        };
        let (mut entries, mut floor) = (Vec::new(), self.receipts().held().floor());
        loop {
            let ask = |mut store: Store, request| async move { store.catalogue(request).await };
            let (page, node): (pb::CatalogueResponse, _) = self.ask(request.clone(), ask).await?;
            for found in page.entries {
                entries.push(entry(found, node)?);
            }
            // later pages are of the moment of the first
            let floor = std::mem::take(&mut floor);
            let fresh = Fresh::of(page.freshness, page.size, page.node_id).held(self, &floor, page.epoch, node).await?;
            if page.next_page_token.is_empty() {
                return Ok((entries, fresh));
            }
            request.page_token = page.next_page_token;
        }
    }
}
