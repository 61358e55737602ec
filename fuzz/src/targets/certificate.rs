//! Certificates: as a signer's chain, as what a connection shows, as a root of trust.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use bytes::Bytes;
use kho_node::identity::Identity;
use kho_proto::certificate::{TrustRoots, sans};
use kho_proto::digest::Digest;
use kho_proto::id::UnixMs;
use rustls_pki_types::CertificateDer;

use crate::vectors;

/// When chains are verified.
const AT: UnixMs = UnixMs(1_591_925_400_000);

fn known() -> &'static (TrustRoots, BTreeSet<Digest>) {
    static KNOWN: OnceLock<(TrustRoots, BTreeSet<Digest>)> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let file = vectors::signature();
        let (mut roots, mut issued) = (BTreeSet::new(), BTreeSet::new());
        for (_, input, _) in vectors::cases(&file) {
            roots.extend(input["roots"].as_array().expect("roots").iter().map(vectors::bytes));
            let certificates = input["record"]["certificates"].as_array().expect("certificates").iter();
            issued.extend(certificates.map(|der| Digest::of(&vectors::bytes(der))));
        }
        let roots: Vec<_> = roots.into_iter().map(CertificateDer::from).collect();
        (TrustRoots::from_der(&roots).expect("the vectors' roots"), issued)
    })
}

/// One certificate, alone and under the vectors' roots.
pub fn run(bytes: &[u8]) -> bool {
    let (roots, issued) = known();
    // as PEM, and as a root: whatever it says
    let _ = TrustRoots::from_pem(bytes);
    if let Ok(own) = TrustRoots::from_der(&[CertificateDer::from(bytes.to_vec())]) {
        let _ = own.verify_chain(&[Bytes::copy_from_slice(bytes)], AT);
    }
    let read = sans(bytes);
    assert_eq!(read.is_ok(), Identity::of_certificate(Some(bytes)).is_ok(), "a connection is who its names say");
    let Ok(signer) = roots.verify_chain(&[Bytes::copy_from_slice(bytes)], AT) else { return false };
    assert!(issued.contains(&signer.certificate_digest), "a certificate is trusted that nobody issued");
    assert_eq!(read.map(|names| names.units).ok(), Some(vec![signer.unit]), "a signer has one unit");
    true
}
