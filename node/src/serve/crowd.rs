//! Who may hold a socket. A connection that has shown no certificate yet takes none of the places of those that have: when
//! too many are in their handshake, the oldest goes, since a handshake takes milliseconds and only a silent one is old.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Handshakes of a plane at once, at most.
pub(super) const HANDSHAKES_MAX: usize = 512;

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
}
