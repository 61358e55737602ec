//! Stable codes of every refusal, and the refusal as it travels.
//!
//! A code never changes its meaning and is never reused; `docs/errors/` says of each what it means and
//! what to do. Operations have `thiserror` enums of their own; at the edge each becomes a [`Refusal`].

use std::time::Duration;

use bytes::Bytes;

use crate::fields::FieldErrors;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $kind:ident, $retry:literal;)*) => {
        /// A stable error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The stable text, e.g. `signature-invalid`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// The kind, which fixes the gRPC status.
            pub fn kind(self) -> Kind {
                match self { $(Code::$name => Kind::$kind,)* }
            }

            /// Whether the same request may succeed later.
            pub fn retry(self) -> bool {
                match self { $(Code::$name => $retry,)* }
            }
        }
    };
}

/// What went wrong, coarsely; each has one gRPC status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong whatever the state. gRPC `INVALID_ARGUMENT`.
    Invalid,
    /// The sender is not known. gRPC `UNAUTHENTICATED`.
    Unauthenticated,
    /// The sender is known and may not. gRPC `PERMISSION_DENIED`.
    Forbidden,
    /// Something else holds the place. gRPC `ALREADY_EXISTS`.
    Conflict,
    /// gRPC `NOT_FOUND`.
    NotFound,
    /// The state does not allow it. gRPC `FAILED_PRECONDITION`.
    Precondition,
    /// Too much at once. gRPC `RESOURCE_EXHAUSTED`.
    Exhausted,
    /// Nobody can do it now, and it was not done. gRPC `UNAVAILABLE`.
    Unavailable,
    /// It may have been done. gRPC `DEADLINE_EXCEEDED`.
    Unknown,
    /// A fault of the node or its disk. gRPC `INTERNAL`.
    Fault,
    /// The process refuses to start.
    Startup,
}

