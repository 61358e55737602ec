//! A record as its sender made it: put together, and verified in full. No state, no clock.

mod draft;
mod error;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use prost::Message;

pub use draft::{Draft, SignError, assemble, sign};
pub use error::Error;

use crate::certificate::{self, CERTIFICATE_LENGTH_MAX, CHAIN_LENGTH_MAX, Signer, TrustRoots};
use crate::digest::Digest;
use crate::dsse;
use crate::header::{HEADER_LENGTH_MAX, Header, PAYLOAD_LENGTH_MAX};
use crate::id::UnixMs;
use crate::pb::v1::SignedRecord;
use crate::signature::{self, SIGNATURE_BLOCK_LENGTH_MAX, SignatureBlock};

/// Bytes of an encoded record (`ID.record`), at most.
pub const RECORD_LENGTH_MAX: usize = PAYLOAD_LENGTH_MAX
    + HEADER_LENGTH_MAX
    + SIGNATURE_BLOCK_LENGTH_MAX
    + CHAIN_LENGTH_MAX * CERTIFICATE_LENGTH_MAX
    + 64; // tags and lengths

/// A record whose header, payload, chain, signature and unit were checked. Made by [`verify_record`] only.
#[derive(Debug, Clone)]
pub struct VerifiedRecord {
    record: SignedRecord,
    header: Header,
    block: SignatureBlock,
    signer: Signer,
    header_digest: Digest,
    block_digest: Digest,
}

impl VerifiedRecord {
    /// The bytes that were verified.
    pub fn record(&self) -> &SignedRecord {
        &self.record
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The signature block.
    pub fn block(&self) -> &SignatureBlock {
        &self.block
    }

    /// Who signed it.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// SHA-256 of the header's bytes: the record's identity.
    pub fn header_digest(&self) -> Digest {
        self.header_digest
    }

    /// SHA-256 of the signature block's bytes.
    pub fn block_digest(&self) -> Digest {
        self.block_digest
    }
}

/// Verifies all that can be verified without state: header rules, payload, certificates, chain at a time, unit and
/// signature. Submitted-at against a clock and attachments are the node's to check.
pub fn verify_record(record: &SignedRecord, roots: &TrustRoots, at: UnixMs) -> Result<VerifiedRecord, Error> {
    verify_record_with(record, |chain| roots.verify_chain(chain, at))
}

/// Like [`verify_record`], with the verdict on the chain from `verify_chain`, which may have it cached.
pub fn verify_record_with(
    record: &SignedRecord,
    verify_chain: impl FnOnce(&[Bytes]) -> Result<Signer, certificate::Error>,
) -> Result<VerifiedRecord, Error> {
    let header = Header::decode(&record.header)?;
    header.check_payload(&record.payload)?;
    let block = SignatureBlock::decode(&record.signature_block)?;
    check_certificates(&block, &record.certificates)?;
    let signer = verify_chain(&record.certificates)?;
    if signer.unit != header.unit {
        return Err(Error::SignerUnit { expected: header.unit, found: signer.unit });
    }
    let message = dsse::signed_bytes(&record.header);
    signature::verify(block.algorithm, &signer.public_key_info, &message, &block.signature)?;
    Ok(VerifiedRecord {
        header_digest: Digest::of(&record.header),
        block_digest: Digest::of(&record.signature_block),
        record: record.clone(),
        header,
        block,
        signer,
    })
}

/// The certificates sent must be those that the block names, one to one and in order.
fn check_certificates(block: &SignatureBlock, certificates: &[Bytes]) -> Result<(), Error> {
    let expected = &block.certificate_digests;
    if expected.len() != certificates.len() {
        return Err(Error::CertificateCount { expected: expected.len(), found: certificates.len() });
    }
    for (position, (expected, certificate)) in expected.iter().zip(certificates).enumerate() {
        let found = Digest::of(certificate);
        if found != *expected {
            return Err(Error::CertificateOther { position, expected: *expected, found });
        }
    }
    Ok(())
}

/// Decodes the file `ID.record`. Nothing is verified.
pub fn from_file(bytes: impl Into<Bytes>) -> Result<SignedRecord, Error> {
    let bytes = bytes.into();
    if bytes.len() > RECORD_LENGTH_MAX {
        return Err(Error::TooLong { found: bytes.len() });
    }
    SignedRecord::decode(bytes).map_err(Error::Malformed)
}

/// Encodes the file `ID.record`.
pub fn to_file(record: &SignedRecord) -> Vec<u8> {
    record.encode_to_vec()
}
