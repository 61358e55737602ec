//! Why the files of a plane are refused.

use std::path::PathBuf;

use kho_proto::certificate;
use kho_proto::error::Code;
use kho_proto::header::SubmittedAt;
use kho_proto::id::{ClusterId, NodeId, UnixMs};

/// Why the files of a plane are refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds no PEM object of the kind.
    #[error("{}: expected {expected} in PEM form, found none", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// A PEM object does not parse.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// Certificate, key or roots don't fit each other or the protocol.
    #[error("{}: {source}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// No verifier can be made of the roots.
    #[error("{}: {source}", path.display())]
    Verifier {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::server::VerifierBuilderError,
    },
    /// Roots, or a list of revoked certificates, are not what they should be.
    #[error("{}: {source}{}", path.display(), hint(.source))]
    List {
        /// The file.
        path: PathBuf,
        /// Why.
        source: certificate::Error,
    },
    /// A list of revoked certificates is older than the one that is in use.
    #[error(
        "{}: list of {issuer}: expected one made at {} or later, found one of {}; to go back, restart the node",
        path.display(), SubmittedAt::from_unix_ms(*.expected), SubmittedAt::from_unix_ms(*.found)
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Distinguished name of its authority.
        issuer: String,
        /// When the one in use was made.
        expected: UnixMs,
        /// When this one was.
        found: UnixMs,
    },
    /// An authority has fewer lists of revoked certificates than are in use.
    #[error(
        "{}: lists of {issuer}: expected {expected} or more, found {found}; to have fewer, restart the node, or take \
         its root out of the trust file in the same reload",
        path.display()
    )]
    Fewer {
        /// The file.
        path: PathBuf,
        /// Distinguished name of the authority.
        issuer: String,
        /// How many are in use.
        expected: usize,
        /// How many stand there.
        found: usize,
    },
    /// A list of revoked certificates was made in the future.
    #[error(
        "{}: list of {issuer}: expected one made until {}, found one of {}; later ones would count as older",
        path.display(), SubmittedAt::from_unix_ms(*.expected), SubmittedAt::from_unix_ms(*.found)
    )]
    Ahead {
        /// The file.
        path: PathBuf,
        /// Distinguished name of its authority.
        issuer: String,
        /// The node's time, and some minutes.
        expected: UnixMs,
        /// When it was made.
        found: UnixMs,
    },
    /// A node certificate is another node's.
    #[error("tls.peer.certificate: expected cluster {cluster}, node {node} in its SAN, found {found}")]
    NotOwn {
        /// This cluster.
        cluster: ClusterId,
        /// This node.
        node: NodeId,
        /// What stands there.
        found: String,
    },
}

impl Error {
    /// Stable code.
    pub fn code(&self) -> Code {
        Code::TlsFileInvalid
    }
}

/// Most often the root was there until now.
fn hint(source: &certificate::Error) -> &'static str {
    match source {
        certificate::Error::CrlUntrusted { .. } => {
            "; with a root that is taken out of the trust file its lists go out of this file, in the same reload"
        }
        _ => "",
    }
}
