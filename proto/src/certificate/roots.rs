//! Trusted roots, and chains verified up to them (RFC 5280 through webpki).

use std::fmt;

use bytes::Bytes;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor};
use webpki::{EndEntityCert, anchor_from_trusted_cert, aws_lc_rs as algorithms};
use x509_parser::certificate::X509Certificate;

use super::crl::{self, Crls, IssuerId};
use super::{CERTIFICATE_LENGTH_MAX, CHAIN_LENGTH_MAX, Error, Signer, parse, san, usage};
use crate::digest::Digest;
use crate::id::{UnitCode, UnixMs};
use crate::signature::PublicKey;

/// Roots in a set, at most.
pub const ROOTS_MAX: usize = 256;

/// Signatures that are accepted on certificates.
pub(super) const CERTIFICATE_ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ED25519,
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// A set of trusted roots.
#[derive(Clone)]
pub struct TrustRoots {
    anchors: Vec<TrustAnchor<'static>>,
    authorities: Vec<Authority>,
    digest: Digest,
}

/// Name and key of a root, as lists of revoked certificates name them.
#[derive(Clone)]
pub(super) struct Authority {
    id: IssuerId,
    name: Vec<u8>,
    key: Vec<u8>,
}

impl Authority {
    fn of(root: &X509Certificate<'_>) -> Self {
        let (name, key) = (root.subject().as_raw().to_vec(), root.public_key().raw.to_vec());
        Self { id: IssuerId::of(root), name, key }
    }

    pub(super) fn id(&self) -> IssuerId {
        self.id
    }

    /// DER Name.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// DER SubjectPublicKeyInfo.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for TrustRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustRoots({} roots, {})", self.anchors.len(), self.digest)
    }
}

impl TrustRoots {
    /// From PEM certificates; other PEM sections are skipped.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let roots = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::Roots { reason: error.to_string() })?;
        Self::from_der(&roots)
    }

    /// From DER certificates.
    pub fn from_der(roots: &[CertificateDer<'_>]) -> Result<Self, Error> {
        if !(1..=ROOTS_MAX).contains(&roots.len()) {
            return Err(Error::Roots { reason: format!("found {}", roots.len()) });
        }
        let mut digests = Vec::with_capacity(roots.len());
        let (mut anchors, mut authorities) = (Vec::with_capacity(roots.len()), Vec::with_capacity(roots.len()));
        for (position, root) in roots.iter().enumerate() {
            let wrong = |reason| Error::Roots { reason: format!("number {}: {reason}", position + 1) };
            let anchor = anchor_from_trusted_cert(root).map_err(|error| wrong(error.to_string()))?;
            let authority = parse(position, root).map_err(|error| wrong(error.to_string()))?;
            let digest = Digest::of(root);
            if !digests.contains(&digest) {
                digests.push(digest);
                anchors.push(anchor.to_owned());
                authorities.push(Authority::of(&authority));
            }
        }
        digests.sort_unstable();
        let parts: Vec<&[u8]> = digests.iter().map(AsRef::as_ref).collect();
        Ok(TrustRoots { anchors, authorities, digest: Digest::of_parts(&parts) })
    }

    /// SHA-256 over the sorted digests of the roots: names the set in cache keys.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn authorities(&self) -> impl Iterator<Item = &Authority> {
        self.authorities.iter()
    }

    pub(super) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// Name and key of one of its roots.
    pub(super) fn id_of(&self, anchor: &TrustAnchor<'_>) -> IssuerId {
        let of = self.anchors.iter().zip(&self.authorities).find(|(candidate, _)| *candidate == anchor);
        of.map(|(_, authority)| authority.id()).expect("a path leads to one of these")
    }

    /// The authority that signed a list of revoked certificates: a root, or one of `issuers`, which lead to one at a time.
    pub fn verify_crl(&self, der: &[u8], issuers: &[Bytes], at: UnixMs) -> Result<IssuerId, Error> {
        crl::signer(self, der, issuers, at)
    }

    /// Verifies a chain of DER certificates, the signer's first, to a trusted root at a time: path, validity,
    /// usage, key, unit. What was revoked is not looked at.
    pub fn verify_chain(&self, chain: &[Bytes], at: UnixMs) -> Result<Signer, Error> {
        self.verify_chain_with(chain, at, &Crls::default())
    }

    /// The same, and no certificate in it may be revoked.
    pub fn verify_chain_with(&self, chain: &[Bytes], at: UnixMs, crls: &Crls) -> Result<Signer, Error> {
        let parsed = parse_chain(chain)?;
        let ders: Vec<CertificateDer<'_>> = chain.iter().map(|der| CertificateDer::from(der.as_ref())).collect();
        let end_entity = EndEntityCert::try_from(&ders[0]).map_err(|error| Error::of_path(at, error))?;
        let lists = crls.of(self, &parsed);
        let path = end_entity
            .verify_for_usage(
                CERTIFICATE_ALGORITHMS,
                &self.anchors,
                &ders[1..],
                crl::unix_time(at),
                usage::SigningPurpose,
                crls.options(&lists)?,
                None,
            )
            .map_err(|error| match error {
                webpki::Error::CertRevoked => Crls::revoked(&lists, &parsed),
                error => Error::of_path(at, error),
            })?;

        usage::check_signer(&parsed[0])?;
        let (mut not_before, mut not_after) = validity(&parsed[0]);
        for issuer in path.intermediate_certificates() {
            let der = issuer.der();
            let position = ders.iter().position(|candidate| *candidate == der).expect("the path is made of the chain");
            usage::check_issuer(position, &parsed[position])?;
            let (from, to) = validity(&parsed[position]);
            not_before = not_before.max(from);
            not_after = not_after.min(to);
        }

        let public_key_info = parsed[0].public_key().raw;
        PublicKey::from_der(public_key_info).map_err(|error| Error::of_key(0, error))?;
        Ok(Signer {
            unit: only_unit(san::from_certificate(&parsed[0])?)?,
            public_key_info: chain[0].slice_ref(public_key_info),
            certificate_digest: Digest::of(&chain[0]),
            not_before,
            not_after,
            subject: parsed[0].subject().to_string(),
        })
    }
}

fn parse_chain(chain: &[Bytes]) -> Result<Vec<X509Certificate<'_>>, Error> {
    if !(1..=CHAIN_LENGTH_MAX).contains(&chain.len()) {
        return Err(Error::ChainLength { found: chain.len() });
    }
    chain
        .iter()
        .enumerate()
        .map(|(position, der)| {
            if der.len() > CERTIFICATE_LENGTH_MAX {
                return Err(Error::TooLong { position, found: der.len() });
            }
            parse(position, der)
        })
        .collect()
}

fn validity(certificate: &X509Certificate<'_>) -> (UnixMs, UnixMs) {
    let ms = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
    let validity = certificate.validity();
    // notAfter holds to the end of its second.
    (UnixMs(ms(validity.not_before.timestamp())), UnixMs(ms(validity.not_after.timestamp()).saturating_add(999)))
}

fn only_unit(sans: san::Sans) -> Result<UnitCode, Error> {
    if sans.all_units {
        return Err(Error::UnitMissing { found: "urn:kho:units:all".to_owned() });
    }
    match <[UnitCode; 1]>::try_from(sans.units) {
        Ok([unit]) => Ok(unit),
        Err(units) => Err(Error::UnitMissing { found: units.len().to_string() }),
    }
}
