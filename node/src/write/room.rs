//! Room for records in clear: from the wire until they are answered. The queue before the log has its own bound; this one
//! holds what has not got there yet, and what streams have read ahead.

use std::sync::Arc;

use kho_proto::error::{Code, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::metric_definitions::ROOM_REFUSED;

/// Room is counted in such units, so that it fits the semaphore's permits.
const UNIT: usize = 1 << 10;
/// Whatever its payload, a record costs its header, its certificates and a task.
const RECORD_UNITS_MIN: u32 = 4;

/// Of so many parts of the room...
const PARTS: u32 = 4;
/// ...streams may have these. Streams wait, and whoever waits is served first: without the rest, calls would be refused for
/// as long as streams have more to send.
const STREAM_PARTS: u32 = 3;
/// As many again may wait for it: what a stream has read and has no room for takes memory all the same.
const WAITING_PARTS: u32 = 2;

/// Bytes that records may take on this node.
#[derive(Clone)]
pub struct Room {
    places: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    units: u32,
}

/// Given back when dropped.
#[derive(Debug)]
pub struct Taken {
    _place: OwnedSemaphorePermit,
    _stream: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX);
        let semaphore = |units: u32| Arc::new(Semaphore::new(units as usize));
        Self {
            places: semaphore(units),
            streams: semaphore(parts(units, STREAM_PARTS)),
            waiting: semaphore(parts(units, WAITING_PARTS)),
            units,
        }
    }

    /// A message larger than all room takes all of it.
    fn units(&self, bytes: usize, records: usize) -> u32 {
        let least = u32::try_from(records).unwrap_or(u32::MAX).saturating_mul(RECORD_UNITS_MIN);
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(least).min(self.units)
    }

    /// For a call whose sender waits: now, or it is refused.
    pub fn take(&self, bytes: usize, records: usize) -> Result<Taken, Refusal> {
        let place = self.places.clone().try_acquire_many_owned(self.units(bytes, records)).map_err(|_| full())?;
        Ok(Taken { _place: place, _stream: None })
    }

    /// For a stream, which is not read any further until there is room. Where too much waits already, `overloaded` at once.
    pub async fn wait(&self, bytes: usize) -> Result<Taken, Refusal> {
        let units = self.units(bytes, 1).min(parts(self.units, STREAM_PARTS));
        let mut waits = None;
        // first among the streams: what is left for calls is not waited for
        let stream = self.in_turn(&self.streams, units, &mut waits).await?;
        let place = self.in_turn(&self.places, units, &mut waits).await?;
        Ok(Taken { _place: place, _stream: Some(stream) })
    }

    /// From one of both, now or when it is there; what `waits` is counted once.
    async fn in_turn(
        &self,
        of: &Arc<Semaphore>,
        units: u32,
        waits: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<OwnedSemaphorePermit, Refusal> {
        if let Ok(taken) = of.clone().try_acquire_many_owned(units) {
            return Ok(taken);
        }
        if waits.is_none() {
            let most = parts(self.units, WAITING_PARTS);
            *waits = Some(self.waiting.clone().try_acquire_many_owned(units.min(most)).map_err(|_| full())?);
        }
        let closed = |_| Refusal::new(Code::NodeStopping, "the node is shutting down");
        of.clone().acquire_many_owned(units).await.map_err(closed)
    }
}

fn full() -> Refusal {
    metrics::counter!(ROOM_REFUSED).increment(1);
    let mut refusal = Refusal::new(Code::Overloaded, "too many bytes of records are on their way");
    refusal.retry_after = Some(super::batch::RETRY_AFTER_OVERLOAD);
    refusal
}

/// So many parts of the room.
fn parts(units: u32, many: u32) -> u32 {
    (units / PARTS * many).max(1)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_call_is_refused_where_a_stream_waits() {
        let room = Room::new(100 * UNIT);
        let first = room.take(90 * UNIT, 1).unwrap();
        let refusal = room.take(20 * UNIT, 1).unwrap_err();
        assert_eq!(refusal.code, Code::Overloaded);
        assert!(refusal.retry_after.is_some());
        let waiting = room.wait(20 * UNIT);
        tokio::pin!(waiting);
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(first);
        drop(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn calls_have_room_beside_streams_that_wait_for_more() {
        let room = Room::new(100 * UNIT);
        let mut held = Vec::new();
        let mut waiting = Box::pin(room.wait(10 * UNIT));
        while let Some(taken) = waiting.as_mut().now_or_never() {
            held.push(taken.unwrap());
            waiting = Box::pin(room.wait(10 * UNIT));
        }
        assert_eq!(held.len(), 7, "three quarters");
        drop(room.take(25 * UNIT, 1).unwrap());
        held.pop();
        drop(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_served_in_its_turn() {
        let room = Room::new(100 * UNIT);
        let all = room.take(100 * UNIT, 1).unwrap();
        let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(room.wait(10 * UNIT))).collect();
        assert!(waiting.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        let refusal = room.wait(10 * UNIT).now_or_never().expect("at once").unwrap_err();
        assert_eq!(refusal.code, Code::Overloaded, "half as much as there is room waits already");
        assert!(refusal.retry_after.is_some());
        drop(waiting.pop());
        waiting.push(Box::pin(room.wait(10 * UNIT)));
        assert!(waiting.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        drop(all);
        let taken = futures::future::join_all(waiting).await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(room.waiting.available_permits(), 50, "what has room does not wait");
        assert_eq!(room.places.available_permits(), 50);
        drop(taken);
        assert_eq!((room.places.available_permits(), room.streams.available_permits()), (100, 75));
    }

    #[test]
    fn small_records_cost_something_and_the_largest_fits_alone() {
        let room = Room::new(100 * UNIT);
        let many = room.take(1, 25).unwrap();
        assert!(room.take(1, 1).is_err(), "25 records take all of it");
        drop(many);
        drop(room.take(1 << 40, 1).unwrap());
    }
}
