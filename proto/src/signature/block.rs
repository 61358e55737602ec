//! Who signed a header and how, as it is stored and hashed into the leaf.

use std::fmt::Display;

use bytes::Bytes;
use prost::Message;

use super::{Algorithm, CHAIN_LENGTH_MAX, Error, SIGNATURE_BLOCK_LENGTH_MAX, SIGNATURE_LENGTH_MAX, VERSION};
use crate::digest::Digest;
use crate::pb::v1 as pb;

/// A signature, how it was made, and the certificates that lead to a trusted root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureBlock {
    /// How the header is signed.
    pub algorithm: Algorithm,
    /// Over [`crate::dsse::signed_bytes`].
    pub signature: Bytes,
    /// SHA-256 of each DER certificate: the signer's first, then towards the root, without the root.
    pub certificate_digests: Vec<Digest>,
}

fn field(field: &'static str, expected: impl Display, found: impl Display) -> Error {
    Error::BlockField { field, expected: expected.to_string(), found: found.to_string() }
}

impl SignatureBlock {
    /// Decodes a canonical block and checks its fields; the signature itself is not verified.
    pub fn decode(bytes: &[u8]) -> Result<SignatureBlock, Error> {
        if bytes.len() > SIGNATURE_BLOCK_LENGTH_MAX {
            return Err(Error::BlockTooLong { found: bytes.len() });
        }
        let message = pb::SignatureBlock::decode(bytes).map_err(Error::BlockMalformed)?;
        if message.version != VERSION {
            return Err(field("version", VERSION, message.version));
        }
        if message.encode_to_vec() != bytes {
            return Err(Error::BlockNotCanonical);
        }
        let algorithm = Algorithm::try_from(message.algorithm)?;
        if !(1..=SIGNATURE_LENGTH_MAX).contains(&message.signature.len()) {
            let expected = format_args!("1 to {SIGNATURE_LENGTH_MAX} bytes");
            return Err(field("signature", expected, format_args!("{} bytes", message.signature.len())));
        }
        Ok(SignatureBlock {
            algorithm,
            signature: message.signature,
            certificate_digests: certificate_digests(&message.certificate_digests)?,
        })
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Bytes {
        let message = pb::SignatureBlock {
            version: VERSION,
            algorithm: pb::Algorithm::from(self.algorithm).into(),
            signature: self.signature.clone(),
            certificate_digests: self
                .certificate_digests
                .iter()
                .map(|digest| Bytes::copy_from_slice(digest.as_ref()))
                .collect(),
        };
        message.encode_to_vec().into()
    }
}

fn certificate_digests(messages: &[Bytes]) -> Result<Vec<Digest>, Error> {
    const FIELD: &str = "certificate_digests";
    if !(1..=CHAIN_LENGTH_MAX).contains(&messages.len()) {
        return Err(field(FIELD, format_args!("1 to {CHAIN_LENGTH_MAX}"), messages.len()));
    }
    let mut digests = Vec::with_capacity(messages.len());
    for message in messages {
        let digest = Digest::try_from(message.as_ref())
            .map_err(|error| field(FIELD, "32 bytes each", format_args!("{} bytes", error.found)))?;
        if digests.contains(&digest) {
            return Err(field(FIELD, "unique digests", digest));
        }
        digests.push(digest);
    }
    Ok(digests)
}
