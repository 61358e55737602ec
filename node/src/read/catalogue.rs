//! The catalogue, to everybody with a role.

use std::sync::Arc;

use bytes::Bytes;
use kho_catalogue::{Catalogue, Day, Kind, Version};
use kho_ledger::select::Budget;
use kho_proto::error::{Code, Refusal, excerpt};
use kho_proto::pb::v1::{self as pb, CatalogueEntry, Freshness};
use prost::Message;

use super::Reader;
use super::list::{PAGE_BYTES_MAX, page_size};
use super::page::{Call, Page, Place, binding};
use crate::catalogue::{Follower, missing};
use crate::identity::{Identity, Role};
use crate::write::Deadline;

/// Codes that a request may name.
pub(super) const CODES_MAX: usize = 1_000;

/// Entries of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Entries {
    /// Of a page.
    pub entries: Vec<CatalogueEntry>,
    /// Where to go on; empty: that was all.
    pub next: Bytes,
    /// Leaves of the log that all pages reflect.
    pub size: u64,
    /// How new it is.
    pub freshness: Freshness,
}

pub(super) fn wrong(field: &str, expected: impl Into<String>, found: impl Into<String>) -> Refusal {
    Refusal::new(Code::RequestMalformed, format!("{field} breaks its rule")).expected_found(expected, found)
}

fn kinds(kind: i32) -> Result<Vec<Kind>, Refusal> {
    Ok(match pb::CatalogueKind::try_from(kind) {
        Ok(pb::CatalogueKind::Any) => Kind::ALL.to_vec(),
        Ok(pb::CatalogueKind::Unit) => vec![Kind::Unit],
        Ok(pb::CatalogueKind::Regime) => vec![Kind::Regime],
        Ok(pb::CatalogueKind::Policy) => vec![Kind::Policy],
        Err(_) => return Err(wrong("kind", "ANY, UNIT, REGIME or POLICY", kind.to_string())),
    })
}

fn wire(version: &Version) -> CatalogueEntry {
    let kind = match version.entry.kind() {
        Kind::Unit => pb::CatalogueKind::Unit,
        Kind::Regime => pb::CatalogueKind::Regime,
        Kind::Policy => pb::CatalogueKind::Policy,
    };
    CatalogueEntry {
        kind: kind.into(),
        code: version.entry.code().to_owned(),
        effective_from: version.entry.effective_from().to_owned(),
        document: version.document.clone(),
        sequence: version.seq.0,
        record_id: Bytes::copy_from_slice(version.record_id.as_ref()),
        revision: version.revision,
    }
}

struct Question {
    kinds: Vec<Kind>,
    codes: Vec<String>,
    on: Option<Day>,
    most: usize,
}

impl Question {
    /// Entries behind a kind and code, and the last kind and code if there are more.
    fn answer(
        &self,
        catalogue: &Catalogue,
        size: u64,
        after: Option<(Kind, &str)>,
    ) -> (Vec<CatalogueEntry>, Option<(Kind, String)>) {
        let (mut entries, mut bytes, mut last) = (Vec::new(), 0, None);
        for kind in &self.kinds {
            let behind = match after {
                Some((of, _)) if of > *kind => continue,
                Some((of, code)) if of == *kind => Some(code),
                _ => None,
            };
            for code in catalogue.codes(*kind, behind) {
                if !self.codes.is_empty() && !self.codes.iter().any(|asked| asked == code) {
                    continue;
                }
                // the versions of a code stay together: there are few
                if entries.len() >= self.most || bytes >= PAGE_BYTES_MAX {
                    return (entries, last);
                }
                let versions: Vec<&Version> = match self.on {
                    Some(day) => catalogue.on(*kind, code, day, size).into_iter().collect(),
                    None => catalogue.latest(*kind, code, size).collect(),
                };
                for entry in versions.into_iter().map(wire) {
                    bytes += entry.encoded_len();
                    entries.push(entry);
                }
                last = Some((*kind, code.to_owned()));
            }
        }
        (entries, None)
    }
}

impl Reader {
    pub(super) fn follower(&self) -> Result<&Arc<Follower>, Refusal> {
        self.catalogue.as_ref().ok_or_else(missing)
    }

    /// Entries of the catalogue, kind by kind, in the order of their codes and days.
    pub async fn catalogue(
        &self,
        identity: &Identity,
        request: pb::CatalogueRequest,
        deadline: Deadline,
    ) -> Result<Entries, Refusal> {
        let keyed = self.keyed()?;
        identity.party()?.require(&[Role::Submitter, Role::Reader, Role::Auditor, Role::Operator])?;
        let kinds = kinds(request.kind)?;
        if request.codes.len() > CODES_MAX {
            return Err(wrong("codes", format!("at most {CODES_MAX}"), request.codes.len().to_string()));
        }
        let on = match &request.on[..] {
            "" => None,
            day => Some(day.parse().map_err(|_| wrong("on", "a day such as 2020-06-30", excerpt(day)))?),
        };
        let most = page_size(request.page_size)?;
        let bound = pb::CatalogueRequest { page_size: 0, page_token: Bytes::new(), stale: false, ..request.clone() };
        let binding = binding(Call::Catalogue, &bound.encode_to_vec(), &[]);
        let page = match &request.page_token[..] {
            [] => None,
            token => Some(Page::admit(&keyed.pages, token, binding, self.clock.now())?),
        };
        let follower = self.follower()?;
        let start = self.start(page.as_ref(), request.stale, deadline).await?.open()?;
        let known = follower.known().await?;
        let after = page
            .and_then(|page| page.place.read_names())
            .and_then(|[kind, code]: [String; 2]| Some((Kind::ALL.into_iter().find(|of| of.as_str() == kind)?, code)));
        let question = Question { kinds, codes: request.codes, on, most };
        let size = start.moment.size;
        // a million documents are looked through like a list, away from the threads that serve requests
        let answer = move |_: &mut Budget<'_>| {
            let after = after.as_ref().map(|(kind, code)| (*kind, code.as_str()));
            Ok(question.answer(&known.catalogue, size, after))
        };
        let (entries, last) = self.scans.run(identity.certificate(), deadline, answer).await?;
        let next = last.map(|(kind, code)| {
            let place = Place::names(&[kind.as_str(), &code]);
            Page { moment: start.moment, binding, place }.encode(&keyed.pages)
        });
        Ok(Entries { entries, next: next.unwrap_or_default(), size: start.moment.size, freshness: start.freshness })
    }
}
