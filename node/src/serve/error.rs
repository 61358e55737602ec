//! Why a node does not start, or had to stop.

use std::io;

use kho_proto::certificate;
use kho_proto::error::Code;

use crate::{config, consensus, data_dir, keys, telemetry, tls};

/// Exit code of a process whose node refused to start (sysexits.h, EX_CONFIG).
pub const EXIT_REFUSED: u8 = 78;
/// Exit code of a process whose storage failed (sysexits.h, EX_IOERR).
pub const EXIT_STORAGE_FAILED: u8 = 74;

/// Why a node does not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// Logging.
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    /// The keyring, at start.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// The keyring against the state, as soon as there is one.
    #[error(transparent)]
    Guard(#[from] keys::GuardError),
    /// Files of a plane.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The signers' roots can't be read.
    #[error("{}: {source}", path.display())]
    SignersUnreadable {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The signers' roots don't parse.
    #[error("{}: {source}", path.display())]
    Signers {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: certificate::Error,
    },
    /// A listener's address.
    #[error("listen.{plane} {address}: {source}")]
    Bind {
        /// Which listener.
        plane: &'static str,
        /// Its address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The databases or the consensus.
    #[error(transparent)]
    Open(#[from] consensus::OpenError),
    /// The operating system did not switch core dumps off.
    #[error("core dumps can't be switched off: {0}")]
    CoreDumps(io::Error),
    /// The operating system does not deliver signals.
    #[error("signals can't be received: {0}")]
    Signal(io::Error),
    /// The disk failed while running.
    #[error("storage failed, the node stopped: {reason}")]
    StorageFailed {
        /// As reported first.
        reason: String,
    },
}

impl ServeError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            ServeError::Config(error) => error.code(),
            ServeError::Telemetry(_) => Code::ConfigInvalid,
            ServeError::DataDir(error) => error.code(),
            ServeError::Keys(error) => error.code(),
            ServeError::Guard(error) => error.code(),
            ServeError::Tls(error) => error.code(),
            ServeError::SignersUnreadable { .. } | ServeError::Signers { .. } => Code::TlsFileInvalid,
            ServeError::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => Code::PortInUse,
            ServeError::Bind { .. } => Code::ConfigInvalid,
            ServeError::Open(error) => error.code(),
            ServeError::CoreDumps(_) | ServeError::Signal(_) => Code::ConfigInvalid,
            ServeError::StorageFailed { .. } => Code::StorageFailed,
        }
    }

    /// What the process should exit with.
    pub fn exit_code(&self) -> u8 {
        if self.code() == Code::StorageFailed { EXIT_STORAGE_FAILED } else { EXIT_REFUSED }
    }
}
