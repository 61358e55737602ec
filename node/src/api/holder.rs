//! What one certificate has of what all requests of a plane share. Half of it at most: who fills all that it has is refused,
//! and nobody else; and a platform that brings most of the traffic is not held up by it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use kho_proto::digest::Digest;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// One holder has at most one part in so many.
const PARTS: usize = 2;

/// Holders of a plane, by their certificates, while they are connected.
#[derive(Clone)]
pub(crate) struct Holders {
    of: Arc<Mutex<BTreeMap<Digest, Weak<Holder>>>>,
    most: Most,
}

/// Of one holder, at most.
#[derive(Clone, Copy)]
struct Most {
    requests: usize,
    bytes: usize,
    answers: usize,
}

/// One certificate, on all of its connections. Lives for as long as anything of it counts.
pub(crate) struct Holder {
    of: Digest,
    others: Holders,
    requests: Amount,
    bytes: Amount,
    /// Bytes of answers that are not taken; these are waited for.
    pub answers: Arc<Semaphore>,
}

/// No semaphore: nobody waits for it, and it is counted with every request.
struct Amount {
    taken: AtomicUsize,
    most: usize,
}

impl Amount {
    fn new(most: usize) -> Self {
        Self { taken: AtomicUsize::new(0), most }
    }

    fn take(&self, amount: usize) -> bool {
        let fits = self.taken.fetch_add(amount, Ordering::Relaxed) + amount <= self.most;
        if !fits {
            self.give_back(amount);
        }
        fits
    }

    fn give_back(&self, amount: usize) {
        self.taken.fetch_sub(amount, Ordering::Relaxed);
    }
}

/// One of a holder's requests, until its answer is taken.
pub(crate) struct Asked(Arc<Holder>);

impl Holders {
    /// Of a plane that has so many requests, bytes that are being received, and bytes of answers.
    pub fn of_plane(requests: usize, bytes: usize, answers: usize) -> Self {
        let most = Most { requests: requests / PARTS, bytes: bytes / PARTS, answers: answers / PARTS };
        Self { of: Arc::default(), most }
    }

    /// Whom a certificate names.
    pub fn holder(&self, of: Digest) -> Arc<Holder> {
        let mut all = self.of.lock();
        if let Some(holder) = all.get(&of).and_then(Weak::upgrade) {
            return holder;
        }
        let Most { requests, bytes, answers } = self.most;
        let holder = Arc::new(Holder {
            of,
            others: self.clone(),
            requests: Amount::new(requests),
            bytes: Amount::new(bytes),
            answers: Arc::new(Semaphore::new(answers)),
        });
        all.insert(of, Arc::downgrade(&holder));
        holder
    }
}

impl Holder {
    /// One more request; none: it has enough.
    pub fn ask(self: &Arc<Self>) -> Option<Asked> {
        self.requests.take(1).then(|| Asked(self.clone()))
    }

    /// Whether it may send so many bytes more.
    pub fn receive(&self, bytes: usize) -> bool {
        self.bytes.take(bytes)
    }

    /// So many bytes were read.
    pub fn read(&self, bytes: usize) {
        self.bytes.give_back(bytes);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.requests.give_back(1);
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let mut all = self.others.of.lock();
        // it may have come back meanwhile
        if all.get(&self.of).is_some_and(|holder| holder.strong_count() == 0) {
            all.remove(&self.of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_has_half_on_all_of_its_connections_and_is_forgotten() {
        let holders = Holders::of_plane(4, 100, 10);
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let connections = [holders.holder(one), holders.holder(one)];
        let asked: Vec<_> = connections.iter().map(|connection| connection.ask().unwrap()).collect();
        assert!(connections[0].ask().is_none() && holders.holder(other).ask().is_some());
        assert!(connections[0].receive(49) && !connections[1].receive(2) && connections[1].receive(1));
        connections[1].read(50);
        assert!(connections[0].receive(50));
        drop(connections);
        assert!(holders.holder(one).ask().is_none(), "its requests are still there");
        drop(asked);
        assert!(holders.of.lock().is_empty());
        assert!(holders.holder(one).receive(50));
    }
}
