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

/// Bytes that records may take on this node.
#[derive(Clone)]
pub struct Room {
    places: Arc<Semaphore>,
    units: u32,
}

/// Given back when dropped.
pub type Taken = OwnedSemaphorePermit;

impl Room {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX);
        Self { places: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// A message larger than all room takes all of it.
    fn units(&self, bytes: usize, records: usize) -> u32 {
        let least = u32::try_from(records).unwrap_or(u32::MAX).saturating_mul(RECORD_UNITS_MIN);
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(least).min(self.units)
    }

    /// For a call whose sender waits: now, or it is refused.
    pub fn take(&self, bytes: usize, records: usize) -> Result<Taken, Refusal> {
        self.places.clone().try_acquire_many_owned(self.units(bytes, records)).map_err(|_| {
            metrics::counter!(ROOM_REFUSED).increment(1);
            let mut refusal = Refusal::new(Code::Overloaded, "too many bytes of records are on their way");
            refusal.retry_after = Some(super::batch::RETRY_AFTER_OVERLOAD);
            refusal
        })
    }

    /// For a stream, which is not read any further until there is room.
    pub async fn wait(&self, bytes: usize) -> Result<Taken, Refusal> {
        let taken = self.places.clone().acquire_many_owned(self.units(bytes, 1)).await;
        taken.map_err(|_closed| Refusal::new(Code::NodeStopping, "the node is shutting down"))
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn small_records_cost_something_and_the_largest_fits_alone() {
        let room = Room::new(100 * UNIT);
        let many = room.take(1, 25).unwrap();
        assert!(room.take(1, 1).is_err(), "25 records take all of it");
        drop(many);
        drop(room.take(1 << 40, 1).unwrap());
    }
}
