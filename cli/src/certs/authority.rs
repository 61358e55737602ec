//! A certificate authority: makes itself, loads itself, issues.

use std::path::Path;

use aws_lc_rs::signature::Ed25519KeyPair;
use kho_proto::id::UnixMs;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RevokedCertParams, RsaKeySize,
    SerialNumber,
};
use time::{Duration, OffsetDateTime};
use x509_parser::pem::Pem;

use super::{Error, Issued, KeyKind, Profile};

/// Certificates begin this long before they are made, so that a slow clock elsewhere accepts them.
const BACKDATE: Duration = Duration::hours(1);

/// From when to when a certificate holds.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    /// First instant.
    pub not_before: UnixMs,
    /// Last instant.
    pub not_after: UnixMs,
}

impl Validity {
    /// From an hour before `now` to `days` after it.
    pub fn days(now: UnixMs, days: u32) -> Self {
        let day_ms = 24 * 60 * 60 * 1000;
        let back = u64::try_from(BACKDATE.whole_milliseconds()).unwrap_or(0);
        Self { not_before: UnixMs(now.0.saturating_sub(back)), not_after: UnixMs(now.0 + u64::from(days) * day_ms) }
    }

    fn put(self, params: &mut CertificateParams) {
        params.not_before = at(self.not_before);
        params.not_after = at(self.not_after);
    }
}

fn at(ms: UnixMs) -> OffsetDateTime {
    let seconds = i64::try_from(ms.0 / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// An authority: its certificate and the key that signs.
pub struct Authority {
    certificate: String,
    key: String,
    issuer: Issuer<'static, KeyPair>,
}

fn generate(kind: KeyKind) -> Result<KeyPair, rcgen::Error> {
    match kind {
        // version 1 of PKCS #8, which everybody reads: openssl 3.0 does not read the version with the public key
        KeyKind::Ed25519 => {
            let key = Ed25519KeyPair::generate().and_then(|key| key.to_pkcs8v1());
            KeyPair::try_from(key.map_err(|_| rcgen::Error::KeyGenerationUnavailable)?.as_ref())
        }
        KeyKind::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        KeyKind::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
    }
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, "VN");
    name.push(DnType::CommonName, common_name);
    name
}

impl Authority {
    /// A new self-signed authority.
    pub fn create(common_name: &str, kind: KeyKind, validity: Validity) -> Result<Self, Error> {
        let build = || {
            let key = generate(kind)?;
            let mut params = CertificateParams::default();
            validity.put(&mut params);
            params.distinguished_name = named(common_name);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let certificate = params.self_signed(&key)?.pem();
            Ok(Self { certificate, key: key.serialize_pem(), issuer: Issuer::new(params, key) })
        };
        build().map_err(|source| Error::Build { subject: common_name.to_owned(), source })
    }

    /// Loads `NAME.pem` and `NAME.key.pem` of `dir`.
    pub fn load(dir: &Path, name: &str) -> Result<Self, Error> {
        let certificate_path = dir.join(format!("{name}.pem"));
        let key_path = dir.join(format!("{name}.key.pem"));
        let read =
            |path: &Path| std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source });
        let (certificate, key) = (read(&certificate_path)?, read(&key_path)?);
        let pair = KeyPair::from_pem(&key).map_err(|source| Error::Parse { path: key_path, what: "key", source })?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, pair).map_err(|source| Error::Parse {
            path: certificate_path,
            what: "certificate",
            source,
        })?;
        Ok(Self { certificate, key, issuer })
    }

    /// An error if `NAME.pem` or `NAME.key.pem` exists in `dir`.
    pub fn check_absent(dir: &Path, name: &str) -> Result<(), Error> {
        let files = [dir.join(format!("{name}.pem")), dir.join(format!("{name}.key.pem"))];
        match files.into_iter().find(|path| path.symlink_metadata().is_ok()) {
            Some(path) => Err(Error::Exists { path }),
            None => Ok(()),
        }
    }

    /// Writes `NAME.pem` and `NAME.key.pem` (mode 0600); never over an authority that stands there.
    pub fn write(&self, dir: &Path, name: &str) -> Result<(), Error> {
        Self::check_absent(dir, name)?;
        Issued { certificate: self.certificate.clone(), key: self.key.clone() }.write(dir, name).map(|_| ())
    }

    /// The authority's certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A complete list (PEM) that takes back these certificates, made now and to be renewed within `days`. Its number is the
    /// second in which it was made.
    pub fn revoke(&self, certificates: &[&Path], now: UnixMs, days: u32) -> Result<String, Error> {
        let mut revoked = Vec::new();
        for path in certificates {
            let file = |source| Error::File { path: (*path).to_owned(), source };
            let parse = |what: String| file(std::io::Error::other(what));
            let bytes = std::fs::read(path).map_err(file)?;
            let (_, pem) = x509_parser::pem::parse_x509_pem(&bytes).map_err(|error| parse(error.to_string()))?;
            let serial = serial(&pem).map_err(|error| parse(error.to_string()))?;
            revoked.push(RevokedCertParams {
                serial_number: serial,
                revocation_time: at(now),
                reason_code: None,
                invalidity_date: None,
            });
        }
        let list = CertificateRevocationListParams {
            this_update: at(now),
            next_update: at(Validity::days(now, days).not_after),
            crl_number: SerialNumber::from(now.0 / 1000),
            issuing_distribution_point: None,
            revoked_certs: revoked,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = list.signed_by(&self.issuer).and_then(|list| list.pem());
        pem.map_err(|source| Error::Build { subject: "list of revoked certificates".to_owned(), source })
    }

    /// Issues a certificate with a new key.
    pub fn issue(&self, profile: &Profile, kind: KeyKind, validity: Validity) -> Result<Issued, Error> {
        let build = || {
            let key = generate(kind)?;
            let mut params = CertificateParams::default();
            validity.put(&mut params);
            params.distinguished_name = named(&profile.common_name());
            params.subject_alt_names = profile.names()?;
            params.key_usages = profile.key_usages();
            params.extended_key_usages = profile.extended_key_usages();
            params.use_authority_key_identifier_extension = true;
            let certificate = params.signed_by(&key, &self.issuer)?.pem();
            Ok(Issued { certificate, key: key.serialize_pem() })
        };
        build().map_err(|source| Error::Build { subject: profile.common_name(), source })
    }
}

fn serial(pem: &Pem) -> Result<SerialNumber, x509_parser::nom::Err<x509_parser::error::X509Error>> {
    Ok(SerialNumber::from_slice(pem.parse_x509()?.raw_serial()))
}
