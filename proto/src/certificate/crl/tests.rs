use super::*;
use crate::certificate::Signer;
use crate::error::Code;
use crate::signature::Algorithm::{EcdsaP256Sha256, Ed25519, RsaPkcs1Sha256};
use crate::testing::{Authority, NOW, authority_params};

/// Lists as they come, of authorities below `root` or of `root` itself.
fn lists(root: &Authority, issuers: &[Bytes], lists: &[&Bytes]) -> Crls {
    let by = |list: &&Bytes| (root.roots().verify_crl(list, issuers, NOW).expect("trusted"), read(list));
    Crls { lists: lists.iter().map(by).collect(), ..Crls::default() }
}

fn read(list: &Bytes) -> Crl {
    Crl::from_der(list).expect("a list")
}

fn verify(root: &Authority, chain: &[Bytes], crls: &Crls) -> Result<Signer, Error> {
    root.roots().verify_chain_with(chain, NOW, crls)
}

fn code<T>(result: Result<T, Error>) -> Option<Code> {
    result.err().map(|error| error.code())
}

#[test]
fn what_an_authority_took_back_signs_no_more() {
    let root = Authority::root("root");
    for algorithm in [Ed25519, EcdsaP256Sha256, RsaPkcs1Sha256] {
        let (revoked, good) = (root.signer("BYT", algorithm).chain, root.signer("BYT", algorithm).chain);
        let crls = lists(&root, &[], &[&root.revoke(&[&revoked[0]], 2020, 2021)]);
        assert_eq!(code(verify(&root, &good, &crls)), None);
        let error = verify(&root, &revoked, &crls).expect_err("revoked");
        let since = UnixMs(1_583_020_800_000); // 2020-03-01T00:00:00Z
        assert_eq!(error, Error::Revoked { position: 0, since, reason: "key compromise" });
        assert!(error.to_string().contains("2020-03-01T07:00:00.000+07:00"), "{error}");
        assert_eq!(code(root.roots().verify_chain(&revoked, NOW)), None, "nobody looked at the list");
    }
}

#[test]
fn an_authority_that_was_taken_back_takes_its_signers_with_it() {
    let root = Authority::root("root");
    let middle = root.intermediate(authority_params("middle"));
    let chain = [middle.signer("BYT", Ed25519).chain, vec![middle.der()]].concat();
    let crls = lists(&root, &[], &[&root.revoke(&[&middle.der()], 2020, 2021)]);
    let error = verify(&root, &chain, &crls).expect_err("revoked");
    assert!(matches!(error, Error::Revoked { position: 1, .. }), "{error}");
}

#[test]
fn a_list_of_an_authority_below_the_root_needs_its_certificate() {
    let root = Authority::root("root");
    let (middle, other) = (root.intermediate(authority_params("middle")), root.intermediate(authority_params("other")));
    let chain = [middle.signer("BYT", Ed25519).chain, vec![middle.der()]].concat();
    let list = middle.revoke(&[&chain[0]], 2020, 2021);
    let verify_crl = |issuers: &[Bytes]| root.roots().verify_crl(&list, issuers, NOW);
    assert_eq!(code(verify_crl(&[])), Some(Code::CrlUntrusted));
    assert_eq!(code(verify_crl(&[other.der()])), Some(Code::CrlUntrusted));
    let crls = lists(&root, &[other.der(), middle.der()], &[&list]);
    assert_eq!(code(verify(&root, &chain, &crls)), Some(Code::CertificateRevoked));
}

#[test]
fn strangers_and_those_who_may_not_are_not_listened_to() {
    let (root, stranger) = (Authority::root("root"), Authority::root("root"));
    let chain = root.signer("BYT", Ed25519).chain;
    let list = stranger.revoke(&[&chain[0]], 2020, 2021);
    assert_eq!(code(root.roots().verify_crl(&list, &[], NOW)), Some(Code::CrlUntrusted), "same name, other key");
    assert_eq!(code(root.roots().verify_crl(&list, &[stranger.der()], NOW)), Some(Code::CrlUntrusted));
    // should it be there all the same, it says nothing of others' certificates
    let crls = lists(&stranger, &[], &[&list]);
    assert_eq!(code(verify(&root, &chain, &crls)), None);

    let mut expired = authority_params("expired");
    expired.not_after = rcgen::date_time_ymd(2019, 1, 1);
    let expired = root.intermediate(expired);
    let list = expired.revoke(&[], 2020, 2021);
    assert_eq!(code(root.roots().verify_crl(&list, &[expired.der()], NOW)), Some(Code::CrlUntrusted));
    let mut person = authority_params("person");
    person.is_ca = rcgen::IsCa::NoCa;
    let person = root.intermediate(person);
    let list = person.revoke(&[], 2020, 2021);
    assert_eq!(code(root.roots().verify_crl(&list, &[person.der()], NOW)), Some(Code::CrlUntrusted));
}

#[test]
fn policies_say_what_silence_means() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let chain = root.signer("BYT", Ed25519).chain;
    let (late, current) = (root.revoke(&[], 2018, 2019), root.revoke(&[], 2020, 2021));
    let foreign = other.revoke(&[], 2020, 2021);
    let cases = [
        (&root, &late, true, true, None),
        (&root, &late, false, true, Some(Code::CrlExpired)),
        (&root, &current, false, false, None),
        (&other, &foreign, true, true, None),
        (&other, &foreign, true, false, Some(Code::CertificateStatusUnknown)),
    ];
    for (by, list, accept_expired, accept_unknown, expected) in cases {
        let mut crls = lists(by, &[], &[list]);
        crls.policy = RevocationPolicy { accept_expired, accept_unknown };
        assert_eq!(code(verify(&root, &chain, &crls)), expected, "{accept_expired} {accept_unknown}");
    }
    let strict = Crls { policy: RevocationPolicy { accept_expired: true, accept_unknown: false }, ..Crls::default() };
    assert_eq!(code(verify(&root, &chain, &strict)), Some(Code::CertificateStatusUnknown), "no list at all");
}

#[test]
fn a_list_tells_of_itself_and_broken_ones_are_refused() {
    let root = Authority::root("root");
    let good = root.revoke(&[&root.signer("BYT", Ed25519).chain[0]], 2020, 2021);
    let crl = read(&good);
    assert_eq!(crl.this_update(), UnixMs(1_588_291_200_000)); // 2020-05-01T00:00:00Z
    assert_eq!(crl.next_update(), Some(UnixMs(1_619_827_200_000))); // 2021-05-01T00:00:00Z
    assert_eq!((crl.number(), crl.issuer(), crl.revoked()), (Some("7"), "CN=root", 1));
    assert_eq!(crl.digest(), Digest::of(&good));
    let refused = |bytes: &[u8]| assert_eq!(code(Crl::from_der(bytes)), Some(Code::CrlMalformed));
    refused(b"");
    refused(b"no list");
    refused(&good[..good.len() - 1]);
    refused(&[&good[..], &[0]].concat());
    refused(&root.der());
    refused(&vec![0; CRL_LENGTH_MAX + 1]);
    let mut forged = good.to_vec();
    *forged.last_mut().expect("not empty") ^= 1;
    assert_eq!(code(root.roots().verify_crl(&forged, &[], NOW)), Some(Code::CrlUntrusted));
}
