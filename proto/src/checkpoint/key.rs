//! The log's key: signs checkpoints on the node, verifies them everywhere.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{Checkpoint, Error, Origin, note};
use crate::error::excerpt;
use crate::sealed::secret;

secret!(
    /// Ed25519 seed (RFC 8032) of a log's key, from the keyring.
    LogKey
);

impl LogKey {
    /// The raw public key, which the genesis record carries.
    pub fn public_key(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.key_pair().public_key().as_ref());
        out
    }

    fn key_pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(self.as_bytes()).expect("any 32 bytes are an ed25519 seed")
    }
}

/// Signs checkpoints of one log.
pub struct LogSigner {
    key_pair: Ed25519KeyPair,
    verifier_key: VerifierKey,
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogSigner({})", self.verifier_key)
    }
}

impl LogSigner {
    /// For the log that `origin` names.
    pub fn new(key: &LogKey, origin: Origin) -> Self {
        LogSigner { key_pair: key.key_pair(), verifier_key: VerifierKey::new(origin, key.public_key()) }
    }

    /// The signed note. Ed25519 is deterministic: the same checkpoint gives the same bytes.
    ///
    /// # Panics
    /// If the checkpoint is of another log: signing it would be a lie under this log's name.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Bytes {
        let key = &self.verifier_key;
        assert_eq!(checkpoint.origin, key.origin, "a log signs only its own checkpoints");
        let body = checkpoint.body();
        let signature = self.key_pair.sign(body.as_bytes());
        note::compose(&body, key.origin.as_str(), key.key_id(), signature.as_ref()).into()
    }

    /// What verifies its signatures.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier_key
    }

    /// The log.
    pub fn origin(&self) -> &Origin {
        &self.verifier_key.origin
    }
}

/// What verifies a log's checkpoints. As text a C2SP verifier key: `<origin>+<key id>+<base64(0x01 ‖ public key)>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    origin: Origin,
    public_key: [u8; 32],
}

impl VerifierKey {
    /// From a raw Ed25519 public key.
    pub fn new(origin: Origin, public_key: [u8; 32]) -> Self {
        VerifierKey { origin, public_key }
    }

    /// The log.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The raw public key.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    fn key_id(&self) -> u32 {
        note::key_id(self.origin.as_str(), &self.public_key)
    }

    /// The checkpoint in a note, once the log's signature on it is verified.
    pub fn open(&self, note: &[u8]) -> Result<Checkpoint, Error> {
        let text = note::open(note, self.origin.as_str(), &self.public_key)?;
        let checkpoint = Checkpoint::from_body(text)?;
        if checkpoint.origin != self.origin {
            return Err(Error::OtherOrigin { expected: self.origin.clone(), found: checkpoint.origin });
        }
        Ok(checkpoint)
    }
}

impl FromStr for VerifierKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| Error::VerifierKey { found: excerpt(text) })
    }
}

fn parse(text: &str) -> Option<VerifierKey> {
    // Base64 may hold more of the separator; the name may not.
    let (name, rest) = text.split_once('+')?;
    let (id, base64) = rest.split_once('+')?;
    let bytes = BASE64.decode(base64).ok()?;
    let (kind, public_key) = bytes.split_first()?;
    let key = VerifierKey::new(name.parse().ok()?, public_key.try_into().ok()?);
    (*kind == note::ED25519_TYPE && format!("{:08x}", key.key_id()) == id).then_some(key)
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = BASE64.encode([&[note::ED25519_TYPE][..], &self.public_key].concat());
        write!(f, "{}+{:08x}+{material}", self.origin, self.key_id())
    }
}
