//! Public keys of signers, from DER SubjectPublicKeyInfo.

use std::fmt;
use std::ops::RangeInclusive;

use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::Error;

/// Bits of an RSA modulus that are accepted.
pub const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

/// Kinds of keys that may sign records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RFC 8410.
    Ed25519,
    /// NIST P-256.
    EcdsaP256,
    /// RFC 3279, of [`RSA_BITS`].
    Rsa {
        /// Size of the modulus.
        bits: usize,
    },
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyKind::Ed25519 => f.write_str("ed25519"),
            KeyKind::EcdsaP256 => f.write_str("p-256"),
            KeyKind::Rsa { bits } => write!(f, "rsa of {bits} bits"),
        }
    }
}

/// A public key of an accepted kind and size.
#[derive(Debug, Clone)]
pub struct PublicKey<'a> {
    kind: KeyKind,
    bits: &'a [u8],
}

impl<'a> PublicKey<'a> {
    /// Parses DER SubjectPublicKeyInfo and checks kind and size.
    pub fn from_der(der: &'a [u8]) -> Result<Self, Error> {
        match SubjectPublicKeyInfo::from_der(der) {
            Ok(([], info)) => Self::from_info(info),
            Ok(_) | Err(_) => Err(Error::KeyMalformed),
        }
    }

    fn from_info(info: SubjectPublicKeyInfo<'a>) -> Result<Self, Error> {
        let algorithm = &info.algorithm.algorithm;
        let kind = if *algorithm == OID_SIG_ED25519 {
            KeyKind::Ed25519
        } else if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
            let curve = info.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
            match curve {
                Some(curve) if curve == OID_EC_P256 => KeyKind::EcdsaP256,
                Some(curve) => return Err(Error::KeyUnsupported { found: format!("elliptic curve {curve}") }),
                None => return Err(Error::KeyMalformed),
            }
        } else if *algorithm == OID_PKCS1_RSAENCRYPTION {
            rsa(&info.subject_public_key.data)?
        } else {
            return Err(Error::KeyUnsupported { found: format!("key algorithm {algorithm}") });
        };
        match info.subject_public_key.data {
            std::borrow::Cow::Borrowed(bits) => Ok(PublicKey { kind, bits }),
            // The parser borrows; a copy would mean that it rewrote the key.
            std::borrow::Cow::Owned(_) => Err(Error::KeyMalformed),
        }
    }

    /// Its kind and size.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Content of the bit string: raw Ed25519 key, P-256 point, or DER RSAPublicKey.
    pub fn bits(&self) -> &'a [u8] {
        self.bits
    }
}

fn rsa(der: &[u8]) -> Result<KeyKind, Error> {
    let (rest, key) = RSAPublicKey::from_der(der).map_err(|_| Error::KeyMalformed)?;
    let modulus = key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus);
    let first = *modulus.first().ok_or(Error::KeyMalformed)?;
    if !rest.is_empty() || first == 0 {
        return Err(Error::KeyMalformed);
    }
    let bits = modulus.len() * 8 - first.leading_zeros() as usize;
    if RSA_BITS.contains(&bits) {
        Ok(KeyKind::Rsa { bits })
    } else {
        Err(Error::KeyUnsupported { found: KeyKind::Rsa { bits }.to_string() })
    }
}
