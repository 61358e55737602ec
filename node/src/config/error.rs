//! What is wrong with a configuration: the field, the value, what is allowed.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use kho_proto::error::Code;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("configuration {} can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no TOML, or a field is missing, unknown or of another type.
    #[error("{}{message}", prefix(file))]
    Malformed {
        /// The file, where there is one.
        file: Option<PathBuf>,
        /// Names the field, its place in the file, and what is allowed.
        message: String,
    },
    /// A value is out of its range.
    #[error("{}{field}: expected {allowed}, found {value}", prefix(file))]
    OutOfRange {
        /// The file, where there is one.
        file: Option<PathBuf>,
        /// The field, e.g. `raft.heartbeat_ms`.
        field: String,
        /// The value.
        value: String,
        /// The allowed range.
        allowed: String,
    },
}

fn prefix(file: &Option<PathBuf>) -> String {
    file.as_ref().map(|file| format!("{}: ", file.display())).unwrap_or_default()
}

impl Error {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::Unreadable { .. } | Error::Malformed { .. } => Code::ConfigInvalid,
            Error::OutOfRange { .. } => Code::ConfigOutOfRange,
        }
    }

    pub(super) fn malformed(error: &toml::de::Error) -> Self {
        Error::Malformed { file: None, message: error.to_string().trim_end().to_owned() }
    }

    pub(super) fn range(field: &str, value: impl Display, allowed: &str) -> Self {
        Error::OutOfRange { file: None, field: field.to_owned(), value: value.to_string(), allowed: allowed.to_owned() }
    }

    pub(super) fn in_file(mut self, path: &Path) -> Self {
        match &mut self {
            Error::Unreadable { .. } => {}
            Error::Malformed { file, .. } | Error::OutOfRange { file, .. } => *file = Some(path.to_owned()),
        }
        self
    }
}

pub(super) fn within(field: &str, value: u64, min: u64, max: u64) -> Result<(), Error> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(Error::range(field, value, &format!("{min} to {max}"))) }
}

/// `host:port` with a port from 1 (0 would bind any, and members could not find it).
pub(super) fn address(field: &str, value: &str) -> Result<(), Error> {
    let good = value
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    if good { Ok(()) } else { Err(Error::range(field, format!("{value:?}"), "host:port with a port from 1 to 65535")) }
}
