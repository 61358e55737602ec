//! Which reports an outbox has taken: the same report added again is no second record. `DIR/add.state`.
//!
//! A report's id is written, and synced, before the outbox takes its record; that it is done with, afterwards. Whatever ends an
//! add between the two, the next one finds the record in the outbox under that id, and so does an export that forgets it. What was
//! delivered stays done with when the outbox has it no longer; so does what is refused and may be in. What is refused and certainly
//! is not: once it is forgotten, the same report is signed anew, under its id.
//!
//! Who needs this and the outbox takes this first: whoever waits for it has not the outbox that its holder needs to end.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use kho_client::{OutboxError, System};
use kho_proto::header::Header;
use kho_proto::id::RecordId;
use kho_proto::pb::v1::SignedRecord;
use kho_proto::report::Report;

use crate::commands::submit::{Ids, Key, Kind, OpenError, State, fresh_id};
use crate::exit::Result;

const NAME: &str = "add.state";

/// An export needs it for a moment; an add has it as long as it reads.
const WAIT: Duration = Duration::from_secs(5);

/// The account of one outbox.
pub struct Taken {
    state: State,
    ids: Ids,
}

impl Taken {
    /// Opens it, and makes it where there is none.
    pub async fn open(dir: &Path) -> std::result::Result<Self, OutboxError> {
        let opened = State::open_within(&dir.join(NAME), Kind::Outbox, WAIT).await;
        Ok(Self { state: opened.map_err(|error| not_open(dir, error))?, ids: Ids::default() })
    }

    /// The same, but none where there is none: nothing was added here.
    pub async fn open_existing(dir: &Path) -> std::result::Result<Option<Self>, OutboxError> {
        let path = dir.join(NAME);
        match path.try_exists() {
            Ok(true) => Self::open(dir).await.map(Some),
            Ok(false) => Ok(None),
            Err(source) => Err(OutboxError::File { path, source }),
        }
    }

    /// What a report is known by, and its id.
    pub fn know(&mut self, report: &Report) -> (Key, RecordId) {
        let key = self.ids.key(report, &[]);
        (key, self.state.id(key, report.id.unwrap_or_else(|| fresh_id(&System))))
    }

    /// Reports that were not taken, or whose add was ended before it wrote that down.
    pub fn begun(&self) -> HashMap<RecordId, Vec<Key>> {
        self.state.begun()
    }

    /// The outbox has this record: of these reports the one that it was made of was taken. One that was edited under an id of its own
    /// was not.
    pub fn took(&mut self, keys: &[Key], record: &SignedRecord) -> Result {
        let header = Header::decode(&record.header)?;
        let named = Report {
            id: Some(header.record_id),
            unit: header.unit,
            regime: header.regime,
            period: header.period,
            series: header.series,
            supersedes: header.supersedes,
            receivers: header.receivers,
            media_type: header.media_type,
            payload: record.payload.clone(),
        };
        let nameless = Report { id: None, ..named.clone() };
        let said = [named, nameless].map(|report| Ids::default().key(&report, &[]).0);
        keys.iter().filter(|(digest, _)| said.contains(digest)).for_each(|key| self.state.done(*key));
        Ok(())
    }

    /// Whether it was taken, and was not refused and forgotten since.
    pub fn has(&self, key: Key) -> bool {
        self.state.is_done(key)
    }

    /// These were taken.
    pub fn take(&mut self, keys: impl IntoIterator<Item = Key>) -> Result {
        keys.into_iter().for_each(|key| self.state.done(key));
        self.sync()
    }

    /// These are refused, certainly not in, and about to be forgotten.
    pub fn give_back(&mut self, ids: &[RecordId]) -> Result {
        self.state.reopen(ids);
        self.sync()
    }

    /// When this returns, the ids outlive a power cut.
    pub fn sync(&mut self) -> Result {
        self.state.sync()
    }
}

/// It is a part of the outbox, and so are its errors.
fn not_open(dir: &Path, error: OpenError) -> OutboxError {
    let path = dir.to_owned();
    match error {
        OpenError::Held { .. } => OutboxError::Locked { path, holder: "another kho outbox add".to_owned() },
        OpenError::File { path, source } => OutboxError::File { path, source },
        other @ (OpenError::Other { .. } | OpenError::Line { .. }) => {
            OutboxError::Damaged { path, what: other.to_string() }
        }
    }
}

#[cfg(test)]
mod tests {
    use kho_proto::error::Code;

    use super::*;

    #[test]
    fn its_errors_are_the_outboxs() {
        let path = || Path::new("dir/add.state").to_owned();
        let kind = Kind::Outbox;
        for (error, code) in [
            (OpenError::Held { path: path(), kind }, Code::OutboxLocked),
            (OpenError::File { path: path(), source: std::io::Error::other("it") }, Code::OutboxStorageFailed),
            (OpenError::Other { path: path(), kind }, Code::OutboxDamaged),
            (OpenError::Line { path: path(), line: 2 }, Code::OutboxDamaged),
        ] {
            assert_eq!(not_open(Path::new("dir"), error).code(), code);
        }
    }
}
