//! Bytes of an answer that count until the last of them is sent or given up, wherever the connection keeps them.

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes, and the room that they take.
pub(super) struct Held {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Held {
    /// Takes from `room` only what the bytes need.
    pub fn new(bytes: Bytes, mut room: OwnedSemaphorePermit) -> Self {
        drop(room.num_permits().checked_sub(bytes.len()).and_then(|spare| room.split(spare)));
        Self { bytes, _room: room }
    }

    /// Gives the room back when they are dropped, all clones and slices too.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn room_is_held_while_any_part_of_the_bytes_is() {
        let room = Arc::new(Semaphore::new(1000));
        let taken = room.clone().acquire_many_owned(900).await.unwrap();
        let bytes = Held::new(Bytes::from(vec![7; 300]), taken).into_bytes();
        assert_eq!(room.available_permits(), 700);
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(room.available_permits(), 700);
        drop(part);
        assert_eq!(room.available_permits(), 1000);
    }
}
