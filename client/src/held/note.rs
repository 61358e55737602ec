//! A signed note and what it says.

use bytes::Bytes;
use kho_proto::checkpoint::{Checkpoint, Error, VerifierKey};

/// A signed checkpoint whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub checkpoint: Checkpoint,
    pub bytes: Bytes,
}

impl Note {
    /// Verifies it with whichever of these keys is of its origin.
    pub fn open<'a>(keys: &'a [VerifierKey], bytes: &Bytes) -> Result<(Self, &'a VerifierKey), Error> {
        let origin = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let mut failed = None;
        for key in keys.iter().filter(|key| key.origin().as_str().as_bytes() == origin) {
            match key.open(bytes) {
                Ok(checkpoint) => return Ok((Self { checkpoint, bytes: bytes.clone() }, key)),
                Err(error) => failed = Some(error),
            }
        }
        // of no log that is pinned: the first key says what it misses
        let first = keys.first().map(|key| key.open(bytes)).and_then(Result::err);
        Err(failed.or(first).unwrap_or(Error::Note { expected: "a log whose key is pinned" }))
    }

    /// As text; a note is UTF-8, else it would not have been opened.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}
