//! Certificate revocation lists (RFC 5280, section 5): which certificates their authority has taken back.
//!
//! A list is trusted because of the authority that signed it: its issuer is named by subject *and* key, so that an
//! authority that changes its key under its old name has two lists, and each speaks for its own certificates only.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rustls_pki_types::UnixTime;
use webpki::{
    CertRevocationList, ExpirationPolicy, OwnedCertRevocationList, RevocationOptions, RevocationOptionsBuilder,
    RevocationReason, UnknownStatusPolicy,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::roots::CERTIFICATE_ALGORITHMS;
use super::{Error, TrustRoots, parse};
use crate::digest::Digest;
use crate::id::UnixMs;

/// Bytes of a list, at most: some 25,000 revoked certificates.
pub const CRL_LENGTH_MAX: usize = 1 << 20;

/// Subject and key of an authority: whose lists and certificates belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssuerId(pub Digest);

impl IssuerId {
    pub(super) fn of(authority: &X509Certificate<'_>) -> Self {
        Self(Digest::of_parts(&[authority.subject().as_raw(), authority.public_key().raw]))
    }
}

/// A list whose form was checked, and nothing else.
#[derive(Debug)]
pub struct Crl {
    list: CertRevocationList<'static>,
    digest: Digest,
    this_update: UnixMs,
    next_update: Option<UnixMs>,
    number: Option<String>,
    issuer: String,
    revoked: usize,
}

impl Crl {
    /// Reads a DER list: version 2, complete, direct. A delta or an indirect list is refused.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let parsed = parse_list(der)?;
        let list = OwnedCertRevocationList::from_der(der).map_err(|error| malformed(error.to_string()))?;
        Ok(Self {
            list: list.into(),
            digest: Digest::of(der),
            this_update: ms(parsed.last_update().timestamp()),
            next_update: parsed.next_update().map(|next| ms(next.timestamp())),
            number: parsed.crl_number().map(ToString::to_string),
            issuer: parsed.issuer().to_string(),
            revoked: parsed.iter_revoked_certificates().count(),
        })
    }

    /// SHA-256 of its DER bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// When it was made.
    pub fn this_update(&self) -> UnixMs {
        self.this_update
    }

    /// When its authority means to have made the next one; none: it does not say.
    pub fn next_update(&self) -> Option<UnixMs> {
        self.next_update
    }

    /// CRL number in decimal (RFC 5280, 5.2.3); none: it has none.
    pub fn number(&self) -> Option<&str> {
        self.number.as_deref()
    }

    /// Distinguished name of its authority, for people.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Certificates that it takes back.
    pub fn revoked(&self) -> usize {
        self.revoked
    }

    /// Whether it takes back the certificate that its authority gave this number.
    pub fn takes_back(&self, serial: &[u8]) -> bool {
        // an entry that can't be read is not known to be another's; all were read when the list was
        !matches!(self.list.find_serial(serial), Ok(None))
    }
}

fn malformed(reason: String) -> Error {
    Error::CrlMalformed { reason }
}

fn ms(seconds: i64) -> UnixMs {
    UnixMs(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
}

fn parse_list(der: &[u8]) -> Result<CertificateRevocationList<'_>, Error> {
    if der.len() > CRL_LENGTH_MAX {
        return Err(malformed(format!("{} bytes, more than {CRL_LENGTH_MAX}", der.len())));
    }
    match CertificateRevocationList::from_der(der) {
        Ok(([], list)) => Ok(list),
        Ok((rest, _)) => Err(malformed(format!("{} bytes after its end", rest.len()))),
        Err(error) => Err(malformed(error.to_string())),
    }
}

/// The authority that signed `der`: a trusted root, or one of `issuers` below it, valid at `at`.
///
/// Enough to keep lists of strangers out. What a list says of a certificate counts only where path building finds its
/// authority above that certificate, and webpki verifies the list's signature once more there.
pub(super) fn signer(roots: &TrustRoots, der: &[u8], issuers: &[Bytes], at: UnixMs) -> Result<IssuerId, Error> {
    let list = parse_list(der)?;
    let signed = Signed {
        by: list.issuer().as_raw(),
        message: list.tbs_cert_list.as_ref(),
        algorithm: list.signature_algorithm.algorithm.as_bytes(),
        signature: &list.signature_value.data,
    };
    if let Some(root) = roots.authorities().find(|root| signed.is_by(root.name(), root.key())) {
        return Ok(root.id());
    }
    let untrusted = |reason: &str| Err(Error::CrlUntrusted { reason: reason.to_owned() });
    let certificates: Vec<_> = issuers.iter().enumerate().map(|(n, der)| parse(n, der)).collect::<Result<_, _>>()?;
    let by = |authority: &&X509Certificate<'_>| signed.is_by(authority.subject().as_raw(), authority.public_key().raw);
    let Some(authority) = certificates.iter().find(by) else {
        return untrusted("it is signed by no root, and by none of the authorities given");
    };
    let may_sign = authority.key_usage().ok().flatten().is_none_or(|usage| usage.value.crl_sign());
    if !may_sign {
        return untrusted("the key usage of its authority forbids it");
    }
    if !leads_to_root(roots, authority, &certificates, at, certificates.len()) {
        return untrusted("its authority does not lead to a trusted root");
    }
    Ok(IssuerId::of(authority))
}

