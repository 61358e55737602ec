//! Messages of gRPC in a request's body, told apart without being read.

use crate::api::PREFIX_LENGTH;

/// Finds the ends of messages: each has a byte of flags and four of length before it (gRPC over HTTP/2,
/// "Length-Prefixed-Message").
#[derive(Default)]
pub(super) struct Messages {
    prefix: [u8; PREFIX_LENGTH],
    prefix_seen: usize,
    /// Bytes of the message that are still to come, once its prefix is there.
    left: usize,
    /// Bytes since the last whole message.
    open: usize,
    /// One was whole.
    ended: bool,
    /// Something came behind the first.
    more: bool,
}

impl Messages {
    /// How many bytes belong to messages that are whole now and were not before.
    pub fn see(&mut self, mut data: &[u8]) -> usize {
        let mut whole = 0;
        while !data.is_empty() {
            self.more |= self.ended;
            let taken = if self.prefix_seen < PREFIX_LENGTH {
                let taken = data.len().min(PREFIX_LENGTH - self.prefix_seen);
                self.prefix[self.prefix_seen..][..taken].copy_from_slice(&data[..taken]);
                self.prefix_seen += taken;
                let [_, length @ ..] = self.prefix;
                self.left = u32::from_be_bytes(length) as usize;
                taken
            } else {
                let taken = data.len().min(self.left);
                self.left -= taken;
                taken
            };
            data = &data[taken..];
            self.open += taken;
            if self.prefix_seen == PREFIX_LENGTH && self.left == 0 {
                whole += std::mem::take(&mut self.open);
                self.prefix_seen = 0;
                self.ended = true;
            }
        }
        whole
    }

    /// One is being received.
    pub fn partial(&self) -> bool {
        self.open > 0
    }

    /// More than a call may have.
    pub fn more_than_one(&self) -> bool {
        self.more
    }
}
