//! Records of one message: each goes its own way up to the log, and those that are left go there together, in their order.

use kho_proto::error::Refusal;
use kho_proto::pb::ledger::v1::Command;
use kho_proto::pb::v1::SignedRecord;
use tracing::Instrument;

use super::batch::{ENTRY_BYTES_MAX, ENTRY_COMMANDS_MAX};
use super::metric_definitions::Hop;
use super::{Acknowledged, Deadline, Prepared, Writer, batch, entry};
use crate::identity::Identity;

/// One record's outcome.
type Outcome = Result<Acknowledged, Refusal>;

/// Commands that go to the log together, each with the place of its record in the message.
#[derive(Default)]
struct Group {
    places: Vec<usize>,
    commands: Vec<Command>,
    bytes: usize,
}

impl Group {
    fn has_room(&self, bytes: usize) -> bool {
        self.commands.is_empty() || self.commands.len() < ENTRY_COMMANDS_MAX && self.bytes + bytes <= ENTRY_BYTES_MAX
    }

    fn push(&mut self, place: usize, command: Command, bytes: usize) {
        self.places.push(place);
        self.commands.push(command);
        self.bytes += bytes;
    }
}

impl Writer {
    /// One outcome per record, in order. What is refused already is passed on; a refusal touches its own record only.
    ///
    /// A group is proposed after the one before it was answered: a record may supersede an earlier one of its message.
    pub async fn submit_many(
        &self,
        identity: &Identity,
        records: Vec<Result<SignedRecord, Refusal>>,
        deadline: Deadline,
    ) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = records.iter().map(|_| None).collect();
        let mut group = Group::default();
        for (place, record) in records.into_iter().enumerate() {
            let prepared = match record {
                Ok(record) => {
                    let span = tracing::debug_span!("submit", node = self.node.0, record = tracing::field::Empty);
                    self.prepare(identity, record, deadline).instrument(span).await
                }
                Err(refusal) => Err(refusal),
            };
            match prepared {
                Err(refusal) => outcomes[place] = Some(Err(refusal)),
                Ok(Prepared::Known(receipt)) => {
                    outcomes[place] = Some(Ok(Acknowledged { receipt, duplicate: true }));
                }
                Ok(Prepared::Sealed(sealed)) => {
                    let command = sealed.into_command();
                    let bytes = entry::length(&command);
                    if !group.has_room(bytes) {
                        self.propose_group(std::mem::take(&mut group), deadline, &mut outcomes).await;
                    }
                    group.push(place, command, bytes);
                }
            }
            // a record costs a signature check: other requests of this thread get their turn in between
            tokio::task::yield_now().await;
        }
        self.propose_group(group, deadline, &mut outcomes).await;
        outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| Err(super::ProposeError::Unknown.into())))
            .collect()
    }

    async fn propose_group(&self, group: Group, deadline: Deadline, outcomes: &mut [Option<Outcome>]) {
        let Group { places, commands, .. } = group;
        if commands.is_empty() {
            return;
        }
        let proposed = self.queue.propose_all(commands, batch::Hop::Client, deadline);
        match Hop::Propose.time_async(proposed).await {
            Ok(answers) => {
                for (place, answer) in places.into_iter().zip(answers) {
                    outcomes[place] = Some(answer.try_into());
                }
            }
            Err(error) => {
                for place in places {
                    outcomes[place] = Some(Err(error.clone().into()));
                }
            }
        }
    }
}
