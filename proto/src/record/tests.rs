use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::error::{Code, Refusal};
use crate::header::tests::PAYLOAD;
use crate::signature::Algorithm;
use crate::testing::{Authority, NOW, draft};

#[track_caller]
fn refused(verdict: Result<VerifiedRecord, Error>, code: Code) {
    let error = verdict.expect_err("must be refused");
    assert_eq!(error.code(), code, "{error}");
    assert_eq!(Refusal::from(error).code, code);
}

#[test]
fn every_algorithm_signs_and_verifies() {
    let root = Authority::root("root");
    for algorithm in Algorithm::ALL {
        let record = root.signer("BYT", algorithm).record(draft(), PAYLOAD);
        let verified = verify_record(&record, &root.roots(), NOW).expect("its own");
        assert_eq!(verified.header().encode(), record.header);
        assert_eq!(verified.header_digest(), Digest::of(&record.header));
        assert_eq!(verified.block_digest(), Digest::of(&record.signature_block));
        assert_eq!(verified.block().algorithm, algorithm);
        assert_eq!(verified.signer().unit, draft().unit);
        assert_eq!(verified.record(), &record);
        assert_eq!(verified.header().receivers.iter().map(|unit| unit.as_str()).collect::<Vec<_>>(), ["TTCP", "VPCP"]);
        assert_eq!(from_file(to_file(&record)).as_ref(), Ok(&record));
    }
}

#[test]
fn a_changed_record_is_refused() {
    let root = Authority::root("root");
    let signer = root.signer("BYT", Algorithm::Ed25519);
    let record = signer.record(draft(), PAYLOAD);
    let verify = |change: &dyn Fn(&mut SignedRecord)| {
        let mut record = record.clone();
        change(&mut record);
        verify_record(&record, &root.roots(), NOW)
    };
    let block = SignatureBlock::decode(&record.signature_block).expect("own block");

    refused(verify(&|r| r.header = Bytes::from_static(b"\xff")), Code::HeaderMalformed);
    refused(verify(&|r| r.payload = r.payload.slice(1..)), Code::PayloadLengthMismatch);
    refused(verify(&|r| r.payload = vec![0; PAYLOAD.len()].into()), Code::PayloadDigestMismatch);
    refused(verify(&|r| r.payload = vec![0; PAYLOAD_LENGTH_MAX + 1].into()), Code::PayloadTooLarge);
    refused(verify(&|r| r.signature_block = Bytes::from_static(b"\xff")), Code::SignatureBlockMalformed);
    refused(verify(&|r| r.certificates.clear()), Code::CertificateMissing);
    refused(verify(&|r| r.certificates.push(root.der())), Code::CertificateMissing);
    refused(verify(&|r| r.certificates = vec![root.der()]), Code::CertificateMissing);
    let other = SignatureBlock { algorithm: Algorithm::EcdsaP256Sha256, ..block.clone() }.encode();
    refused(verify(&|r| r.signature_block = other.clone()), Code::AlgorithmUnsupported);
    let mut signature = block.signature.to_vec();
    signature[10] ^= 1;
    let other = SignatureBlock { signature: signature.into(), ..block.clone() }.encode();
    refused(verify(&|r| r.signature_block = other.clone()), Code::SignatureInvalid);
    // Another header with the old signature.
    let mut header = Header::decode(&record.header).expect("own header");
    header.series = "khác".to_owned();
    refused(verify(&|r| r.header = header.encode()), Code::SignatureInvalid);
    verify(&|_| {}).expect("unchanged");
}

#[test]
fn the_signer_must_be_of_the_records_unit_and_trusted() {
    let root = Authority::root("root");
    let record = root.signer("BTC", Algorithm::Ed25519).record(draft(), PAYLOAD);
    refused(verify_record(&record, &root.roots(), NOW), Code::SignerUnitMismatch);
    let record = root.signer("BYT", Algorithm::Ed25519).record(draft(), PAYLOAD);
    refused(verify_record(&record, &Authority::root("other").roots(), NOW), Code::CertificateUntrusted);
    refused(verify_record(&record, &root.roots(), UnixMs(u64::MAX)), Code::CertificateExpired);
}

#[test]
fn a_bad_draft_is_not_signed() {
    let root = Authority::root("root");
    let chain = root.signer("BYT", Algorithm::Ed25519).chain;
    let attempt = |draft: Draft, payload: Bytes, chain: &[Bytes]| {
        sign(draft, payload, Algorithm::Ed25519, chain, |_| Err::<Vec<u8>, _>("token pulled out"))
    };
    let small = Bytes::from_static(PAYLOAD);
    let bad = Draft { media_type: "json".to_owned(), ..draft() };
    assert!(
        matches!(attempt(bad, small.clone(), &chain), Err(SignError::Header(error)) if error.code() == Code::HeaderFieldInvalid)
    );
    let large = Bytes::from(vec![0; PAYLOAD_LENGTH_MAX + 1]);
    assert!(
        matches!(attempt(draft(), large, &chain), Err(SignError::Header(error)) if error.code() == Code::PayloadTooLarge)
    );
    assert_eq!(attempt(draft(), small.clone(), &[]), Err(SignError::ChainLength { found: 0 }));
    assert_eq!(attempt(draft(), small, &chain), Err(SignError::Signer("token pulled out")));
}

#[test]
fn the_largest_record_fits_its_bound() {
    let record = SignedRecord {
        header: vec![1; HEADER_LENGTH_MAX].into(),
        signature_block: vec![1; SIGNATURE_BLOCK_LENGTH_MAX].into(),
        payload: vec![1; PAYLOAD_LENGTH_MAX].into(),
        certificates: vec![vec![1; CERTIFICATE_LENGTH_MAX].into(); CHAIN_LENGTH_MAX],
    };
    assert!(record.encoded_len() <= RECORD_LENGTH_MAX, "{}", record.encoded_len());
    assert_eq!(from_file(vec![0; RECORD_LENGTH_MAX + 1]).map_err(|error| error.code()), Err(Code::RequestMalformed));
    assert_eq!(from_file(&b"\xff"[..]).map_err(|error| error.code()), Err(Code::RequestMalformed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_changed_byte_verifies(at in any::<prop::sample::Index>(), flip in 1u8..) {
        static MADE: std::sync::OnceLock<(Authority, SignedRecord)> = std::sync::OnceLock::new();
        let (root, record) = MADE.get_or_init(|| {
            let root = Authority::root("root");
            let record = root.signer("BYT", Algorithm::Ed25519).record(draft(), PAYLOAD);
            (root, record)
        });
        let mut bytes = to_file(record);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(changed) = from_file(bytes) && changed != *record {
            prop_assert!(verify_record(&changed, &root.roots(), NOW).is_err());
        }
    }
}
