//! Who may watch: places of a node, of a certificate and of a connection.

use std::sync::Arc;
use std::time::Duration;

use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::metric_definitions::WATCHES;
use crate::shares::{Share, Shares};

/// Open watches of a node, at most: each looks at every record.
pub const WATCHES_MAX: usize = 512;
/// Open watches of a connection, at most: a platform may follow some units apart from each other.
pub const WATCHES_PER_CONNECTION_MAX: usize = 16;
/// Hint to a listener that found no place.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Places for the watches of a node.
pub(super) struct Watches {
    places: Places,
    /// One certificate's watches must not keep out all others'.
    shares: Shares,
}

impl Watches {
    pub(super) fn new() -> Self {
        let places = Places(Arc::new(Semaphore::new(WATCHES_MAX)));
        Self { places, shares: Shares::of(WATCHES_MAX, WATCHES_PER_CONNECTION_MAX) }
    }

    pub(super) fn hold(&self, who: Option<Digest>, connection: Option<&Places>) -> Result<Held, Refusal> {
        let connection =
            connection.map(|places| places.take("the connection", WATCHES_PER_CONNECTION_MAX)).transpose()?;
        let full = || too_many("the certificate", self.shares.max());
        let share = who.map(|who| self.shares.take(who).ok_or_else(full)).transpose()?;
        let node = self.places.take("the node", WATCHES_MAX)?;
        metrics::gauge!(WATCHES).increment(1.0);
        Ok(Held { _node: node, _connection: connection, _share: share })
    }
}

/// Places for a number of watches.
#[derive(Debug, Clone)]
pub struct Places(Arc<Semaphore>);

impl Places {
    /// Of one connection.
    pub fn of_connection() -> Self {
        Self(Arc::new(Semaphore::new(WATCHES_PER_CONNECTION_MAX)))
    }

    fn take(&self, of: &str, most: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        self.0.clone().try_acquire_owned().map_err(|_full| too_many(of, most))
    }
}

fn too_many(of: &str, most: usize) -> Refusal {
    let refusal = Refusal::new(Code::Overloaded, format!("{of} has too many open watches"));
    Refusal { retry_after: Some(RETRY_AFTER), ..refusal.expected_found(format!("at most {most}"), "one more") }
}

/// Counts an open watch for as long as it lives.
pub(super) struct Held {
    _node: OwnedSemaphorePermit,
    _connection: Option<OwnedSemaphorePermit>,
    _share: Option<Share>,
}

impl Drop for Held {
    fn drop(&mut self) {
        metrics::gauge!(WATCHES).decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_certificates_watches_do_not_keep_out_anothers() {
        let watches = Watches::new();
        let (one, other) = (Some(Digest::of(b"one")), Some(Digest::of(b"other")));
        let held: Vec<_> = (0..WATCHES_MAX / 4).map(|_| watches.hold(one, None).unwrap()).collect();
        let refusal = watches.hold(one, Some(&Places::of_connection())).err().expect("it has its share");
        assert_eq!((refusal.code, refusal.retry_after), (Code::Overloaded, Some(RETRY_AFTER)));
        watches.hold(other, None).unwrap();
        drop(held);
        watches.hold(one, None).unwrap();
    }
}
