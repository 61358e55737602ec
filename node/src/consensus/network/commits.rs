//! A commit that nothing but itself is to be sent for waits a little for the next entries and rides with them: under load
//! they come within a millisecond, and a message of its own costs both nodes as much as one with entries.

use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use openraft::raft::AppendEntriesRequest;
use tokio::time::Instant;

use crate::consensus::types::TypeConfig;

/// A commit waits so long: less than a follower's disk takes for an entry.
const RIDE_WAIT: Duration = Duration::from_millis(1);
/// It only waits if entries went out so shortly before: else nobody writes, and a reader of a follower may wait for it.
const BUSY: Duration = Duration::from_millis(5);

type Append = AppendEntriesRequest<TypeConfig>;

struct Ride<S> {
    input: S,
    /// What came and must go after what is sent.
    next: Option<Append>,
    entries_at: Option<Instant>,
}

/// The requests of `input` without those that say nothing but what the next one says as well.
///
/// A request that is left out is answered by the answer to the next: openraft takes one answer for all requests up to the
/// entry that it confirms.
pub(super) fn ride<S>(input: S) -> impl Stream<Item = Append> + Send
where
    S: Stream<Item = Append> + Send + Unpin,
{
    let ride = Ride { input: input.fuse(), next: None, entries_at: None };
    stream::unfold(ride, |mut ride| async move {
        let request = ride.next().await?;
        if !request.entries.is_empty() {
            ride.entries_at = Some(Instant::now());
        }
        Some((request, ride))
    })
}

impl<S: Stream<Item = Append> + Unpin> Ride<S> {
    async fn next(&mut self) -> Option<Append> {
        let request = match self.next.take() {
            Some(request) => request,
            None => self.input.next().await?,
        };
        if !request.entries.is_empty() || !self.entries_at.is_some_and(|at| at.elapsed() < BUSY) {
            return Some(request);
        }
        match tokio::time::timeout(RIDE_WAIT, self.input.next()).await {
            Ok(Some(next)) if covers(&next, &request) => Some(next),
            Ok(next) => {
                self.next = next;
                Some(request)
            }
            Err(_elapsed) => Some(request),
        }
    }
}

/// Whether `next` says all that `request` does, which carries no entries.
fn covers(next: &Append, request: &Append) -> bool {
    next.vote == request.vote && next.prev_log_id >= request.prev_log_id && next.leader_commit >= request.leader_commit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::types::{Entry, EntryBytes, Vote, log_id};
    use openraft::EntryPayload;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;

    fn append(prev: u64, entries: u64, commit: u64) -> Append {
        let entry = |index| Entry {
            log_id: log_id(1, index),
            payload: EntryPayload::Normal(EntryBytes(bytes::Bytes::from_static(b"entry"))),
        };
        AppendEntriesRequest {
            vote: Vote::new_committed(1, 1),
            prev_log_id: Some(log_id(1, prev)),
            leader_commit: Some(log_id(1, commit)),
            entries: (prev + 1..=prev + entries).map(entry).collect(),
        }
    }

    /// Index before the first entry, entries, and commit of what is sent, and when, in milliseconds.
    async fn sent(steps: Vec<(u64, Append)>) -> Vec<(u64, usize, u64, u128)> {
        let (sender, receiver) = mpsc::channel(8);
        let begun = Instant::now();
        tokio::spawn(async move {
            for (at, request) in steps {
                tokio::time::sleep_until(begun + Duration::from_millis(at)).await;
                sender.send(request).await.expect("the stream is read to its end");
            }
        });
        let index = |id: Option<crate::consensus::types::LogId>| id.map_or(0, |id| id.index());
        ride(ReceiverStream::new(receiver))
            .map(|request| {
                let (prev, commit) = (index(request.prev_log_id), index(request.leader_commit));
                (prev, request.entries.len(), commit, begun.elapsed().as_millis())
            })
            .collect()
            .await
    }

    #[tokio::test(start_paused = true)]
    async fn under_load_a_commit_rides_with_the_next_entries() {
        let found = sent(vec![(0, append(4, 1, 4)), (2, append(5, 0, 5)), (2, append(5, 2, 5))]).await;
        assert_eq!(found, [(4, 1, 4, 0), (5, 2, 5, 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_waits_no_longer_than_it_must() {
        let found = sent(vec![(0, append(4, 1, 4)), (2, append(5, 0, 5)), (4, append(5, 1, 5))]).await;
        assert_eq!(found, [(4, 1, 4, 0), (5, 0, 5, 3), (5, 1, 5, 4)], "the entries were too late");
        let found = sent(vec![(0, append(4, 1, 4)), (20, append(5, 0, 5)), (21, append(5, 1, 5))]).await;
        assert_eq!(found, [(4, 1, 4, 0), (5, 0, 5, 20), (5, 1, 5, 21)], "nobody writes");
        let found = sent(vec![(0, append(4, 1, 4)), (2, append(5, 0, 5))]).await;
        assert_eq!(found, [(4, 1, 4, 0), (5, 0, 5, 2)], "the stream ended");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_next_one_does_not_say_goes_out() {
        // a leader that starts again from an older place
        let found = sent(vec![(0, append(4, 1, 4)), (2, append(5, 0, 5)), (2, append(3, 1, 5))]).await;
        assert_eq!(found, [(4, 1, 4, 0), (5, 0, 5, 2), (3, 1, 5, 2)]);
        let found = sent(vec![(0, append(4, 1, 4)), (2, append(5, 0, 5)), (2, append(5, 1, 4))]).await;
        assert_eq!(found, [(4, 1, 4, 0), (5, 0, 5, 2), (5, 1, 4, 2)]);
    }
}
