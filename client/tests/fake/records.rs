//! Signed records, the same in every call of one process.

use kho_client::{Draft, PemSigner, Signed, Surroundings};
use kho_proto::header::Attachment;
use kho_proto::id::UnixMs;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};

/// Always the same: two calls sign the same header.
pub struct Still(u8);

impl Surroundings for Still {
    fn now(&self) -> UnixMs {
        UnixMs(1_591_925_400_000)
    }

    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

/// A signed record; the same in every call of one process, certificate aside.
pub async fn signed() -> Signed {
    signed_as(5).await
}

/// So many different records.
pub async fn several(count: u8) -> Vec<Signed> {
    let mut records = Vec::new();
    for n in 0..count {
        records.push(signed_as(n).await);
    }
    records
}

/// One of 256 records.
pub async fn signed_as(n: u8) -> Signed {
    signed_with(n, "", Vec::new()).await
}

/// One of them with a subject, and attachments.
pub async fn signed_with(n: u8, series: &str, attachments: Vec<Attachment>) -> Signed {
    static KEY: std::sync::OnceLock<(String, String)> = std::sync::OnceLock::new();
    let (certificate, key) = KEY.get_or_init(|| {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let certificate = CertificateParams::new(vec!["signer".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    });
    let signer = PemSigner::from_pem(certificate.as_bytes(), key.as_bytes(), None).unwrap();
    let draft = Draft {
        record_id: None,
        unit: "BYT".parse().unwrap(),
        regime: "YT-01".parse().unwrap(),
        period: "2020-06-12".parse().unwrap(),
        series: series.to_owned(),
        supersedes: None,
        receivers: vec!["VPCP".parse().unwrap(), "BTC".parse().unwrap(), "VPCP".parse().unwrap()],
        media_type: "application/json".to_owned(),
        payload: "{\"new_cases\": 0}".into(),
    };
    draft.sign_with(attachments, &signer, &Still(n)).await.unwrap()
}
