//! Room for answers that take memory: reserved before they are made, held until they were taken.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use kho_proto::batch::SUBMIT_MANY_BYTES_MAX;
use kho_proto::error::{Code, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Response;

use crate::write::RETRY_AFTER_OVERLOAD;

/// Bytes of a plane's large answers that are being made or taken, at most.
pub(crate) const ANSWERS_BYTES_MAX: usize = 256 << 20;
/// The same of one connection. Small ones give their room back as soon as they are made.
pub(crate) const CONNECTION_ANSWERS_BYTES_MAX: usize = 64 << 20;
/// Bytes of the largest answer.
pub(crate) const LARGE_BYTES: u32 = (SUBMIT_MANY_BYTES_MAX + (64 << 10)) as u32;
/// How long an answer waits for room: who waits longer is told to come again, and holds no place meanwhile.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Of one connection. A service whose answer is large reserves by itself, when all of the request has come: room that waits
/// for a slow request is room that others do not have.
#[derive(Clone)]
pub(crate) struct Room {
    plane: Arc<Semaphore>,
    connection: Arc<Semaphore>,
}

/// What was reserved. Goes with the answer, in its extensions.
#[derive(Clone, Default)]
pub(crate) struct Reserved {
    _permits: Arc<Vec<OwnedSemaphorePermit>>,
}

impl Reserved {
    /// `answer`, with the room that it takes.
    pub fn with<T>(self, answer: T) -> Response<T> {
        let mut response = Response::new(answer);
        response.extensions_mut().insert(self);
        response
    }
}

/// Waits until there is room for so many bytes of the answer to a request with these extensions. Only a listener knows
/// connections: without one, and where it has reserved already, nothing is waited for.
pub(crate) fn reserve(
    extensions: &Extensions,
    bytes: u32,
) -> impl Future<Output = Result<Reserved, Refusal>> + Send + use<> {
    let room = extensions.get::<Room>().cloned();
    async move {
        match room {
            Some(room) => room.reserve(bytes).await,
            None => Ok(Reserved::default()),
        }
    }
}

impl Room {
    /// Of one more connection of a plane.
    pub fn new(plane: Arc<Semaphore>) -> Self {
        Self { plane, connection: Arc::new(Semaphore::new(CONNECTION_ANSWERS_BYTES_MAX)) }
    }

    /// Of another connection of the same plane.
    #[cfg(test)]
    pub fn another(&self) -> Self {
        Self::new(self.plane.clone())
    }

    /// Bytes of the connection and of the plane that are free.
    #[cfg(test)]
    pub fn free(&self) -> (usize, usize) {
        (self.connection.available_permits(), self.plane.available_permits())
    }

    /// Waits until there is room for an answer of so many bytes.
    pub async fn reserve(&self, bytes: u32) -> Result<Reserved, Refusal> {
        let both = async {
            // an error: closed, which nobody does
            let connection = self.connection.clone().acquire_many_owned(bytes).await.ok()?;
            let plane = self.plane.clone().acquire_many_owned(bytes).await.ok()?;
            Some(Reserved { _permits: Arc::new(vec![connection, plane]) })
        };
        let reserved = tokio::time::timeout(WAIT_MAX, both).await.ok().flatten();
        reserved.ok_or_else(|| {
            let mut refusal = Refusal::new(Code::Overloaded, "too many large answers are being made, or are not taken");
            refusal.retry_after = Some(RETRY_AFTER_OVERLOAD);
            refusal
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_and_holds_nothing() {
        let plane = Arc::new(Semaphore::new(10));
        let room = Room::new(plane.clone());
        let held = room.reserve(8).await.unwrap();
        let refused = room.reserve(3).await.err().unwrap();
        assert_eq!((refused.code, refused.retry_after), (Code::Overloaded, Some(RETRY_AFTER_OVERLOAD)));
        assert_eq!(room.connection.available_permits(), CONNECTION_ANSWERS_BYTES_MAX - 8);
        let copy = held.clone();
        drop(held);
        assert_eq!(plane.available_permits(), 2, "it is still on its way");
        drop(copy);
        room.reserve(10).await.unwrap();
    }
}
