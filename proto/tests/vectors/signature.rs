use bytes::Bytes;
use kho_proto::certificate::TrustRoots;
use kho_proto::id::UnixMs;
use kho_proto::pb::v1::SignedRecord;
use kho_proto::record::verify_record;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::{bytes, list, number, refusal};

#[test]
fn signature() {
    crate::check("signature.json", output);
}

fn output(input: &Value) -> Value {
    let roots = list(input, "roots", |root| CertificateDer::from(hex_of(root)));
    let roots = TrustRoots::from_der(&roots).expect("roots");
    match verify_record(&record(&input["record"]), &roots, UnixMs(number(input, "at_ms"))) {
        Err(error) => refusal(error.code()),
        Ok(verified) => json!({
            "unit": verified.signer().unit.as_str(),
            "algorithm": verified.block().algorithm.as_str(),
            "header_digest": verified.header_digest().to_string(),
            "signature_block_digest": verified.block_digest().to_string(),
            "certificate_digest": verified.signer().certificate_digest.to_string(),
            "not_before_ms": verified.signer().not_before.0,
            "not_after_ms": verified.signer().not_after.0,
        }),
    }
}

/// A record of its hex fields.
pub fn record(fields: &Value) -> SignedRecord {
    SignedRecord {
        header: bytes(fields, "header").into(),
        signature_block: bytes(fields, "signature_block").into(),
        payload: bytes(fields, "payload").into(),
        certificates: list(fields, "certificates", |certificate| Bytes::from(hex_of(certificate))),
    }
}

fn hex_of(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("text")).expect("hex")
}
