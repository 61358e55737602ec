//! Bounds of an entry and its commands. A command beyond one is refused with `request-malformed`.
//!
//! They belong to the entry's version: whether a committed command is taken must never depend on the build
//! that applies it, so a changed bound is a new entry version.

use kho_proto::pb::ledger::v1::{Command, command::Kind};
use kho_proto::{certificate, header, object, period, sealed, signature};

/// Versions of entries that this build applies. A proposer takes the least that holds its commands.
pub const ENTRY_VERSIONS: std::ops::RangeInclusive<u32> = 1..=2;

/// The least version of an entry that can hold a command.
pub fn entry_version(command: &Command) -> u32 {
    match &command.kind {
        Some(Kind::InstallCrl(_) | Kind::PutObjectChunk(_) | Kind::CompleteObject(_) | Kind::DropObjects(_)) => 2,
        Some(Kind::Submit(submit)) if submit.crl_version > 0 || !submit.object_ids.is_empty() => 2,
        Some(Kind::Genesis(_) | Kind::CreateDataKey(_) | Kind::Submit(_)) | None => 1,
    }
}

/// Bytes of an encoded entry, at most: one record of the largest size, whole chain included, with room.
pub const ENTRY_LENGTH_MAX: usize = 8 << 20;

/// Commands in an entry, at most: an entry of a mebibyte holds 16,384 of 64 bytes, and no useful one is shorter.
pub const ENTRY_COMMANDS_MAX: usize = 16_384;

/// The leader's clock in an entry, Unix milliseconds, at most: the end of the year 9999, the last that RFC 3339 can write.
pub const PROPOSED_AT_MS_MAX: u64 = 253_402_300_799_999;

/// Bytes that sealing adds to a part, at most: version, nonce, tag.
pub const SEALING_OVERHEAD_MAX: usize = 64;

/// Bytes of a sealed head, at most: a header with every receiver and its signature block.
pub const SEALED_HEAD_LENGTH_MAX: usize = (256 << 10) + SEALING_OVERHEAD_MAX;

/// Bytes of a sealed payload, at most: 4 MiB of payload.
pub const SEALED_PAYLOAD_LENGTH_MAX: usize = (4 << 20) + SEALING_OVERHEAD_MAX;

/// Bytes of a sealed certificate, at most.
pub const SEALED_CERTIFICATE_LENGTH_MAX: usize = (16 << 10) + SEALING_OVERHEAD_MAX;

/// Bytes of a wrapped data key, at most: hardware and vault formats included.
pub const WRAPPED_KEY_LENGTH_MAX: usize = 4 << 10;

/// Bytes of a list of revoked certificates, at most.
pub const CRL_LENGTH_MAX: usize = 1 << 20;

/// Bytes of a sealed chunk of an attachment, at most: 256 KiB of content.
pub const SEALED_CHUNK_LENGTH_MAX: usize = (256 << 10) + SEALING_OVERHEAD_MAX;

/// Bytes of an attachment's content, at most: 16,384 chunks, which one command completes and one drops.
pub const OBJECT_LENGTH_MAX: u64 = 4 << 30;

/// Attachments of a record, at most.
pub const ATTACHMENTS_MAX: usize = 64;

/// Objects that one command drops, at most.
pub const DROPPED_OBJECTS_MAX: usize = 64;

/// Certificates in a signer's chain without the root, at most.
pub const CHAIN_LENGTH_MAX: usize = 8;

/// Receivers of a record, at most: every ministry and province, with room.
pub const RECEIVERS_MAX: usize = 256;

/// Bytes of a period, at most.
pub const PERIOD_LENGTH_MAX: usize = 64;

/// Rows that a record writes if it has at most one receiver, brings no certificate, and leaves aside what the
/// whole entry (one `Sizes` row) and each 256 leaves (one tile) write.
pub const ROWS_PER_RECORD_MAX: usize = 6;

const _: () = assert!(
    SEALED_HEAD_LENGTH_MAX + SEALED_PAYLOAD_LENGTH_MAX + CHAIN_LENGTH_MAX * SEALED_CERTIFICATE_LENGTH_MAX
        < ENTRY_LENGTH_MAX,
    "an entry must hold the largest record"
);
const _: () = assert!(PERIOD_LENGTH_MAX <= u8::MAX as usize, "a record row writes the length in one byte");

/// Bytes of tags and lengths around header and signature block in a head.
const HEAD_FRAMING_MAX: usize = 16;

// Whatever passes the checks on its sender's bytes fits here.
const _: () = assert!(sealed::OVERHEAD <= SEALING_OVERHEAD_MAX);
const _: () = assert!(
    header::HEADER_LENGTH_MAX + signature::SIGNATURE_BLOCK_LENGTH_MAX + HEAD_FRAMING_MAX + sealed::OVERHEAD
        <= SEALED_HEAD_LENGTH_MAX
);
const _: () = assert!(header::PAYLOAD_LENGTH_MAX + sealed::OVERHEAD <= SEALED_PAYLOAD_LENGTH_MAX);
const _: () = assert!(certificate::CERTIFICATE_LENGTH_MAX + sealed::OVERHEAD <= SEALED_CERTIFICATE_LENGTH_MAX);
const _: () = assert!(sealed::WRAPPED_KEY_LENGTH <= WRAPPED_KEY_LENGTH_MAX);
const _: () = assert!(certificate::CRL_LENGTH_MAX <= CRL_LENGTH_MAX);
const _: () = assert!(signature::CHAIN_LENGTH_MAX <= CHAIN_LENGTH_MAX);
const _: () = assert!(header::RECEIVERS_MAX <= RECEIVERS_MAX);
const _: () = assert!(period::PERIOD_LENGTH_MAX <= PERIOD_LENGTH_MAX);
const _: () = assert!(object::CHUNK_LENGTH + sealed::OVERHEAD <= SEALED_CHUNK_LENGTH_MAX);
const _: () = assert!(header::ATTACHMENTS_MAX <= ATTACHMENTS_MAX);
const _: () = assert!(OBJECT_LENGTH_MAX / object::CHUNK_LENGTH as u64 <= u32::MAX as u64);
