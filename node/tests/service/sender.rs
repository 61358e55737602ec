//! A unit that signs its reports.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::signature::Ed25519KeyPair;
use bytes::Bytes;
use kho_node::seams::Seams;
use kho_proto::header::SubmittedAt;
use kho_proto::id::{RecordId, UnixMs};
use kho_proto::pb::v1::{SignedRecord, SubmitRequest};
use kho_proto::record::{self, Draft};
use kho_proto::signature::Algorithm;
use rcgen::{CertificateParams, KeyPair, KeyUsagePurpose, SanType};

use crate::world::Authority;

/// A unit's signer.
pub struct Sender {
    pub unit: String,
    key: KeyPair,
    pub chain: Vec<Bytes>,
}

pub fn now() -> UnixMs {
    Seams::system().clock.now()
}

/// What a signer's certificate needs.
pub fn signer_params(unit: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let uri = format!("urn:kho:unit:{unit}");
    params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

impl Sender {
    pub fn new(signers: &Authority, unit: &str) -> Sender {
        Self::with(signers, unit, signer_params(unit))
    }

    pub fn with(signers: &Authority, unit: &str, params: CertificateParams) -> Sender {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let certificate = params.signed_by(&key, &signers.issuer).unwrap();
        Sender { unit: unit.to_owned(), key, chain: vec![Bytes::copy_from_slice(certificate.der())] }
    }

    /// A report on its own, in a series of its own.
    pub fn draft(&self) -> Draft {
        static SERIES: AtomicU64 = AtomicU64::new(0);
        let mut random = [0; 26];
        Seams::system().entropy.fill(&mut random);
        let (id, salt) = random.split_at(10);
        Draft {
            record_id: RecordId::new_v7(now().0, id.try_into().unwrap()),
            unit: self.unit.parse().unwrap(),
            regime: "YT-01".parse().unwrap(),
            period: "2020-06-12".parse().unwrap(),
            series: format!("bệnh viện {}", SERIES.fetch_add(1, Ordering::Relaxed)),
            supersedes: None,
            receivers: Vec::new(),
            submitted_at: SubmittedAt::from_unix_ms(now()),
            media_type: "application/json".to_owned(),
            salt: salt.try_into().unwrap(),
        }
    }

    pub fn sign(&self, draft: Draft, payload: &[u8]) -> SignedRecord {
        let sign = |message: &[u8]| Ok::<_, Infallible>(self.signature(message));
        record::sign(draft, Bytes::copy_from_slice(payload), Algorithm::Ed25519, &self.chain, sign).unwrap()
    }

    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(self.key.serialized_der()).unwrap();
        key.sign(message).as_ref().to_vec()
    }

    /// Any good report.
    pub fn report(&self) -> SignedRecord {
        self.sign(self.draft(), "{\"ghi_chú\":\"không có ca mắc mới\"}".as_bytes())
    }

    /// Signs whatever bytes stand for a header.
    pub fn sign_raw(&self, header: Vec<u8>, payload: &[u8]) -> SignedRecord {
        let signature = self.signature(&kho_proto::dsse::signed_bytes(&header));
        record::assemble(
            header.into(),
            Bytes::copy_from_slice(payload),
            Algorithm::Ed25519,
            signature.into(),
            &self.chain,
        )
    }
}

pub fn request(record: SignedRecord) -> SubmitRequest {
    SubmitRequest { record: Some(record) }
}
