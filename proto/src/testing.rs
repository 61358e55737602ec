//! Authorities, signers and records for tests.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature as provider;
use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm,
    date_time_ymd,
};
use x509_parser::prelude::FromDer;

use crate::certificate::TrustRoots;
use crate::id::UnixMs;
use crate::pb::v1::SignedRecord;
use crate::record::{self, Draft};
use crate::signature::Algorithm;

/// 2020-06-12T08:30:00+07:00, within the validity of what is made here.
pub(crate) const NOW: UnixMs = UnixMs(1_591_925_400_000);

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2015, 1, 1);
    params.not_after = date_time_ymd(2035, 1, 1);
    params
}

impl Authority {
    pub(crate) fn root(name: &str) -> Self {
        let key = KeyPair::generate().expect("key");
        Authority(CertifiedIssuer::self_signed(authority_params(name), key).expect("root"))
    }

    pub(crate) fn intermediate(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().expect("key");
        Authority(CertifiedIssuer::signed_by(params, key, &self.0).expect("intermediate"))
    }

    pub(crate) fn der(&self) -> Bytes {
        Bytes::copy_from_slice(self.0.der())
    }

    pub(crate) fn roots(&self) -> TrustRoots {
        TrustRoots::from_pem(self.0.pem().as_bytes()).expect("own pem")
    }

    /// A list that takes back the certificates of `signers`, made and to be renewed at these years.
    pub(crate) fn revoke(&self, signers: &[&Bytes], made: i32, renewed: i32) -> Bytes {
        let revoked = signers.iter().map(|der| RevokedCertParams {
            serial_number: serial(der),
            revocation_time: date_time_ymd(2020, 3, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(made, 5, 1),
            next_update: date_time_ymd(renewed, 5, 1),
            crl_number: SerialNumber::from(7),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Bytes::copy_from_slice(list.signed_by(&self.0).expect("crl").der())
    }

    /// A signer for one unit with a key of the algorithm's kind.
    pub(crate) fn signer(&self, unit: &str, algorithm: Algorithm) -> Signer {
        self.issue(signer_params(&[&format!("urn:kho:unit:{unit}")]), key_algorithm(algorithm), algorithm)
    }

    pub(crate) fn issue(
        &self,
        params: CertificateParams,
        key_algorithm: &'static SignatureAlgorithm,
        algorithm: Algorithm,
    ) -> Signer {
        let key = KeyPair::generate_for(key_algorithm).expect("key");
        let certificate = params.signed_by(&key, &self.0).expect("certificate");
        Signer { key, algorithm, chain: vec![Bytes::copy_from_slice(certificate.der())] }
    }
}

fn serial(der: &[u8]) -> SerialNumber {
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).expect("certificate");
    SerialNumber::from_slice(certificate.raw_serial())
}

pub(crate) fn signer_params(uris: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Văn thư");
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("ascii"))).collect();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    params
}

pub(crate) fn key_algorithm(algorithm: Algorithm) -> &'static SignatureAlgorithm {
    match algorithm {
        Algorithm::Ed25519 => &rcgen::PKCS_ED25519,
        Algorithm::EcdsaP256Sha256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        Algorithm::RsaPkcs1Sha256 | Algorithm::RsaPssSha256 => &rcgen::PKCS_RSA_SHA256,
    }
}

/// A key with its chain.
pub(crate) struct Signer {
    key: KeyPair,
    pub(crate) algorithm: Algorithm,
    pub(crate) chain: Vec<Bytes>,
}

impl Signer {
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        sign(self.algorithm, self.key.serialized_der(), message)
    }

    pub(crate) fn record(&self, draft: Draft, payload: &[u8]) -> SignedRecord {
        let sign = |message: &[u8]| Ok::<_, std::convert::Infallible>(self.sign(message));
        record::sign(draft, Bytes::copy_from_slice(payload), self.algorithm, &self.chain, sign).expect("well formed")
    }
}

/// Signs with a PKCS#8 key.
pub(crate) fn sign(algorithm: Algorithm, pkcs8: &[u8], message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let rsa = |padding: &'static dyn provider::RsaEncoding| {
        let key = provider::RsaKeyPair::from_pkcs8(pkcs8).expect("pkcs#8");
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(padding, &random, message, &mut signature).expect("signature");
        signature
    };
    match algorithm {
        Algorithm::Ed25519 => {
            let key = provider::Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).expect("pkcs#8");
            key.sign(message).as_ref().to_vec()
        }
        Algorithm::EcdsaP256Sha256 => {
            let key = provider::EcdsaKeyPair::from_pkcs8(&provider::ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8);
            key.expect("pkcs#8").sign(&random, message).expect("signature").as_ref().to_vec()
        }
        Algorithm::RsaPkcs1Sha256 => rsa(&provider::RSA_PKCS1_SHA256),
        Algorithm::RsaPssSha256 => rsa(&provider::RSA_PSS_SHA256),
    }
}

/// A draft of unit `BYT`, submitted at [`NOW`].
pub(crate) fn draft() -> Draft {
    Draft {
        record_id: "01729d23-8b00-7000-8000-0123456789ab".parse().expect("uuid"),
        unit: "BYT".parse().expect("code"),
        regime: "YT-01".parse().expect("code"),
        period: "2020-W24".parse().expect("period"),
        series: String::new(),
        supersedes: None,
        receivers: vec!["VPCP".parse().expect("code"), "TTCP".parse().expect("code")],
        submitted_at: crate::header::SubmittedAt::from_unix_ms(NOW),
        media_type: "application/json".to_owned(),
        salt: *b"0123456789abcdef",
    }
}