/// Whether a path of valid authorities, each signed by the next, leads from this one to a root.
fn leads_to_root(
    roots: &TrustRoots,
    authority: &X509Certificate<'_>,
    others: &[X509Certificate<'_>],
    at: UnixMs,
    steps: usize,
) -> bool {
    let validity = authority.validity();
    let valid = (ms(validity.not_before.timestamp()).0..=ms(validity.not_after.timestamp()).0 + 999).contains(&at.0);
    let issues = authority.key_usage().ok().flatten().is_none_or(|usage| usage.value.key_cert_sign());
    if !valid || !issues || !authority.is_ca() {
        return false;
    }
    let signed = Signed {
        by: authority.issuer().as_raw(),
        message: authority.tbs_certificate.as_ref(),
        algorithm: authority.signature_algorithm.algorithm.as_bytes(),
        signature: &authority.signature_value.data,
    };
    roots.authorities().any(|root| signed.is_by(root.name(), root.key()))
        || steps > 1
            && others.iter().any(|next| {
                signed.is_by(next.subject().as_raw(), next.public_key().raw)
                    && leads_to_root(roots, next, others, at, steps - 1)
            })
}

/// What an authority signed.
struct Signed<'a> {
    /// DER Name of the authority.
    by: &'a [u8],
    message: &'a [u8],
    /// Content octets of the algorithm's object identifier.
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl Signed<'_> {
    /// Whether the authority of this name signed it with this key (DER SubjectPublicKeyInfo).
    fn is_by(&self, name: &[u8], key: &[u8]) -> bool {
        let Ok((_, key)) = SubjectPublicKeyInfo::from_der(key) else { return false };
        let kind = key.algorithm.algorithm.as_bytes();
        self.by == name
            && CERTIFICATE_ALGORITHMS.iter().any(|candidate| {
                names(&candidate.signature_alg_id(), self.algorithm)
                    && names(&candidate.public_key_alg_id(), kind)
                    && candidate.verify_signature(&key.subject_public_key.data, self.message, self.signature).is_ok()
            })
    }
}

/// Whether an encoded AlgorithmIdentifier begins with this object identifier (content octets).
fn names(identifier: &[u8], oid: &[u8]) -> bool {
    let [0x06, length, rest @ ..] = identifier else { return false };
    usize::from(*length) == oid.len() && rest.starts_with(oid)
}

/// What is done where lists say nothing, or nothing new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationPolicy {
    /// A list whose nextUpdate has passed still counts; else what it speaks of is refused.
    pub accept_expired: bool,
    /// A certificate whose authority has no list counts as good; else it is refused.
    pub accept_unknown: bool,
}

impl Default for RevocationPolicy {
    /// Both are accepted: an authority that is late must not stop the reports of a country.
    fn default() -> Self {
        Self { accept_expired: true, accept_unknown: true }
    }
}

/// The lists that count, one for each authority.
#[derive(Debug, Default)]
pub struct Crls {
    /// By authority.
    pub lists: BTreeMap<IssuerId, Crl>,
    /// What counts where they are silent.
    pub policy: RevocationPolicy,
}

impl Crls {
    /// Of the authorities in a chain and of the roots: only these can speak of a certificate in it.
    pub(super) fn of(&self, roots: &TrustRoots, chain: &[X509Certificate<'_>]) -> Vec<&CertRevocationList<'static>> {
        if self.lists.is_empty() {
            return Vec::new();
        }
        let authorities = chain.iter().skip(1).map(IssuerId::of).chain(roots.authorities().map(|root| root.id()));
        authorities.filter_map(|id| self.lists.get(&id)).map(|crl| &crl.list).collect()
    }

    /// For path building; none: nothing is to be looked at.
    pub(super) fn options<'a>(
        &self,
        lists: &'a [&'a CertRevocationList<'a>],
    ) -> Result<Option<RevocationOptions<'a>>, Error> {
        let Ok(builder) = RevocationOptionsBuilder::new(lists) else {
            return if self.policy.accept_unknown { Ok(None) } else { Err(Error::StatusUnknown) };
        };
        let status = if self.policy.accept_unknown { UnknownStatusPolicy::Allow } else { UnknownStatusPolicy::Deny };
        let expiration = if self.policy.accept_expired { ExpirationPolicy::Ignore } else { ExpirationPolicy::Enforce };
        Ok(Some(builder.with_status_policy(status).with_expiration_policy(expiration).build()))
    }

    /// Since when a certificate of the chain is revoked, and why, for the message.
    pub(super) fn revoked(lists: &[&CertRevocationList<'_>], chain: &[X509Certificate<'_>]) -> Error {
        for (position, certificate) in chain.iter().enumerate() {
            for list in lists {
                if let Ok(Some(revoked)) = list.find_serial(certificate.raw_serial()) {
                    let since = UnixMs(revoked.revocation_date.as_secs().saturating_mul(1000));
                    return Error::Revoked { position, since, reason: reason(revoked.reason_code) };
                }
            }
        }
        Error::Revoked { position: 0, since: UnixMs(0), reason: reason(None) }
    }
}

fn reason(code: Option<RevocationReason>) -> &'static str {
    match code {
        None | Some(RevocationReason::Unspecified) => "unspecified",
        Some(RevocationReason::KeyCompromise) => "key compromise",
        Some(RevocationReason::CaCompromise) => "compromise of the authority",
        Some(RevocationReason::AffiliationChanged) => "affiliation changed",
        Some(RevocationReason::Superseded) => "superseded",
        Some(RevocationReason::CessationOfOperation) => "cessation of operation",
        Some(RevocationReason::CertificateHold) => "on hold",
        Some(RevocationReason::RemoveFromCrl) => "removed from the list",
        Some(RevocationReason::PrivilegeWithdrawn) => "privilege withdrawn",
        Some(RevocationReason::AaCompromise) => "compromise of an attribute authority",
    }
}

/// For webpki.
pub(super) fn unix_time(at: UnixMs) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(at.0))
}