codes! {
    /// The header is no protobuf of its schema.
    HeaderMalformed = "header-malformed", Invalid, false;
    /// The header does not re-encode to the same bytes.
    HeaderNotCanonical = "header-not-canonical", Invalid, false;
    /// A field of the header breaks its rule.
    HeaderFieldInvalid = "header-field-invalid", Invalid, false;
    /// The period is not of the grammar.
    PeriodInvalid = "period-invalid", Invalid, false;
    /// Submitted-at is too far ahead of the node's clock.
    SubmittedAtInFuture = "submitted-at-in-future", Invalid, true;
    /// The payload is larger than a record may be.
    PayloadTooLarge = "payload-too-large", Invalid, false;
    /// The payload's length is not the header's.
    PayloadLengthMismatch = "payload-length-mismatch", Invalid, false;
    /// The payload's digest is not the header's.
    PayloadDigestMismatch = "payload-digest-mismatch", Invalid, false;
    /// A command of entry version 1 names attachments, which only version 2 has.
    AttachmentsUnsupported = "attachments-unsupported", Invalid, false;
    /// An attachment is larger than the node takes.
    AttachmentTooLarge = "attachment-too-large", Invalid, false;
    /// An upload ended before the attachment's length.
    AttachmentTruncated = "attachment-truncated", Invalid, false;
    /// An upload went on behind the attachment's length.
    AttachmentTooLong = "attachment-too-long", Invalid, false;
    /// What was uploaded has another digest than was said.
    AttachmentDigestMismatch = "attachment-digest-mismatch", Invalid, false;
    /// An upload is to go on where nothing is stored before.
    AttachmentOffsetInvalid = "attachment-offset-invalid", Invalid, false;
    /// The record names an attachment that was not uploaded, or was collected since.
    AttachmentMissing = "attachment-missing", Precondition, false;
    /// The record has no such attachment.
    AttachmentUnknown = "attachment-unknown", NotFound, false;
    /// The request as a whole is not of its schema.
    RequestMalformed = "request-malformed", Invalid, false;
    /// The signature block is malformed or not canonical.
    SignatureBlockMalformed = "signature-block-malformed", Invalid, false;
    /// The algorithm is unknown, or not the one of the certificate's key.
    AlgorithmUnsupported = "algorithm-unsupported", Invalid, false;
    /// The signature does not verify.
    SignatureInvalid = "signature-invalid", Invalid, false;
    /// The certificates sent are not those that the signature block names.
    CertificateMissing = "certificate-missing", Invalid, false;
    /// A certificate does not parse.
    CertificateMalformed = "certificate-malformed", Invalid, false;
    /// No chain to a trusted root.
    CertificateUntrusted = "certificate-untrusted", Invalid, false;
    /// A certificate's validity has ended.
    CertificateExpired = "certificate-expired", Invalid, false;
    /// A certificate's validity has not begun.
    CertificateNotYetValid = "certificate-not-yet-valid", Invalid, true;
    /// Key usage or extended key usage does not allow signing records.
    CertificateWrongUsage = "certificate-wrong-usage", Invalid, false;
    /// The key is of a kind or size that is not accepted.
    CertificateKeyWeak = "certificate-key-weak", Invalid, false;
    /// The certificate names no unit.
    CertificateUnitMissing = "certificate-unit-missing", Invalid, false;
    /// A certificate was revoked by its authority.
    CertificateRevoked = "certificate-revoked", Invalid, false;
    /// No list of revoked certificates speaks of a certificate, and the node's policy wants one.
    CertificateStatusUnknown = "certificate-status-unknown", Invalid, true;
    /// A list of revoked certificates is past its time, and the node's policy wants a current one.
    CrlExpired = "crl-expired", Invalid, true;
    /// A list of revoked certificates does not parse, or is of a kind that is not taken.
    CrlMalformed = "crl-malformed", Invalid, false;
    /// A list of revoked certificates is signed by nobody who may.
    CrlUntrusted = "crl-untrusted", Invalid, false;
    /// A list that is as new, or newer, is installed already.
    CrlNotNewer = "crl-not-newer", Precondition, false;
    /// The verdict on the signer was made before a list of revoked certificates that is installed by now.
    VerdictOutdated = "verdict-outdated", Precondition, true;
    /// A member of the cluster runs a version that does not know the command, or does not answer.
    MembersOutdated = "members-outdated", Precondition, true;
    /// The signer's unit is not the record's.
    SignerUnitMismatch = "signer-unit-mismatch", Forbidden, false;
    /// The connection presented no client certificate.
    ClientCertificateMissing = "client-certificate-missing", Unauthenticated, false;
    /// The client certificate names no role.
    IdentityMissing = "identity-missing", Unauthenticated, false;
    /// The connection may not submit or read for this unit.
    UnitNotPermitted = "unit-not-permitted", Forbidden, false;
    /// The connection's role does not include this call.
    RoleNotPermitted = "role-not-permitted", Forbidden, false;
    /// The record id is held by another header.
    RecordIdConflict = "record-id-conflict", Conflict, false;
    /// The superseded record does not exist in this series.
    SupersedesUnknown = "supersedes-unknown", Precondition, false;
    /// The superseded record is not the latest of its series.
    SupersedesNotLatest = "supersedes-not-latest", Precondition, false;
    /// The series has a revision already, and the record supersedes none.
    SeriesHasHead = "series-has-head", Precondition, false;
    /// A certificate of the chain is not stored.
    CertificateNotStored = "certificate-not-stored", Precondition, true;
    /// The data key is not applied yet.
    KeyNotApplied = "key-not-applied", Precondition, true;
    /// The proposal is of another epoch than the state.
    EpochMismatch = "epoch-mismatch", Precondition, true;
    /// No such record, or not yours to read.
    RecordUnknown = "record-unknown", NotFound, false;
    /// The page token was not made by this cluster, or was changed.
    PageTokenInvalid = "page-token-invalid", Invalid, false;
    /// The page token is too old, or of a log that this node no longer has.
    PageTokenExpired = "page-token-expired", Precondition, false;
    /// The page token is of another query or another caller.
    PageTokenMismatch = "page-token-mismatch", Invalid, false;
    /// A watch is to begin before the first record.
    WatchBeforeFirst = "watch-before-first", Invalid, false;
    /// A watch is to begin behind the end of the log.
    WatchFromFuture = "watch-from-future", Precondition, false;
    /// This node does not lead, and the request was not proposed.
    NotLeader = "not-leader", Unavailable, true;
    /// No leader is known.
    NoLeader = "no-leader", Unavailable, true;
    /// The request may or may not take effect.
    OutcomeUnknown = "outcome-unknown", Unknown, true;
    /// A queue is full.
    Overloaded = "overloaded", Exhausted, true;
    /// The node's disk is below its reserve.
    DiskReserve = "disk-reserve", Unavailable, true;
    /// The leader's clock is too far from the others'.
    ClockOff = "clock-off", Unavailable, true;
    /// The unit sends more than it may.
    QuotaExceeded = "quota-exceeded", Exhausted, true;
    /// The client sent or took nothing for too long.
    StreamIdle = "stream-idle", Unavailable, true;
    /// The node is shutting down.
    NodeStopping = "node-stopping", Unavailable, true;
    /// The cluster is not formed yet.
    NotInitialized = "not-initialized", Precondition, true;
    /// The cluster is formed already.
    AlreadyInitialized = "already-initialized", Precondition, false;
    /// The node has no keys and cannot do this.
    KeysMissing = "keys-missing", Unavailable, true;
    /// The node's disk failed; it stops.
    StorageFailed = "storage-failed", Fault, true;
    /// A stored record does not match its leaf.
    RecordDamaged = "record-damaged", Fault, true;
    /// No voting member of the cluster has this id.
    MemberUnknown = "member-unknown", NotFound, false;
    /// The id is that of a voting member already.
    MemberExists = "member-exists", Conflict, false;
    /// The member leads, and a leader does not vote itself out.
    MemberLeads = "member-leads", Precondition, true;
    /// Another change of members is under way.
    MembershipChanging = "membership-changing", Precondition, true;
    /// Too few members answer for a change of members.
    QuorumAtRisk = "quorum-at-risk", Precondition, true;
    /// A peer message is of another cluster, node, log or version.
    PeerMismatch = "peer-mismatch", Forbidden, false;
    /// A receipt does not verify.
    ReceiptInvalid = "receipt-invalid", Invalid, false;
    /// A report document breaks its schema.
    ReportInvalid = "report-invalid", Invalid, false;
    /// An entry of the catalogue breaks its schema or a rule.
    CatalogueInvalid = "catalogue-invalid", Invalid, false;
    /// The regime is reserved for the catalogue, and the signer is not the unit that keeps it.
    CatalogueForbidden = "catalogue-forbidden", Forbidden, false;
    /// The cluster keeps no catalogue.
    CatalogueMissing = "catalogue-missing", Precondition, false;
    /// The catalogue has no room for another entry.
    CatalogueFull = "catalogue-full", Precondition, false;
    /// The catalogue has no such unit.
    UnitUnknown = "unit-unknown", Precondition, false;
    /// The unit is not yet or no longer valid for the period.
    UnitNotValid = "unit-not-valid", Precondition, false;
    /// The catalogue has no such regime.
    RegimeUnknown = "regime-unknown", Precondition, false;
    /// The regime is not yet or no longer valid for the period.
    RegimeNotValid = "regime-not-valid", Precondition, false;
    /// The unit does not report under the regime.
    RegimeNotOfUnit = "regime-not-of-unit", Precondition, false;
    /// The period is not one of the regime's frequency.
    PeriodNotOfRegime = "period-not-of-regime", Invalid, false;
    /// The period has not begun.
    PeriodInFuture = "period-in-future", Precondition, false;
    /// The regime takes no attachments.
    AttachmentsNotOfRegime = "attachments-not-of-regime", Invalid, false;
    /// Figures break the rules of their regime.
    FiguresInvalid = "figures-invalid", Invalid, false;
    /// The signer of a drill's records is not of the reserved unit.
    DrillUnitRequired = "drill-unit-required", Precondition, false;
    /// The cluster is not in a state in which a drill costs nothing.
    ClusterUnhealthy = "cluster-unhealthy", Precondition, true;
    /// A drill's fault was not caused: its command failed.
    DrillFaultFailed = "drill-fault-failed", Precondition, true;
    /// What a drill broke was not mended: its command failed.
    DrillNotHealed = "drill-not-healed", Fault, false;
    /// A drill showed that a requirement is not met, or its fault took no effect.
    DrillNotMet = "drill-not-met", Precondition, true;
    /// No path that the public log has.
    LogPathUnknown = "log-path-unknown", NotFound, false;
    /// A path of a tile or bundle that is not of the grammar.
    LogPathMalformed = "log-path-malformed", Invalid, false;
    /// A tile or bundle that the log does not have yet, as far as this node has applied.
    LogTileAbsent = "log-tile-absent", NotFound, true;
    /// The public log is read only.
    LogMethodNotAllowed = "log-method-not-allowed", Invalid, false;
    /// No path that HTTP has on the client listener.
    HttpPathUnknown = "http-path-unknown", NotFound, false;
    /// The path does not have the method.
    HttpMethodNotAllowed = "http-method-not-allowed", Invalid, false;
    /// The resource has no form that the caller accepts.
    HttpNotAcceptable = "http-not-acceptable", Invalid, false;
    /// The request's body has no length that counts before it comes.
    HttpLengthRequired = "http-length-required", Invalid, false;
    /// The request's body is of a media type that is not taken.
    HttpMediaTypeUnsupported = "http-media-type-unsupported", Invalid, false;
    /// Two signed checkpoints of one log are not of one tree.
    LogForked = "log-forked", Fault, false;
    /// A signed checkpoint has fewer leaves than an older one.
    LogShrank = "log-shrank", Fault, false;
    /// Tiles or bundles of a log are not those of its signed checkpoint.
    LogTilesInvalid = "log-tiles-invalid", Fault, true;
    /// A leaf of a log breaks a rule of its format.
    LogLeafInvalid = "log-leaf-invalid", Fault, false;
    /// A log does not answer as a log does.
    LogUnusable = "log-unusable", Unavailable, true;
    /// An outbox has no room for another record.
    OutboxFull = "outbox-full", Exhausted, true;
    /// Another process has the outbox open.
    OutboxLocked = "outbox-locked", Precondition, true;
    /// There is no outbox in the directory.
    OutboxMissing = "outbox-missing", NotFound, false;
    /// What lies in an outbox's directory does not open.
    OutboxDamaged = "outbox-damaged", Fault, false;
    /// The disk under an outbox failed.
    OutboxStorageFailed = "outbox-storage-failed", Fault, true;
    /// A record supersedes one that was refused, and went with it.
    OutboxPredecessorRefused = "outbox-predecessor-refused", Precondition, false;
    /// A record was given up by hand while it waited in an outbox, and may be in.
    OutboxGivenUp = "outbox-given-up", Precondition, false;
    /// The keyring does not decode or its checksum is wrong.
    KeyringCorrupt = "keyring-corrupt", Startup, false;
    /// The keyring is not there, or can't be read or written.
    KeyringUnreadable = "keyring-unreadable", Startup, false;
    /// A keyring was to be made where there is a file already.
    KeyringExists = "keyring-exists", Startup, false;
    /// The keyring is of another cluster.
    KeyringOtherCluster = "keyring-other-cluster", Startup, false;
    /// The keyring can be read by others.
    KeyringPermissions = "keyring-permissions", Startup, false;
    /// The keyring is not the one that the data was sealed with.
    KeyringFingerprintMismatch = "keyring-fingerprint-mismatch", Startup, false;
    /// The data directory is of another cluster.
    DataDirOtherCluster = "data-dir-other-cluster", Startup, false;
    /// The data directory is of another node.
    DataDirOtherNode = "data-dir-other-node", Startup, false;
    /// The data directory is absent or empty, and nobody asked for a new one.
    DataDirMissing = "data-dir-missing", Startup, false;
    /// A new data directory was asked for where something is already.
    DataDirNotEmpty = "data-dir-not-empty", Startup, false;
    /// Another process holds the data directory.
    DataDirLocked = "data-dir-locked", Startup, true;
    /// The data directory does not open.
    DataDirDamaged = "data-dir-damaged", Startup, false;
    /// A listening address is taken.
    PortInUse = "port-in-use", Startup, true;
    /// The configuration does not parse, or a field is unknown.
    ConfigInvalid = "config-invalid", Startup, false;
    /// A configured value is out of its range.
    ConfigOutOfRange = "config-out-of-range", Startup, false;
    /// A certificate, key or trust file is missing or does not parse.
    TlsFileInvalid = "tls-file-invalid", Startup, false;
}

