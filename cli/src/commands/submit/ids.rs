//! What a report is known by from run to run, and the ids that reports are given.

use std::collections::HashMap;

use kho_client::Surroundings;
use kho_proto::digest::Digester;
use kho_proto::id::RecordId;
use kho_proto::report::Report;

use super::super::attachment::Attached;
use super::state::Key;

/// How many reports of the same content came in this run.
#[derive(Default)]
pub struct Ids {
    alike: HashMap<[u8; 32], u32>,
}

impl Ids {
    /// What a report is known by in the state: all that it says, and the files that go with it. Without an id of its own the same
    /// once more is another report.
    pub fn key(&mut self, report: &Report, attached: &[Attached]) -> Key {
        let mut digester = Digester::default();
        let id = |id: Option<RecordId>| id.map(|id| id.to_string()).unwrap_or_default();
        let receivers = report.receivers.iter().map(|unit| unit.as_str()).collect::<Vec<_>>().join(" ");
        let (own, supersedes, period) = (id(report.id), id(report.supersedes), report.period.to_string());
        let (unit, regime) = (report.unit.as_str(), report.regime.as_str());
        let mut part = |part: &str| {
            digester.update(&(part.len() as u64).to_be_bytes());
            digester.update(part.as_bytes());
        };
        for text in [&own, unit, regime, &period, &report.series, &supersedes, &receivers, &report.media_type] {
            part(text);
        }
        for Attached { attachment, .. } in attached {
            part(&attachment.name);
            part(&attachment.digest.to_string());
        }
        digester.update(&report.payload);
        let digest = digester.finish();
        if report.id.is_some() {
            return (digest, 0);
        }
        let alike = self.alike.entry(digest.0).or_default();
        *alike += 1;
        (digest, *alike - 1)
    }
}

/// An id for a report that has none.
pub fn fresh_id(surroundings: &dyn Surroundings) -> RecordId {
    let mut random = [0; 10];
    surroundings.fill(&mut random);
    RecordId::new_v7(surroundings.now().0, &random)
}
