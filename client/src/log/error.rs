//! Why a part of a log was not got.

use std::path::PathBuf;

use kho_proto::error::Code;
use kho_proto::tlog::{BundleError, TileError};

/// Why a part of a log was not got.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No address of a log.
    #[error("expected https://HOST[:PORT][/PREFIX], found {found:?}")]
    Address {
        /// What was given.
        found: String,
    },
    /// The authorities don't parse.
    #[error("authorities of the log's server: expected certificates in PEM form, found {found}")]
    Trust {
        /// What was found instead.
        found: String,
    },
    /// A file of a log's directory can't be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Nobody answered.
    #[error("{place}: no answer: {why}")]
    Unreachable {
        /// What was asked for.
        place: String,
        /// The network's words.
        why: String,
    },
    /// It is not there.
    #[error("{place}: the log does not have it")]
    Absent {
        /// What was asked for.
        place: String,
    },
    /// A refusal, or what is no log at all.
    #[error("{place}: expected status 200, found {status}: {text}")]
    Answer {
        /// What was asked for.
        place: String,
        /// The HTTP status.
        status: u16,
        /// The code in the answer, where it has one.
        code: Option<Code>,
        /// The answer's first line, cut short.
        text: String,
    },
    /// Longer than a part of a log is.
    #[error("{place}: expected at most {length_max} bytes, found more")]
    TooLong {
        /// What was asked for.
        place: String,
        /// The bound.
        length_max: usize,
    },
    /// Not a bundle of as many entries.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Not a tile of as many hashes.
    #[error(transparent)]
    Tile(#[from] TileError),
}

impl Error {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::Address { .. } => Code::ConfigInvalid,
            Error::Trust { .. } => Code::TlsFileInvalid,
            Error::Absent { .. } => Code::LogTileAbsent,
            Error::Answer { code, .. } => code.unwrap_or(Code::LogUnusable),
            Error::File { .. } | Error::Unreachable { .. } | Error::TooLong { .. } => Code::LogUnusable,
            Error::Bundle(error) => error.code(),
            Error::Tile(error) => error.code(),
        }
    }

    /// Whether the same may succeed in a moment.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Absent { .. } => true,
            // a node that starts, or has no keys, behind an address where others have some
            Error::Answer { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}