impl Code {
    /// The code of a stable text, if there is one.
    pub fn parse(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

/// A refusal as it travels: a stable code, a sentence, what was expected and found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct Refusal {
    /// Stable code.
    pub code: Code,
    /// One sentence in lower case, without the code.
    pub message: String,
    /// What would have been right; may be empty.
    pub expected: String,
    /// What was there instead; may be empty. Never secret content.
    pub found: String,
    /// Wait at least this long before trying again.
    pub retry_after: Option<Duration>,
    /// Leaf of the record that holds the id; to the same unit only.
    pub evidence_leaf: Option<Bytes>,
    /// Size of the log that the answer reflects: position for history checkers.
    pub log_size: Option<u64>,
    /// Each field of the payload that breaks its rule.
    pub fields: FieldErrors,
}

impl Refusal {
    /// A refusal with a message only.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            expected: String::new(),
            found: String::new(),
            retry_after: None,
            evidence_leaf: None,
            log_size: None,
            fields: FieldErrors::default(),
        }
    }

    /// Says what was expected and what was found.
    pub fn expected_found(mut self, expected: impl Into<String>, found: impl Into<String>) -> Self {
        self.expected = expected.into();
        self.found = found.into();
        self
    }
}

/// Characters of a quoted text in a message, at most: a message must not carry 64 KiB of someone's header.
pub const EXCERPT_LENGTH_MAX: usize = 64;

/// `text` in quotes for a message: control characters escaped, cut after [`EXCERPT_LENGTH_MAX`] characters.
pub fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_LENGTH_MAX) {
        None => format!("{text:?}"),
        Some((cut, _)) => format!("{:?}... ({} bytes)", &text[..cut], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, excerpt};
    use std::collections::BTreeSet;

    #[test]
    fn texts_are_unique_and_parse() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
        }
    }

    #[test]
    fn an_excerpt_is_bounded_and_escaped() {
        assert_eq!(excerpt("2020-W24\n"), "\"2020-W24\\n\"");
        assert!(excerpt(&"ạ".repeat(40_000)).len() < 300);
    }

    #[test]
    fn each_code_has_its_row_in_the_documentation() {
        let page = include_str!("../../docs/errors/README.md");
        for code in Code::ALL {
            let retry = if code.retry() { "yes" } else { "no" };
            let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", code.as_str())));
            let row = row.unwrap_or_else(|| panic!("docs/errors/README.md has no row for {}", code.as_str()));
            assert!(row.contains(&format!(" | {retry} | ")), "docs/errors/README.md: retry of {}", code.as_str());
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, Code::ALL.len(), "a row without a code");
    }
}
