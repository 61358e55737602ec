use rcgen::{ExtendedKeyUsagePurpose as Extended, KeyUsagePurpose as Usage};

use super::*;
use crate::error::{Code, Refusal};
use crate::signature::Algorithm::{self, EcdsaP256Sha256, Ed25519, RsaPkcs1Sha256};
use crate::testing::{Authority, NOW, authority_params, key_algorithm, signer_params};

const BYT: &str = "urn:kho:unit:BYT";
const HOUR_MS: u64 = 3_600_000;

#[track_caller]
fn refused(verdict: Result<Signer, Error>, code: Code) {
    let error = verdict.expect_err("must be refused");
    assert_eq!(error.code(), code, "{error}");
    let refusal = Refusal::from(error);
    assert!(!refusal.expected.is_empty() && !refusal.found.is_empty(), "{refusal:?}");
}

fn verify_with(change: impl FnOnce(&mut rcgen::CertificateParams)) -> Result<Signer, Error> {
    let root = Authority::root("root");
    let mut params = signer_params(&[BYT]);
    change(&mut params);
    root.roots().verify_chain(&root.issue(params, key_algorithm(Ed25519), Ed25519).chain, NOW)
}

#[test]
fn a_chain_gives_its_signer() {
    let root = Authority::root("root");
    for algorithm in [Ed25519, EcdsaP256Sha256, RsaPkcs1Sha256] {
        let chain = root.signer("BYT", algorithm).chain;
        let signer = root.roots().verify_chain(&chain, NOW).expect("trusted");
        assert_eq!(signer.unit.as_str(), "BYT");
        assert_eq!(signer.certificate_digest, Digest::of(&chain[0]));
        assert_eq!(signer.not_before, UnixMs(1_577_836_800_000)); // 2020-01-01T00:00:00Z
        assert_eq!(signer.not_after, UnixMs(1_609_459_200_999)); // 2021-01-01T00:00:00.999Z
        assert!(signer.subject.contains("Văn thư"), "{}", signer.subject);
    }
}

#[test]
fn a_path_may_lead_through_intermediates_and_is_as_short_lived_as_they_are() {
    let root = Authority::root("root");
    let mut params = authority_params("middle");
    params.not_after = rcgen::date_time_ymd(2020, 7, 1);
    let middle = root.intermediate(params);
    let mut chain = middle.signer("BYT", Ed25519).chain;
    refused(root.roots().verify_chain(&chain, NOW), Code::CertificateUntrusted);
    chain.push(middle.der());
    let signer = root.roots().verify_chain(&chain, NOW).expect("trusted");
    assert_eq!(signer.not_after, UnixMs(1_593_561_600_999)); // 2020-07-01T00:00:00.999Z
    refused(root.roots().verify_chain(&chain, UnixMs(signer.not_after.0 + 1)), Code::CertificateExpired);
}

#[test]
fn another_root_is_not_trusted() {
    let chain = Authority::root("root").signer("BYT", Ed25519).chain;
    refused(Authority::root("root").roots().verify_chain(&chain, NOW), Code::CertificateUntrusted);
    refused(Authority::root("other").roots().verify_chain(&chain, NOW), Code::CertificateUntrusted);
}

#[test]
fn validity_is_checked_to_its_ends() {
    let root = Authority::root("root");
    let chain = root.signer("BYT", Ed25519).chain;
    let at = |ms: u64| root.roots().verify_chain(&chain, UnixMs(ms));
    let signer = at(NOW.0).expect("valid");
    at(signer.not_before.0).expect("first moment");
    at(signer.not_after.0).expect("last moment");
    refused(at(signer.not_before.0 - 1), Code::CertificateNotYetValid);
    refused(at(signer.not_after.0 + 1), Code::CertificateExpired);
    let error = at(signer.not_after.0 + HOUR_MS).expect_err("expired").to_string();
    assert!(error.contains("2021-01-01T07:00:00.000+07:00"), "{error}");
}

#[test]
fn usage_must_allow_signing() {
    for good in [vec![], vec![Usage::DigitalSignature], vec![Usage::ContentCommitment, Usage::KeyEncipherment]] {
        verify_with(|params| params.key_usages = good).expect("may sign");
    }
    refused(verify_with(|params| params.key_usages = vec![Usage::KeyEncipherment]), Code::CertificateWrongUsage);

    let document_signing = Extended::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 36]);
    for good in [Extended::ClientAuth, Extended::EmailProtection, Extended::Any, document_signing] {
        verify_with(|params| params.extended_key_usages = vec![Extended::CodeSigning, good]).expect("may sign");
    }
    let verdict = verify_with(|params| params.extended_key_usages = vec![Extended::ServerAuth, Extended::CodeSigning]);
    let error = verdict.clone().expect_err("servers only").to_string();
    assert!(error.contains("found 1.3.6.1.5.5.7.3.1, 1.3.6.1.5.5.7.3.3"), "{error}");
    refused(verdict, Code::CertificateWrongUsage);
}

