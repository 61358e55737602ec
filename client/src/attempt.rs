//! What one failed attempt proves. Everything else follows from it: whether to try again, and whether the
//! record may have been taken.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use kho_proto::error::{Code, Kind, Refusal};
use rustls::AlertDescription;
use tonic::Status;

/// Why an attempt failed, in the order of what it proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// Never reached a node, or no connection was there to take it: certainly not done.
    Unreached(String),
    /// A node refused it: certainly not done by this attempt.
    Refused(Refusal),
    /// A gRPC status without details, from something that is no Kho node or does not know the call: not done.
    Foreign(String),
    /// A node's own word that it does not know, or a fault of the node on the way: a write may have been done, a read
    /// was not.
    Admitted(Refusal),
    /// No answer: it may have been done.
    Unknown(String),
}

impl Failed {
    /// Reads a gRPC status.
    pub fn of(status: &Status) -> Self {
        if let Some(alert) = handshake_alert(status) {
            return Failed::Unreached(format!("the node refused the TLS connection: {alert:?}"));
        }
        if find::<tonic::ConnectError>(status).is_some() {
            return Failed::Unreached(chain(status));
        }
        if find::<hyper::Error>(status).is_some_and(hyper::Error::is_canceled) {
            // hyper gives a request back that it has not begun to write: in TLS 1.3 a node that refuses the client's
            // certificate hangs up after the handshake, and which of the two is seen is a matter of chance
            return Failed::Unreached(format!("the node hung up before the request was sent: {}", chain(status)));
        }
        let unknown = kho_proto::status::detail(status).is_some_and(|detail| detail.unknown);
        match kho_proto::status::from_status(status) {
            Some(refusal) if unknown || matches!(refusal.code.kind(), Kind::Unknown | Kind::Fault) => {
                Failed::Admitted(refusal)
            }
            Some(refusal) => Failed::Refused(refusal),
            // of a later version, with a code that is not known here
            None if unknown => Failed::Unknown(chain(status)),
            None => match status.code() {
                tonic::Code::Unimplemented
                | tonic::Code::InvalidArgument
                | tonic::Code::OutOfRange
                | tonic::Code::Unauthenticated
                | tonic::Code::PermissionDenied
                | tonic::Code::FailedPrecondition => {
                    Failed::Foreign(format!("{:?}: {}", status.code(), status.message()))
                }
                _ => Failed::Unknown(chain(status)),
            },
        }
    }

    /// The attempt had its time and nothing came back.
    pub fn timed_out(after: Duration) -> Self {
        Failed::Unknown(format!("no answer within {} ms", after.as_millis()))
    }

    /// The same of an attempt whose message no connection was given: whatever is not known of it, it was not done.
    pub(crate) fn never_sent(self) -> Self {
        match self {
            Failed::Unknown(why) => Failed::Unreached(format!("no connection that took the request: {why}")),
            failed => failed,
        }
    }

    /// Whether another attempt may do better; after a foreign answer, one at another node may.
    pub fn retry(&self) -> bool {
        match self {
            Failed::Unreached(_) | Failed::Unknown(_) => true,
            Failed::Refused(refusal) | Failed::Admitted(refusal) => refusal.code.retry(),
            Failed::Foreign(_) => false,
        }
    }

    /// Whether it may have been done all the same.
    pub fn leaves_doubt(&self) -> bool {
        matches!(self, Failed::Unknown(_) | Failed::Admitted(_))
    }

    /// What a node said, if one did: for calls that change nothing, where a fault is an answer like any other.
    pub fn answer(&self) -> Option<&Refusal> {
        match self {
            Failed::Refused(refusal) | Failed::Admitted(refusal) => Some(refusal),
            Failed::Unreached(_) | Failed::Foreign(_) | Failed::Unknown(_) => None,
        }
    }

    /// In a word, for spans and metrics: a code, or what became of the connection.
    pub fn outcome(&self) -> &'static str {
        match self {
            Failed::Refused(refusal) | Failed::Admitted(refusal) => refusal.code.as_str(),
            Failed::Unreached(_) => "unreached",
            Failed::Foreign(_) => "foreign",
            Failed::Unknown(_) => "unknown",
        }
    }

    /// How long the node asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Failed::Refused(refusal) | Failed::Admitted(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// Whether the node itself is the trouble, so that others should be asked first for a while.
    pub fn rests_node(&self) -> bool {
        match self {
            Failed::Unreached(_) | Failed::Unknown(_) | Failed::Admitted(_) => true,
            Failed::Refused(refusal) => {
                matches!(refusal.code, Code::NodeStopping | Code::KeysMissing | Code::DiskReserve)
            }
            Failed::Foreign(_) => true,
        }
    }

    /// Whether this answer also holds for an earlier attempt whose fate is not known: it depends on nothing but
    /// the record's bytes, or on a state that never goes back.
    pub fn settles(&self) -> bool {
        let Failed::Refused(refusal) = self else { return false };
        matches!(
            refusal.code,
            Code::HeaderMalformed
                | Code::HeaderNotCanonical
                | Code::HeaderFieldInvalid
                | Code::PeriodInvalid
                | Code::PayloadTooLarge
                | Code::PayloadLengthMismatch
                | Code::PayloadDigestMismatch
                | Code::RequestMalformed
                | Code::SignatureBlockMalformed
                | Code::SignatureInvalid
                | Code::RecordIdConflict
                | Code::SupersedesNotLatest
                | Code::SeriesHasHead
        )
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Unreached(why) | Failed::Foreign(why) | Failed::Unknown(why) => f.write_str(why),
            Failed::Refused(refusal) | Failed::Admitted(refusal) => f.write_str(&sentence(refusal)),
        }
    }
}

/// A refusal for people: the sentence, then what was expected and found where the sentence does not say it.
pub fn sentence(refusal: &Refusal) -> String {
    let mut text = format!("{}: {}", refusal.code.as_str(), refusal.message);
    for (what, value) in [("expected", &refusal.expected), ("found", &refusal.found)] {
        if !value.is_empty() && !refusal.message.contains(value.as_str()) {
            text.push_str(&format!("; {what} {value}"));
        }
    }
    text
}

fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| next_source(*error))
}

/// An io::Error hides what it wraps: its `source` is the wrapped error's source.
fn next_source<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn find<T: StdError + 'static>(status: &Status) -> Option<&T> {
    sources(status.source()?).find_map(|error| error.downcast_ref())
}

/// Alerts that end a handshake: the node never saw a request on this connection (RFC 8446, 6.2).
const HANDSHAKE_ALERTS: [AlertDescription; 11] = [
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::CertificateRequired,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
    AlertDescription::HandshakeFailure,
    AlertDescription::DecryptError,
    AlertDescription::ProtocolVersion,
];

fn handshake_alert(status: &Status) -> Option<AlertDescription> {
    if let Some(rustls::Error::AlertReceived(alert)) = find(status) {
        return Some(*alert).filter(|alert| HANDSHAKE_ALERTS.contains(alert));
    }
    // h2 keeps no more of an I/O error than its text
    let text = |alert: AlertDescription| rustls::Error::AlertReceived(alert).to_string();
    let causes: Vec<_> = sources(status.source()?).map(ToString::to_string).collect();
    HANDSHAKE_ALERTS.into_iter().find(|alert| causes.contains(&text(*alert)))
}

/// The status with its causes; a transport error alone says no more than "transport error".
fn chain(status: &Status) -> String {
    let mut text = status.message().to_owned();
    for cause in status.source().into_iter().flat_map(sources) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
