//! Records of one message: each goes its own way up to the log, and those that are left go there together, in their order.

use std::collections::HashMap;

use kho_proto::error::{Code, Refusal};
use kho_proto::pb::ledger::v1::Command;
use kho_proto::pb::v1::{Header, SignedRecord};
use prost::Message;
use tracing::Instrument;

use super::batch::{ENTRY_BYTES_MAX, ENTRY_COMMANDS_MAX};
use super::metric_definitions::Hop;
use super::{Acknowledged, Charge, Deadline, Prepared, Writer, batch, entry};
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

/// Which record of a message corrects which, by their places.
#[derive(Default)]
struct Revisions(HashMap<usize, usize>);

impl Revisions {
    fn of(records: &[(usize, SignedRecord)]) -> Self {
        let mut places = HashMap::new();
        let mut corrected = HashMap::new();
        for (place, record) in records {
            // one that does not decode was refused before
            let Ok(header) = Header::decode(record.header.clone()) else { continue };
            corrected.extend(places.get(&header.supersedes).map(|first| (*place, *first)));
            places.insert(header.record_id, *place);
        }
        Self(corrected)
    }

    /// The place of the record that the one at this place corrects, if it is an earlier one of the message.
    fn corrected_by(&self, place: usize) -> Option<usize> {
        self.0.get(&place).copied()
    }
}

fn is(outcome: &Option<Outcome>, code: Code) -> bool {
    matches!(outcome, Some(Err(refusal)) if refusal.code == code)
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
        let mut proposed = Vec::new();
        for (place, record) in records.into_iter().enumerate() {
            let prepared = match record {
                Ok(record) => {
                    let span = tracing::debug_span!("submit", node = self.node.0, record = tracing::field::Empty);
                    let prepared = self.prepare(identity, record.clone(), deadline, Charge::Due).instrument(span).await;
                    proposed.push((place, record));
                    prepared
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
        self.judge_again(identity, proposed, deadline, &mut outcomes).await;
        outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| Err(super::ProposeError::Unknown.into())))
            .collect()
    }

    /// What was refused for a reason that has gone by now, or that another record of the message has. In order: a correction
    /// comes after what it corrects.
    async fn judge_again(
        &self,
        identity: &Identity,
        proposed: Vec<(usize, SignedRecord)>,
        deadline: Deadline,
        outcomes: &mut [Option<Outcome>],
    ) {
        // a message of which all is taken is not looked at any further
        let revisions = if proposed.iter().any(|(place, _)| is(&outcomes[*place], Code::SupersedesUnknown)) {
            Revisions::of(&proposed)
        } else {
            Revisions::default()
        };
        for (place, record) in proposed {
            let corrected = revisions.corrected_by(place).and_then(|place| outcomes[place].as_ref());
            let again = match (&outcomes[place], corrected) {
                // a list of revoked certificates came in between: each is judged again, for itself
                (Some(Err(refusal)), _) if refusal.code == Code::VerdictOutdated => true,
                (Some(Err(refusal)), Some(Ok(_))) if refusal.code == Code::SupersedesUnknown => true,
                (Some(Err(refusal)), Some(Err(first)))
                    if refusal.code == Code::SupersedesUnknown && first.code.retry() =>
                {
                    outcomes[place] = Some(Err(first.clone()));
                    false
                }
                _ => false,
            };
            if again {
                outcomes[place] = Some(match self.catch_up(deadline).await {
                    Ok(()) => self.submit_charged(identity, record, deadline, Charge::Paid).await,
                    Err(refusal) => Err(refusal),
                });
            }
        }
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
