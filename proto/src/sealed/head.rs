//! Plaintext of the part `head`: header and signature block, byte for byte as the sender made them.

use std::fmt;

use bytes::Bytes;
use prost::Message;

use super::Error;

/// Protobuf `{ bytes header = 1; bytes signature_block = 2; }`.
#[derive(Clone, PartialEq, Eq, Message)]
#[prost(skip_debug)]
pub struct Head {
    /// Encoded header.
    #[prost(bytes = "bytes", tag = "1")]
    pub header: Bytes,
    /// Encoded signature block.
    #[prost(bytes = "bytes", tag = "2")]
    pub signature_block: Bytes,
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({} + {} bytes)", self.header.len(), self.signature_block.len())
    }
}

impl Head {
    /// The plaintext to seal.
    pub fn to_plaintext(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// From an opened part.
    pub fn from_plaintext(plaintext: Vec<u8>) -> Result<Head, Error> {
        Head::decode(Bytes::from(plaintext)).map_err(Error::HeadMalformed)
    }
}
