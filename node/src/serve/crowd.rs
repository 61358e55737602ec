//! Who may hold a socket. A connection that has shown no certificate yet takes none of the places of those that have: when
//! too many are in their handshake, the oldest goes, since a handshake takes milliseconds and only a silent one is old.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use kho_proto::digest::Digest;
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

/// Whom an address stands for where nobody shows a certificate: an IPv4 address, or the /64 of an IPv6 one, which is what
/// one site is given. What is no `address:port` stands for itself.
pub(super) fn network(from: &str) -> Digest {
    match from.parse::<SocketAddr>().map(|address| address.ip().to_canonical()) {
        Ok(IpAddr::V4(address)) => Digest::of(&address.octets()),
        Ok(IpAddr::V6(address)) => Digest::of(&address.octets()[..8]),
        Err(_) => Digest::of(from.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_whatever_its_port_and_notation() {
        let alike = |one: &str, other: &str| network(one) == network(other);
        assert!(alike("192.0.2.1:1", "192.0.2.1:65535"));
        assert!(alike("192.0.2.1:1", "[::ffff:192.0.2.1]:1"));
        assert!(alike("[2001:db8::1]:1", "[2001:db8::ffff:1]:2"));
        assert!(!alike("192.0.2.1:1", "192.0.2.2:1"));
        assert!(!alike("[2001:db8::1]:1", "[2001:db8:0:1::1]:1"));
        assert!(alike("node-a", "node-a") && !alike("node-a", "node-b"));
    }

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
