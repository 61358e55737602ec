//! Attachments: uploaded before the record that names them, downloaded by whoever may read it. Nothing here holds a whole one.

mod content;
mod download;
mod upload;

use std::io;
use std::time::Duration;

use kho_proto::error::{Code, Refusal};

pub use content::{Content, FileContent, describe};
pub use download::{Downloading, Part};
pub use upload::PATIENCE;

use crate::ask::ReadError;
use crate::attempt::sentence;

/// A stream on which nothing moved for so long is given up, and another one goes on where it stopped.
pub const STALL_MAX: Duration = Duration::from_secs(30);

/// Why an attachment did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum AttachmentError {
    /// A node answered that it will not or cannot.
    #[error("attachment {name:?}: {}", sentence(.refusal))]
    Refused {
        /// Which attachment.
        name: String,
        /// The refusal.
        refusal: Box<Refusal>,
    },
    /// No node got any further with it for a while. What arrived is kept: try again.
    #[error("attachment {name:?}: stopped at {at} bytes: {last}")]
    Stopped {
        /// Which attachment.
        name: String,
        /// How far it has come.
        at: u64,
        /// What the last node said.
        last: String,
    },
    /// The content here can't be read.
    #[error("attachment {name:?}: {source}")]
    Content {
        /// Which attachment.
        name: String,
        /// The system's words.
        source: io::Error,
    },
    /// What arrived is not what the record names.
    #[error("attachment {name:?}: {what}: expected {expected}, found {found}")]
    Differs {
        /// Which attachment.
        name: String,
        /// Length or digest.
        what: &'static str,
        /// As the signed header says.
        expected: String,
        /// What arrived.
        found: String,
    },
}

impl AttachmentError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            AttachmentError::Refused { refusal, .. } => refusal.code,
            AttachmentError::Stopped { .. } => Code::NoLeader,
            AttachmentError::Content { .. } => Code::AttachmentTruncated,
            AttachmentError::Differs { .. } => Code::AttachmentDigestMismatch,
        }
    }

    fn of(name: &str, at: u64, error: impl Into<ReadError>) -> Self {
        match error.into() {
            ReadError::Refused { refusal } => AttachmentError::Refused { name: name.to_owned(), refusal },
            other => AttachmentError::Stopped { name: name.to_owned(), at, last: other.to_string() },
        }
    }
}
