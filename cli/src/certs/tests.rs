use bytes::Bytes;
use kho_proto::certificate::{Crl, Crls, TrustRoots, sans};
use kho_proto::error::Code;
use kho_proto::id::{ClusterId, NodeId, UnixMs};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::{Authority, KeyKind, Profile, Role, Validity};

const NOW: UnixMs = UnixMs(1_600_000_000_000);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn authority() -> Authority {
    Authority::create("test authority", KeyKind::P256, Validity::days(NOW, 10)).unwrap()
}

fn der(pem: &str) -> Bytes {
    Bytes::copy_from_slice(&CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
}

fn issue(authority: &Authority, profile: Profile) -> Bytes {
    der(&authority.issue(&profile, KeyKind::Ed25519, Validity::days(NOW, 1)).unwrap().certificate)
}

#[test]
fn a_signer_of_every_kind_is_trusted_for_its_unit() {
    let authority = authority();
    let roots = TrustRoots::from_pem(authority.certificate().as_bytes()).unwrap();
    for kind in KeyKind::ALL {
        let profile = Profile::Signer { unit: "BYT".parse().unwrap() };
        let issued = authority.issue(&profile, kind, Validity::days(NOW, 1)).unwrap();
        let chain = [der(&issued.certificate)];
        assert_eq!(roots.verify_chain(&chain, NOW).unwrap().unit.as_str(), "BYT");
        let late = roots.verify_chain(&chain, UnixMs(NOW.0 + 2 * DAY_MS)).unwrap_err();
        assert_eq!(late.code(), Code::CertificateExpired);
    }
}

#[test]
fn a_server_certificate_signs_no_records() {
    let authority = authority();
    let roots = TrustRoots::from_pem(authority.certificate().as_bytes()).unwrap();
    let chain = [issue(&authority, Profile::Server { hosts: vec!["localhost".to_owned()] })];
    assert_eq!(roots.verify_chain(&chain, NOW).unwrap_err().code(), Code::CertificateWrongUsage);
}

#[test]
fn names_say_who_connects() {
    let authority = authority();
    let cluster = ClusterId([7; 16]);
    let peer = Profile::Peer { cluster, node: NodeId(3), hosts: vec!["127.0.0.1".to_owned(), "localhost".to_owned()] };
    assert_eq!(sans(&issue(&authority, peer)).unwrap().node, Some((cluster, NodeId(3))));

    let connection = |units: &[&str], all_units| Profile::Connection {
        name: "system".to_owned(),
        roles: vec![Role::Submitter, Role::Reader],
        units: units.iter().map(|unit| unit.parse().unwrap()).collect(),
        all_units,
    };
    let platform = sans(&issue(&authority, connection(&[], true))).unwrap();
    assert!(platform.all_units && platform.units.is_empty());
    assert_eq!(platform.roles, ["submitter", "reader"]);
    let system = sans(&issue(&authority, connection(&["BYT", "BTC"], false))).unwrap();
    assert!(!system.all_units);
    assert_eq!(system.units.len(), 2);
}

#[test]
fn an_authority_comes_back_from_its_files() {
    let dir = tempfile::tempdir().unwrap();
    authority().write(dir.path(), "signers-ca").unwrap();
    let loaded = Authority::load(dir.path(), "signers-ca").unwrap();
    let chain = [issue(&loaded, Profile::Signer { unit: "T01".parse().unwrap() })];
    TrustRoots::from_pem(loaded.certificate().as_bytes()).unwrap().verify_chain(&chain, NOW).unwrap();
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(dir.path().join("signers-ca.key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_list_takes_back_what_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority();
    let roots = TrustRoots::from_pem(authority.certificate().as_bytes()).unwrap();
    let issued = |unit: &str| {
        let profile = Profile::Signer { unit: unit.parse().unwrap() };
        let issued = authority.issue(&profile, KeyKind::P256, Validity::days(NOW, 1)).unwrap();
        (issued.write(dir.path(), unit).unwrap().0, [der(&issued.certificate)])
    };
    let ((path, revoked), (_, good)) = (issued("BYT"), issued("T01"));
    let list = authority.revoke(&[&path], NOW, 7).unwrap();
    let list = rustls_pki_types::CertificateRevocationListDer::from_pem_slice(list.as_bytes()).unwrap();
    let issuer = roots.verify_crl(&list, &[], NOW).unwrap();
    let crls = Crls { lists: [(issuer, Crl::from_der(&list).unwrap())].into(), ..Crls::default() };
    assert_eq!(roots.verify_chain_with(&revoked, NOW, &crls).unwrap_err().code(), Code::CertificateRevoked);
    roots.verify_chain_with(&good, NOW, &crls).unwrap();
    assert!(authority.revoke(&[std::path::Path::new("nothing.pem")], NOW, 7).is_err());
}
