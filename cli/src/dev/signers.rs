//! Signers of units: made when first asked for, each unit with an algorithm of its own.

use kho_client::PemSigner;
use kho_proto::digest::Digest;
use kho_proto::id::{UnitCode, UnixMs};
use kho_proto::signature::Algorithm;

use super::files::DEV_VALIDITY_DAYS;
use super::{Error, Layout, Plane};
use crate::certs::{Authority, KeyKind, Profile, Validity};

/// The algorithm of a unit's development signer: half of the units sign with Ed25519, the others with the rest in turn.
pub(super) fn algorithm_of(unit: &UnitCode) -> Algorithm {
    match Digest::of(unit.as_str().as_bytes()).as_bytes()[0] % 8 {
        0..4 => Algorithm::Ed25519,
        4 | 5 => Algorithm::EcdsaP256Sha256,
        6 => Algorithm::RsaPkcs1Sha256,
        _ => Algorithm::RsaPssSha256,
    }
}

/// The key that a unit's development signer has.
pub fn key_kind_of(unit: &UnitCode) -> KeyKind {
    match algorithm_of(unit) {
        Algorithm::Ed25519 => KeyKind::Ed25519,
        Algorithm::EcdsaP256Sha256 => KeyKind::P256,
        Algorithm::RsaPkcs1Sha256 | Algorithm::RsaPssSha256 => KeyKind::Rsa2048,
    }
}

/// Loads a unit's signer; makes it if there is none.
pub(super) fn load_or_issue(layout: &Layout, unit: &UnitCode, now: UnixMs) -> Result<PemSigner, Error> {
    let (certificate, key) = layout.signer(unit);
    if !certificate.exists() {
        let authority = Authority::load(&layout.authorities(), &Plane::Signers.authority())?;
        let issued = authority.issue(
            &Profile::Signer { unit: unit.clone() },
            key_kind_of(unit),
            Validity::days(now, DEV_VALIDITY_DAYS),
        )?;
        issued.write(&layout.signers(), unit.as_str())?;
    }
    Ok(PemSigner::from_files(&certificate, &key, Some(algorithm_of(unit)))?)
}
