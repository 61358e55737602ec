//! Checkpoints: the log's size and root, signed (C2SP tlog-checkpoint in a signed note). `docs/formats/checkpoint.md`.

mod key;
mod note;
mod origin;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

pub use key::{LogKey, LogSigner, VerifierKey};
pub use note::{NOTE_LENGTH_MAX, SIGNATURES_MAX};
pub use origin::Origin;

use crate::digest::Digest;
use crate::error::{Code, Refusal, excerpt};

/// The log at a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// Leaves.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The text that is signed: origin, size, root in base64, a line each.
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root))
    }

    /// Reads the text of a note. Further lines are extensions: signed, and without meaning here.
    fn from_body(text: &str) -> Result<Checkpoint, Error> {
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        let mut next = |expected| {
            lines.next().filter(|line| !line.is_empty()).ok_or(Error::Body { expected, found: String::new() })
        };
        let origin = next("an origin")?;
        let size = next("a size")?;
        let root = next("a root hash")?;
        if lines.any(str::is_empty) {
            return Err(Error::Body { expected: "no empty line", found: String::new() });
        }
        let wrong = |expected, found| Error::Body { expected, found: excerpt(found) };
        Ok(Checkpoint {
            origin: origin.parse()?,
            size: decimal(size).ok_or_else(|| wrong("a size in decimal without leading zeros", size))?,
            root: hash(root).ok_or_else(|| wrong("a root hash of 32 bytes in base64", root))?,
        })
    }
}

/// A decimal number without sign or leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

/// 32 bytes in canonical base64.
pub(crate) fn hash(text: &str) -> Option<Digest> {
    Digest::try_from(BASE64.decode(text).ok()?.as_slice()).ok()
}

/// Why a note is no checkpoint of the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than [`NOTE_LENGTH_MAX`].
    #[error("checkpoint: expected at most {NOTE_LENGTH_MAX} bytes, found {found}")]
    TooLong {
        /// Bytes.
        found: usize,
    },
    /// No signed note.
    #[error("checkpoint: expected a signed note with {expected}")]
    Note {
        /// What is missing or wrong.
        expected: &'static str,
    },
    /// A line of the text is wrong.
    #[error("checkpoint: expected {expected}, found {found}")]
    Body {
        /// What should stand there.
        expected: &'static str,
        /// The line, cut short.
        found: String,
    },
    /// A text that is no origin.
    #[error("expected an origin CLUSTER-UUID/EPOCH/16-HEX-DIGITS, found {found}")]
    Origin {
        /// The text, cut short.
        found: String,
    },
    /// A text that is no verifier key.
    #[error("expected a verifier key ORIGIN+KEY-ID+BASE64 of type ed25519, found {found}")]
    VerifierKey {
        /// The text, cut short.
        found: String,
    },
    /// The note is not signed with the key.
    #[error("checkpoint: expected a signature of {name} with key {key_id:08x}, found none")]
    NotSigned {
        /// Key name.
        name: String,
        /// Key id.
        key_id: u32,
    },
    /// The signature does not verify.
    #[error("checkpoint: expected a valid signature of {name} with key {key_id:08x}, found one that does not verify")]
    SignatureInvalid {
        /// Key name.
        name: String,
        /// Key id.
        key_id: u32,
    },
    /// A checkpoint of another log, although signed with the key.
    #[error("checkpoint: expected origin {expected}, found {found}")]
    OtherOrigin {
        /// The key's name.
        expected: Origin,
        /// In the text.
        found: Origin,
    },
}

impl Error {
    /// `receipt-invalid`.
    pub fn code(&self) -> Code {
        Code::ReceiptInvalid
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::new(error.code(), error.to_string())
    }
}
