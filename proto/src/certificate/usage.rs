//! What a certificate's key may be used for (RFC 5280, 4.2.1.3 and 4.2.1.12; RFC 9336).

use webpki::{ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage, RequiredEkuNotFoundContext};
use x509_parser::certificate::X509Certificate;

use super::Error;

pub(super) const EXTENDED: &str = "extended key usage clientAuth, emailProtection, documentSigning or any, if present";
const SIGNATURE: &str = "key usage digitalSignature or nonRepudiation, if present";
const ISSUER: &str = "key usage keyCertSign of every issuer, if present";

/// Content octets of the object identifiers.
const PURPOSES: [KeyPurposeId<'static>; 4] = [
    // clientAuth 1.3.6.1.5.5.7.3.2
    KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 2]),
    // emailProtection 1.3.6.1.5.5.7.3.4
    KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 4]),
    // documentSigning 1.3.6.1.5.5.7.3.36
    KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 36]),
    // anyExtendedKeyUsage 2.5.29.37.0
    KeyPurposeId::new(&[0x55, 0x1d, 0x25, 0]),
];

/// Wants one of [`PURPOSES`] where a certificate of the path restricts its purposes.
pub(super) struct SigningPurpose;

impl ExtendedKeyUsageValidator for SigningPurpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut present = Vec::new();
        for purpose in purposes {
            let purpose = purpose?;
            if PURPOSES.contains(&purpose) {
                return Ok(());
            }
            present.push(purpose.to_decoded_oid());
        }
        if present.is_empty() {
            return Ok(()); // no extension: no restriction
        }
        let required = KeyUsage::client_auth();
        Err(webpki::Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext { required, present }))
    }
}

/// The signer's key usage, if restricted, must allow signatures.
pub(super) fn check_signer(certificate: &X509Certificate<'_>) -> Result<(), Error> {
    match certificate.key_usage().map_err(|error| Error::malformed(0, error))? {
        Some(usage) if !usage.value.digital_signature() && !usage.value.non_repudiation() => {
            Err(Error::WrongUsage { expected: SIGNATURE, found: usage.value.to_string() })
        }
        Some(_) | None => Ok(()),
    }
}

/// An issuer's key usage, if restricted, must allow issuing. Path building looks at basic constraints only.
pub(super) fn check_issuer(position: usize, certificate: &X509Certificate<'_>) -> Result<(), Error> {
    match certificate.key_usage().map_err(|error| Error::malformed(position, error))? {
        Some(usage) if !usage.value.key_cert_sign() => {
            Err(Error::WrongUsage { expected: ISSUER, found: usage.value.to_string() })
        }
        Some(_) | None => Ok(()),
    }
}
