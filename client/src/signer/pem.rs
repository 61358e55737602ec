//! A signer whose key lies in a PEM file.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use bytes::Bytes;
use kho_proto::error::Code;
use kho_proto::signature::Algorithm;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::{SignError, Signer};

/// Why a key file does not make a signer.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The certificate file holds no certificate.
    #[error("expected PEM certificates, found {found}")]
    Certificate {
        /// What was found instead.
        found: String,
    },
    /// The key file holds no private key.
    #[error("expected a PEM private key (PKCS#8, PKCS#1 or SEC 1), found {found}")]
    Key {
        /// What was found instead.
        found: String,
    },
    /// The key is none that may sign records.
    #[error("expected an Ed25519, ECDSA P-256 or RSA key of at least 2048 bits, found another")]
    KeyKind,
    /// The key can't do what was asked of it.
    #[error("expected a key for {expected:?}, found one for {found:?}")]
    Algorithm {
        /// Asked for.
        expected: Algorithm,
        /// What the key does unasked.
        found: Algorithm,
    },
    /// The key is not the certificate's.
    #[error("the private key does not belong to the certificate")]
    OtherKey,
}

impl PemError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            PemError::File { .. } | PemError::Certificate { .. } | PemError::Key { .. } | PemError::OtherKey => {
                Code::TlsFileInvalid
            }
            PemError::KeyKind => Code::CertificateKeyWeak,
            PemError::Algorithm { .. } => Code::AlgorithmUnsupported,
        }
    }
}

enum Key {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(rsa::KeyPair, Algorithm),
}

/// A private key from PEM, and its certificates.
pub struct PemSigner {
    key: Key,
    certificates: Vec<Bytes>,
}

impl PemSigner {
    /// From PEM texts. `algorithm` chooses between PKCS#1 (the default) and PSS for an RSA key, and is checked
    /// against the key otherwise.
    pub fn from_pem(certificates: &[u8], key: &[u8], algorithm: Option<Algorithm>) -> Result<Self, PemError> {
        let certificates = CertificateDer::pem_slice_iter(certificates)
            .map(|der| der.map(|der| Bytes::copy_from_slice(&der)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| PemError::Certificate { found: error.to_string() })?;
        let first = certificates.first().ok_or_else(|| PemError::Certificate { found: "none".to_owned() })?;
        let der = PrivateKeyDer::from_pem_slice(key).map_err(|error| PemError::Key { found: error.to_string() })?;
        let key = Key::parse(&der, algorithm)?;
        // SubjectPublicKeyInfo is a self-contained DER value: it stands in the certificate byte for byte.
        let public = key.public().ok_or(PemError::KeyKind)?;
        if !first.windows(public.as_ref().len()).any(|part| part == public.as_ref()) {
            return Err(PemError::OtherKey);
        }
        Ok(Self { key, certificates })
    }

    /// The same from files.
    pub fn from_files(certificates: &Path, key: &Path, algorithm: Option<Algorithm>) -> Result<Self, PemError> {
        let read = |path: &Path| std::fs::read(path).map_err(|source| PemError::File { path: path.to_owned(), source });
        let key = Zeroizing::new(read(key)?);
        Self::from_pem(&read(certificates)?, &key, algorithm)
    }
}

impl Key {
    fn parse(der: &PrivateKeyDer<'_>, algorithm: Option<Algorithm>) -> Result<Key, PemError> {
        let bytes = der.secret_der();
        let key = if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes) {
            Key::Ed25519(pair)
        } else if let Ok(pair) = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, bytes) {
            Key::P256(pair)
        } else {
            let parse = match der {
                PrivateKeyDer::Pkcs1(_) => rsa::KeyPair::from_der,
                _ => rsa::KeyPair::from_pkcs8,
            };
            let scheme = match algorithm {
                Some(Algorithm::RsaPssSha256) => Algorithm::RsaPssSha256,
                _ => Algorithm::RsaPkcs1Sha256,
            };
            Key::Rsa(parse(bytes).map_err(|_| PemError::KeyKind)?, scheme)
        };
        match algorithm {
            Some(expected) if expected != key.algorithm() => {
                Err(PemError::Algorithm { expected, found: key.algorithm() })
            }
            _ => Ok(key),
        }
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Key::Ed25519(_) => Algorithm::Ed25519,
            Key::P256(_) => Algorithm::EcdsaP256Sha256,
            Key::Rsa(_, scheme) => *scheme,
        }
    }

    fn public(&self) -> Option<PublicKeyX509Der<'static>> {
        match self {
            Key::Ed25519(pair) => pair.public_key().as_der().ok(),
            Key::P256(pair) => pair.public_key().as_der().ok(),
            Key::Rsa(pair, _) => pair.public_key().as_der().ok(),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Bytes, SignError> {
        let refused = |_| SignError::Key { algorithm: self.algorithm() };
        match self {
            Key::Ed25519(pair) => Ok(Bytes::copy_from_slice(pair.sign(message).as_ref())),
            Key::P256(pair) => {
                Ok(Bytes::copy_from_slice(pair.sign(&SystemRandom::new(), message).map_err(refused)?.as_ref()))
            }
            Key::Rsa(pair, scheme) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                match scheme {
                    Algorithm::RsaPssSha256 => {
                        pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature)
                    }
                    _ => pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature),
                }
                .map_err(refused)?;
                Ok(signature.into())
            }
        }
    }
}

#[async_trait]
impl Signer for PemSigner {
    fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    fn certificates(&self) -> &[Bytes] {
        &self.certificates
    }

    async fn sign(&self, message: &[u8]) -> Result<Bytes, SignError> {
        self.key.sign(message)
    }
}
