//! Room for answers that take memory: reserved before they are made, held until they were taken.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use kho_proto::batch::SUBMIT_MANY_BYTES_MAX;
use kho_proto::error::{Code, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Response;

use super::holder::Holder;
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
    /// Whose connection it is.
    holder: Option<Arc<Holder>>,
}

/// What was reserved. Goes with the answer, in its extensions.
#[derive(Clone, Default)]
pub(crate) struct Reserved {
    _permits: Option<Arc<Permits>>,
}

/// Given back when no copy is left; until then their holder counts.
struct Permits {
    _of: Vec<OwnedSemaphorePermit>,
    _holder: Option<Arc<Holder>>,
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
    pub fn new(plane: Arc<Semaphore>, holder: Option<Arc<Holder>>) -> Self {
        Self { plane, connection: Arc::new(Semaphore::new(CONNECTION_ANSWERS_BYTES_MAX)), holder }
    }

    /// Of another connection of the same plane.
    #[cfg(test)]
    pub fn another(&self) -> Self {
        Self::new(self.plane.clone(), self.holder.clone())
    }

    /// Bytes of the connection and of the plane that are free.
    #[cfg(test)]
    pub fn free(&self) -> (usize, usize) {
        (self.connection.available_permits(), self.plane.available_permits())
    }

    /// Waits until there is room for an answer of so many bytes.
    pub async fn reserve(&self, bytes: u32) -> Result<Reserved, Refusal> {
        // what is its own first: of what all share nobody holds any while it waits for its own
        let all = async {
            let own = self.holder.as_ref().map(|holder| &holder.answers);
            let mut permits = Vec::with_capacity(3);
            for room in [Some(&self.connection), own, Some(&self.plane)].into_iter().flatten() {
                // an error: closed, which nobody does
                permits.push(room.clone().acquire_many_owned(bytes).await.ok()?);
            }
            Some(Reserved { _permits: Some(Arc::new(Permits { _of: permits, _holder: self.holder.clone() })) })
        };
        let reserved = tokio::time::timeout(WAIT_MAX, all).await.ok().flatten();
        reserved.ok_or_else(|| {
            let mut refusal = Refusal::new(Code::Overloaded, "too many large answers are being made, or are not taken");
            refusal.retry_after = Some(RETRY_AFTER_OVERLOAD);
            refusal
        })
    }
}

#[cfg(test)]
mod tests {
    use kho_proto::digest::Digest;

    use super::super::holder::Holders;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_and_holds_nothing() {
        let plane = Arc::new(Semaphore::new(10));
        let room = Room::new(plane.clone(), None);
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

    #[tokio::test(start_paused = true)]
    async fn one_certificates_answers_do_not_keep_out_anothers() {
        let plane = Arc::new(Semaphore::new(10));
        let holders = Holders::of_plane(10, 10, 10);
        let of = |name: &[u8]| Room::new(plane.clone(), Some(holders.holder(Digest::of(name))));
        // from two connections
        let held = (of(b"one").reserve(3).await.unwrap(), of(b"one").reserve(2).await.unwrap());
        assert_eq!(of(b"one").reserve(1).await.err().unwrap().code, Code::Overloaded);
        of(b"other").reserve(5).await.unwrap();
        drop(held);
        of(b"one").reserve(5).await.unwrap();
    }
}
