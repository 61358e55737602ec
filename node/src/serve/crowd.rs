//! Who may hold a socket. A connection that has shown no certificate yet takes none of the places of those that have: when
//! too many are in their handshake, the oldest goes, since a handshake takes milliseconds and only a silent one is old. And
//! no certificate has more than its share.

use std::collections::BTreeMap;
use std::sync::Arc;

use kho_proto::digest::Digest;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Handshakes of a plane at once, at most.
pub(super) const HANDSHAKES_MAX: usize = 512;
/// A certificate holds at most one place in so many...
const SHARES: usize = 4;
/// ...but always so many.
const SHARE_MIN: usize = 16;

type Number = u64;

/// Connections in their handshake.
#[derive(Clone, Default)]
pub(super) struct Handshakes(Arc<Mutex<Pending>>);

#[derive(Default)]
struct Pending {
    last: Number,
    open: BTreeMap<Number, CancellationToken>,
}

/// One of them.
pub(super) struct Handshake {
    pending: Handshakes,
    number: Number,
    crowded_out: CancellationToken,
}

impl Handshakes {
    /// One more; the oldest goes if there are too many.
    pub fn begin(&self) -> Handshake {
        let crowded_out = CancellationToken::new();
        let mut pending = self.0.lock();
        if pending.open.len() >= HANDSHAKES_MAX
            && let Some((_, oldest)) = pending.open.pop_first()
        {
            oldest.cancel();
        }
        pending.last += 1;
        let number = pending.last;
        pending.open.insert(number, crowded_out.clone());
        Handshake { pending: self.clone(), number, crowded_out }
    }
}

impl Handshake {
    /// Ends when it has to make room.
    pub async fn crowded_out(&self) {
        self.crowded_out.cancelled().await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.pending.0.lock().open.remove(&self.number);
    }
}

/// Connections by certificate.
#[derive(Clone)]
pub(super) struct Shares {
    open: Arc<Mutex<BTreeMap<Digest, usize>>>,
    max: usize,
}

/// One of a certificate's connections.
pub(super) struct Share {
    shares: Shares,
    of: Digest,
}

impl Shares {
    /// Of so many places.
    pub fn of(places: usize) -> Self {
        Self { open: Arc::default(), max: (places / SHARES).max(SHARE_MIN) }
    }

    /// One more connection of this certificate; none: it has enough.
    pub fn take(&self, of: Digest) -> Option<Share> {
        let mut open = self.open.lock();
        let count = open.entry(of).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Share { shares: self.clone(), of })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.shares.open.lock();
        if let Some(count) = open.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_handshake_makes_room() {
        let handshakes = Handshakes::default();
        let all: Vec<_> = (0..HANDSHAKES_MAX).map(|_| handshakes.begin()).collect();
        assert!(all.iter().all(|one| !one.crowded_out.is_cancelled()));
        let late = handshakes.begin();
        let out: Vec<_> = all.iter().map(|one| one.crowded_out.is_cancelled()).collect();
        assert!(out[0] && out[1..].iter().all(|out| !out));
        drop(all);
        assert!(!late.crowded_out.is_cancelled());
        assert_eq!(handshakes.0.lock().open.len(), 1, "who is done is not counted");
    }

    #[test]
    fn a_certificate_has_its_share_and_no_more() {
        let shares = Shares::of(100);
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let mut held: Vec<_> = (0..25).map(|_| shares.take(one).unwrap()).collect();
        assert!(shares.take(one).is_none());
        drop(shares.take(other).unwrap());
        held.pop();
        held.push(shares.take(one).unwrap());
        drop(held);
        assert!(shares.open.lock().is_empty());
        assert_eq!(Shares::of(1).max, SHARE_MIN);
    }
}