#[test]
fn an_authority_is_no_signer_and_a_signer_no_authority() {
    let root = Authority::root("root");
    let authority = root.intermediate(authority_params("middle"));
    refused(root.roots().verify_chain(&[authority.der()], NOW), Code::CertificateWrongUsage);

    let mut params = authority_params("no basic constraints");
    params.is_ca = rcgen::IsCa::NoCa;
    let fake = root.intermediate(params);
    let chain = [fake.signer("BYT", Ed25519).chain, vec![fake.der()]].concat();
    refused(root.roots().verify_chain(&chain, NOW), Code::CertificateWrongUsage);

    let mut params = authority_params("no keyCertSign");
    params.key_usages = vec![Usage::DigitalSignature];
    let fake = root.intermediate(params);
    let chain = [fake.signer("BYT", Ed25519).chain, vec![fake.der()]].concat();
    refused(root.roots().verify_chain(&chain, NOW), Code::CertificateWrongUsage);
}

#[test]
fn keys_of_other_kinds_are_refused() {
    let root = Authority::root("root");
    let chain = root.issue(signer_params(&[BYT]), &rcgen::PKCS_ECDSA_P384_SHA384, Algorithm::EcdsaP256Sha256).chain;
    refused(root.roots().verify_chain(&chain, NOW), Code::CertificateKeyWeak);
}

#[test]
fn a_signer_has_exactly_one_unit() {
    let units = |uris: &'static [&'static str]| verify_with(|params| *params = signer_params(uris));
    refused(units(&[]), Code::CertificateUnitMissing);
    refused(units(&["https://example.vn/"]), Code::CertificateUnitMissing);
    refused(units(&[BYT, "urn:kho:unit:BTC"]), Code::CertificateUnitMissing);
    refused(units(&[BYT, "urn:kho:units:all"]), Code::CertificateUnitMissing);
    refused(units(&["urn:kho:unit:-"]), Code::CertificateMalformed);
    units(&["https://example.vn/", BYT]).expect("one unit");
}

#[test]
fn bounds_and_broken_certificates() {
    let root = Authority::root("root");
    let good = root.signer("BYT", Ed25519).chain.remove(0);
    let verify = |chain: &[Bytes]| root.roots().verify_chain(chain, NOW);
    refused(verify(&[]), Code::CertificateMissing);
    refused(verify(&vec![good.clone(); 7]), Code::CertificateMissing);
    refused(verify(&[Bytes::from_static(b"no certificate")]), Code::CertificateMalformed);
    refused(verify(&[good.slice(..good.len() - 1)]), Code::CertificateMalformed);
    refused(verify(&[[&good[..], &[0]].concat().into()]), Code::CertificateMalformed);
    refused(verify(&[good.clone(), Bytes::from_static(b"no certificate")]), Code::CertificateMalformed);
    refused(verify(&[vec![0; CERTIFICATE_LENGTH_MAX + 1].into()]), Code::CertificateMalformed);
    let mut forged = good.to_vec();
    *forged.last_mut().expect("not empty") ^= 1;
    refused(verify(&[forged.into()]), Code::CertificateUntrusted);
}

#[test]
fn roots_come_from_pem() {
    for bad in ["", "no pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        let error = TrustRoots::from_pem(bad.as_bytes()).expect_err("no roots");
        assert_eq!(error.code(), Code::CertificateMalformed);
    }
    let (a, b) = (Authority::root("a"), Authority::root("b"));
    let der = |authority: &Authority| rustls_pki_types::CertificateDer::from(authority.der().to_vec());
    let both = TrustRoots::from_der(&[der(&a), der(&b)]).expect("two");
    let turned = TrustRoots::from_der(&[der(&b), der(&a), der(&b)]).expect("two");
    assert_eq!(both.digest(), turned.digest());
    assert_ne!(both.digest(), a.roots().digest());
    assert_eq!(a.roots().digest(), Digest::of_parts(&[Digest::of(&a.der()).as_ref()]));
}

#[test]
fn sans_hold_units_roles_and_nodes() {
    let root = Authority::root("root");
    let sans_of = |uris: &[&str]| sans(&root.issue(signer_params(uris), &rcgen::PKCS_ED25519, Ed25519).chain[0]);
    let node = "urn:kho:node:01729d23-8b00-7000-8000-0123456789ab:3";
    let found = sans_of(&[BYT, "urn:kho:unit:BTC", "urn:kho:role:submitter", "urn:kho:role:reader", node, "urn:x:y"]);
    let cluster = "01729d23-8b00-7000-8000-0123456789ab".parse().expect("uuid");
    let expected = Sans {
        units: vec!["BYT".parse().expect("code"), "BTC".parse().expect("code")],
        all_units: false,
        roles: vec!["submitter".to_owned(), "reader".to_owned()],
        node: Some((cluster, crate::id::NodeId(3))),
    };
    assert_eq!(found, Ok(expected));
    assert!(sans_of(&["urn:kho:units:all"]).expect("well formed").all_units);
    assert_eq!(sans_of(&["urn:kho:future:thing"]), Ok(Sans::default()));
    for bad in [
        "urn:kho:unit:",
        "urn:kho:units:some",
        "urn:kho:role:",
        "urn:kho:role:Reader",
        "urn:kho:node:3",
        "urn:kho:node:01729d23-8b00-7000-8000-0123456789ab:0",
        "urn:kho:node:01729d23-8b00-7000-8000-0123456789ab:03",
    ] {
        assert_eq!(sans_of(&[bad]).map_err(|error| error.code()), Err(Code::CertificateMalformed), "{bad}");
    }
    let other = "urn:kho:node:01729d23-8b00-7000-8000-0123456789ab:4";
    assert!(sans_of(&[node, other]).is_err(), "two nodes");
}
