//! Which reports an outbox has taken: the same report added again is no second record. `DIR/add.state`.
//!
//! A report's id is written, and synced, before the outbox takes its record; that it is done with, afterwards. Whatever ends an
//! add between the two, the next one finds the record in the outbox under that id. What was delivered stays done with when the
//! outbox has it no longer. What is refused is not in: once it is forgotten, the same report is signed anew, under its id.

use std::path::Path;
use std::time::Duration;

use kho_client::{OutboxError, System};
use kho_proto::id::RecordId;
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

    /// What a report is known by, and its id.
    pub fn know(&mut self, report: &Report) -> (Key, RecordId) {
        let key = self.ids.key(report, &[]);
        (key, self.state.id(key, report.id.unwrap_or_else(|| fresh_id(&System))))
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

    /// These are refused, and about to be forgotten: they are not in.
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
