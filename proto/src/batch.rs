//! Many records in one message or one stream: the bounds, and which certificates need not be sent again. Both ends must
//! come to the same.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use prost::Message;

use crate::certificate::CERTIFICATE_LENGTH_MAX;
use crate::digest::Digest;
use crate::pb::v1::{SignatureBlock, SignedRecord};
use crate::record::RECORD_LENGTH_MAX;

/// Records of one `SubmitMany`, at most: verifying so many takes some tens of milliseconds.
pub const SUBMIT_MANY_RECORDS_MAX: usize = 256;
/// Bytes of one `SubmitMany`, at most: a single record of the largest size fits.
pub const SUBMIT_MANY_BYTES_MAX: usize = 4480 << 10;
/// Records of a stream whose results its client has not taken, at most; the node reads no further before it takes one.
pub const STREAM_IN_FLIGHT_MAX: usize = 128;
/// Certificates that are kept for records which leave them out, at most: the signers of a platform's units.
pub const CERTIFICATES_KEPT_MAX: usize = 128;
/// Their bytes, at most: what an open stream may cost a node.
pub const CERTIFICATES_KEPT_BYTES_MAX: usize = 256 << 10;

const _: () = assert!(SUBMIT_MANY_BYTES_MAX >= RECORD_LENGTH_MAX + 64, "the largest record goes alone, too");
const _: () = assert!(CERTIFICATES_KEPT_BYTES_MAX >= 6 * CERTIFICATE_LENGTH_MAX);

/// Certificates that travelled before.
#[derive(Debug, Default)]
pub struct Known {
    certificates: BTreeMap<Digest, Bytes>,
    bytes: usize,
}

impl Known {
    /// Keeps what there is room for, and names what is new. Both ends call it for the same certificates in the same order.
    pub fn learn(&mut self, certificates: &[Bytes]) -> Vec<Bytes> {
        let mut new = Vec::new();
        for certificate in certificates {
            let full = self.certificates.len() >= CERTIFICATES_KEPT_MAX
                || self.bytes + certificate.len() > CERTIFICATES_KEPT_BYTES_MAX;
            if full || certificate.len() > CERTIFICATE_LENGTH_MAX {
                continue;
            }
            if let Entry::Vacant(place) = self.certificates.entry(Digest::of(certificate)) {
                // the record's certificates may share memory with all of its payload
                new.push(place.insert(Bytes::copy_from_slice(certificate)).clone());
                self.bytes += certificate.len();
            }
        }
        new
    }

    /// Gives a record without certificates those that its signature block names, if all of them are known. Whether they
    /// are the right ones is for the verification to say, as ever.
    pub fn fill(&self, record: &mut SignedRecord) {
        if record.certificates.is_empty() && !self.certificates.is_empty() {
            record.certificates = self.named(&record.signature_block).unwrap_or_default();
        }
    }

    /// The record without its certificates, if all of them are known at the other end.
    pub fn without(&self, record: &SignedRecord) -> Option<SignedRecord> {
        let known = !record.certificates.is_empty()
            && self.named(&record.signature_block).is_some_and(|named| named == record.certificates);
        known.then(|| SignedRecord { certificates: Vec::new(), ..record.clone() })
    }

    fn named(&self, signature_block: &Bytes) -> Option<Vec<Bytes>> {
        let block = SignatureBlock::decode(signature_block.clone()).ok()?;
        let find = |digest: &Bytes| self.certificates.get(&Digest::try_from(digest.as_ref()).ok()?).cloned();
        block.certificate_digests.iter().map(find).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(certificates: &[Bytes]) -> SignedRecord {
        let digest = |certificate: &Bytes| Bytes::copy_from_slice(Digest::of(certificate).as_ref());
        let block = SignatureBlock {
            version: 1,
            certificate_digests: certificates.iter().map(digest).collect(),
            ..SignatureBlock::default()
        };
        SignedRecord {
            signature_block: block.encode_to_vec().into(),
            certificates: certificates.to_vec(),
            ..SignedRecord::default()
        }
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let chain = [Bytes::from_static(b"signer"), Bytes::from_static(b"issuer")];
        let (mut known, whole) = (Known::default(), record(&chain));
        assert_eq!(known.without(&whole), None, "nothing was sent yet");
        known.learn(&chain[..1]);
        assert_eq!(known.without(&whole), None, "the issuer was not");
        known.learn(&chain);
        let mut sent = known.without(&whole).unwrap();
        assert!(sent.certificates.is_empty());
        known.fill(&mut sent);
        assert_eq!(sent, whole);
    }

    #[test]
    fn what_is_not_known_stays_missing() {
        let mut sent = SignedRecord { certificates: Vec::new(), ..record(&[Bytes::from_static(b"signer")]) };
        let mut known = Known::default();
        known.learn(&[Bytes::from_static(b"another")]);
        known.fill(&mut sent);
        assert!(sent.certificates.is_empty());
        let mut garbage = SignedRecord { signature_block: Bytes::from_static(b"\xff"), ..SignedRecord::default() };
        known.fill(&mut garbage);
        assert!(garbage.certificates.is_empty());
    }

    #[test]
    fn no_more_is_kept_than_the_bounds_say() {
        let certificate = |n: usize, length: usize| Bytes::from(vec![n as u8; length]);
        let mut many = Known::default();
        (0..200).for_each(|n| drop(many.learn(&[certificate(n, 100)])));
        assert_eq!(many.certificates.len(), CERTIFICATES_KEPT_MAX);
        let mut large = Known::default();
        (0..200).for_each(|n| drop(large.learn(&[certificate(n, CERTIFICATE_LENGTH_MAX)])));
        assert_eq!(large.bytes, CERTIFICATES_KEPT_BYTES_MAX);
        assert!(large.learn(&[certificate(0, CERTIFICATE_LENGTH_MAX)]).is_empty(), "the same again costs nothing");
        let mut oversize = Known::default();
        oversize.learn(&[certificate(1, CERTIFICATE_LENGTH_MAX + 1)]);
        assert_eq!(oversize.bytes, 0);
    }
}
