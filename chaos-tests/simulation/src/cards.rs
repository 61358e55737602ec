//! Keys and certificates, the same for the same seed.

use aws_lc_rs::signature::Ed25519KeyPair;
use kho_proto::id::{ClusterId, NodeId};
use rand::Rng;
use rand::rngs::SmallRng;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, SanType};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What stands before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410, 7).
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A key and its certificate.
pub struct Card {
    /// PKCS#8.
    key: Vec<u8>,
    /// DER.
    pub certificate: Vec<u8>,
    /// PEM.
    pub pem: String,
}

impl Card {
    /// Signs with Ed25519.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&self.key).expect("a key that was made here");
        key.sign(message).as_ref().to_vec()
    }
}

/// Issues everybody's.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    chance: SmallRng,
}

fn key(chance: &mut SmallRng) -> (Vec<u8>, KeyPair) {
    let der = [&PKCS8_PREFIX[..], &chance.random::<[u8; 32]>()].concat();
    let pair = KeyPair::try_from(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.clone())));
    (der, pair.expect("32 bytes are a key"))
}

impl Authority {
    /// With keys drawn by `chance`.
    pub fn new(mut chance: SmallRng) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, key(&mut chance).1).expect("an authority");
        Self { issuer, chance }
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn issue(&mut self, uris: &[&str]) -> Card {
        let mut params = CertificateParams::default();
        params.subject_alt_names =
            uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("URIs are ASCII"))).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let (der, pair) = key(&mut self.chance);
        let certificate = params.signed_by(&pair, &self.issuer).expect("a certificate");
        Card { key: der, certificate: certificate.der().to_vec(), pem: certificate.pem() }
    }

    /// A node's.
    pub fn node(&mut self, cluster: ClusterId, node: NodeId) -> Card {
        self.issue(&[&format!("urn:kho:node:{cluster}:{node}")])
    }

    /// A platform's, which submits and reads for all units; and an operator's, in one.
    pub fn platform(&mut self) -> Card {
        let roles = ["submitter", "reader", "operator"].map(|role| format!("urn:kho:role:{role}"));
        self.issue(&[&roles[0], &roles[1], &roles[2], "urn:kho:units:all"])
    }

    /// A unit's signer.
    pub fn signer(&mut self, unit: &str) -> Card {
        self.issue(&[&format!("urn:kho:unit:{unit}")])
    }
}
