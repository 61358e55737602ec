//! Of places that all share, nobody has more than a share: no certificate of connections and lists, no unit of uploads.

use std::collections::BTreeMap;
use std::sync::Arc;

use kho_proto::digest::Digest;
use parking_lot::Mutex;

/// One holder has at most one place in so many.
const SHARES: usize = 4;

/// Places by their holder: the digest of its certificate, or of its name.
#[derive(Clone)]
pub(crate) struct Shares {
    taken: Arc<Mutex<BTreeMap<Digest, usize>>>,
    max: usize,
}

/// One of a holder's places.
pub(crate) struct Share {
    shares: Shares,
    of: Digest,
}

impl Shares {
    /// Of so many places; a share is never less than `least`.
    pub fn of(places: usize, least: usize) -> Self {
        Self { taken: Arc::default(), max: (places / SHARES).max(least) }
    }

    /// Places of one holder, at most.
    pub fn max(&self) -> usize {
        self.max
    }

    /// One more place for this holder; none: it has enough.
    pub fn take(&self, of: Digest) -> Option<Share> {
        let mut taken = self.taken.lock();
        let count = taken.entry(of).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Share { shares: self.clone(), of })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock();
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_has_its_share_and_no_more() {
        let shares = Shares::of(100, 16);
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let mut held: Vec<_> = (0..25).map(|_| shares.take(one).unwrap()).collect();
        assert!(shares.take(one).is_none());
        drop(shares.take(other).unwrap());
        held.pop();
        held.push(shares.take(one).unwrap());
        drop(held);
        assert!(shares.taken.lock().is_empty());
        assert_eq!(Shares::of(1, 16).max, 16);
    }
}
