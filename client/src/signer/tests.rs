use kho_proto::signature::{self, Algorithm};
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
    PublicKeyData, RsaKeySize,
};

use super::{PemError, PemSigner, Signer};

fn certified(key: &KeyPair) -> (String, String) {
    let certificate = CertificateParams::new(vec!["signer".to_owned()]).unwrap().self_signed(key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn each_algorithm_verifies_and_a_flipped_bit_does_not() {
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let p256 = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    for (key, algorithm) in [
        (&ed25519, Algorithm::Ed25519),
        (&p256, Algorithm::EcdsaP256Sha256),
        (&rsa, Algorithm::RsaPkcs1Sha256),
        (&rsa, Algorithm::RsaPssSha256),
    ] {
        let (certificate, pem) = certified(key);
        let signer = PemSigner::from_pem(certificate.as_bytes(), pem.as_bytes(), Some(algorithm)).unwrap();
        assert_eq!(signer.algorithm(), algorithm);
        let mut made = signer.sign(b"message").await.unwrap().to_vec();
        let public = key.subject_public_key_info();
        signature::verify(algorithm, &public, b"message", &made).unwrap();
        made[20] ^= 1;
        signature::verify(algorithm, &public, b"message", &made).unwrap_err();
    }
}

#[test]
fn without_a_wish_the_key_decides() {
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let (certificate, pem) = certified(&rsa);
    let signer = PemSigner::from_pem(certificate.as_bytes(), pem.as_bytes(), None).unwrap();
    assert_eq!(signer.algorithm(), Algorithm::RsaPkcs1Sha256);
}

#[test]
fn what_does_not_fit_is_refused() {
    let one = certified(&KeyPair::generate_for(&PKCS_ED25519).unwrap());
    let other = certified(&KeyPair::generate_for(&PKCS_ED25519).unwrap());
    let p384 = certified(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
    let make = |certificate: &str, key: &str, algorithm| {
        PemSigner::from_pem(certificate.as_bytes(), key.as_bytes(), algorithm).err()
    };
    assert!(matches!(make(&one.0, &other.1, None), Some(PemError::OtherKey)));
    assert!(matches!(make(&p384.0, &p384.1, None), Some(PemError::KeyKind)));
    assert!(matches!(make(&one.0, &one.1, Some(Algorithm::RsaPssSha256)), Some(PemError::Algorithm { .. })));
    assert!(matches!(make("", &one.1, None), Some(PemError::Certificate { .. })));
    assert!(matches!(make(&one.0, "no key", None), Some(PemError::Key { .. })));
}
