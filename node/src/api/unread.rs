//! Bytes of a request's body that were received and not read yet: they count against what a plane's requests may take.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use super::holder::Holder;

/// Bytes before each message (gRPC over HTTP/2, "Length-Prefixed-Message").
pub(crate) const PREFIX_LENGTH: usize = 5;

/// Of one request. A service that reads a stream says what it has read, before it waits for anything else: its transport
/// would find out when more is asked for, which may be long after.
#[derive(Clone, Default)]
pub(crate) struct Unread(Arc<Bytes>);

#[derive(Default)]
struct Bytes {
    held: Mutex<Held>,
    /// Whose they are.
    holder: Option<Arc<Holder>>,
}

#[derive(Default)]
struct Held {
    permit: Option<OwnedSemaphorePermit>,
    /// Of this, what belongs to messages that are whole.
    whole: usize,
}

impl Unread {
    /// Of a request of this holder.
    pub fn of(holder: Option<Arc<Holder>>) -> Self {
        Self(Arc::new(Bytes { held: Mutex::default(), holder }))
    }

    /// More came; with it, so many bytes are of messages that are whole now. No: its holder has no place for more.
    #[must_use]
    pub fn add(&self, more: OwnedSemaphorePermit, whole: usize) -> bool {
        if self.0.holder.as_ref().is_some_and(|holder| !holder.receive(more.num_permits())) {
            return false;
        }
        let mut held = self.0.held.lock();
        held.whole += whole;
        match &mut held.permit {
            Some(permit) => permit.merge(more),
            None => held.permit = Some(more),
        }
        true
    }

    /// All messages that are whole were read.
    pub fn read_all(&self) {
        self.give_back(usize::MAX);
    }

    /// One message of this length was read.
    pub fn read(&self, length: usize) {
        self.give_back(length + PREFIX_LENGTH);
    }

    fn give_back(&self, bytes: usize) {
        let held = &mut *self.0.held.lock();
        let bytes = bytes.min(held.whole);
        if bytes == 0 {
            return;
        }
        held.whole -= bytes;
        if let Some(permit) = &mut held.permit {
            drop(permit.split(bytes));
        }
        if let Some(holder) = &self.0.holder {
            holder.read(bytes);
        }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if let (Some(holder), Some(permit)) = (&self.holder, &self.held.get_mut().permit) {
            holder.read(permit.num_permits());
        }
    }
}
