//! Bytes of a request's body that were received and not read yet: they count against what a plane's requests may take.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes before each message (gRPC over HTTP/2, "Length-Prefixed-Message").
pub(crate) const PREFIX_LENGTH: usize = 5;

/// Of one request. A service that reads a stream says what it has read, before it waits for anything else: its transport
/// would find out when more is asked for, which may be long after.
#[derive(Clone, Default)]
pub(crate) struct Unread(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    permit: Option<OwnedSemaphorePermit>,
    /// Of this, what belongs to messages that are whole.
    whole: usize,
}

impl Unread {
    /// More came; with it, so many bytes are of messages that are whole now.
    pub fn add(&self, more: OwnedSemaphorePermit, whole: usize) {
        let mut held = self.0.lock();
        held.whole += whole;
        match &mut held.permit {
            Some(permit) => permit.merge(more),
            None => held.permit = Some(more),
        }
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
        let held = &mut *self.0.lock();
        let bytes = bytes.min(held.whole);
        if bytes == 0 {
            return;
        }
        held.whole -= bytes;
        if let Some(permit) = &mut held.permit {
            drop(permit.split(bytes));
        }
    }
}
