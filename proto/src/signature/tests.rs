use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::digest::Digest;
use crate::testing;

const MESSAGE: &[u8] = b"message";
const RSA_1024: &str = "30819f300d06092a864886f70d010101050003818d00308189028181009e142620eafe01d7097a1f1d7f91e9339c\
    56d6541eca4f03540eb32a56d6849d365b61acef162eb16b742873f6e23e3553b464e0c64701ed2bbee6a8ae1bc89717c3b61c196fe5b98fa0\
    9a14849cecf743d88cc270b155b02b456cae5c34b0aebcb0581b64e8bcc702f468f7c7cb96cc93229c38445180714c5cb9682af6979f020301\
    0001";

fn key(algorithm: &'static rcgen::SignatureAlgorithm) -> (Vec<u8>, Vec<u8>) {
    use rcgen::PublicKeyData;
    let key = rcgen::KeyPair::generate_for(algorithm).expect("key");
    (key.subject_public_key_info(), key.serialize_der())
}

#[test]
fn each_algorithm_verifies_its_own_and_nothing_else() {
    for algorithm in Algorithm::ALL {
        let (public, private) = key(testing::key_algorithm(algorithm));
        let signature = testing::sign(algorithm, &private, MESSAGE);
        verify(algorithm, &public, MESSAGE, &signature).expect("its own");
        let invalid = Err(Error::Invalid { algorithm });
        assert_eq!(verify(algorithm, &public, b"other", &signature), invalid);
        assert_eq!(verify(algorithm, &public, MESSAGE, &signature[1..]), invalid);
        assert_eq!(verify(algorithm, &public, MESSAGE, b""), invalid);
        let (other, _) = key(testing::key_algorithm(algorithm));
        assert_eq!(verify(algorithm, &other, MESSAGE, &signature), invalid);
        for wrong in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            let error = verify(wrong, &public, MESSAGE, &signature).expect_err("another algorithm");
            let both_rsa = testing::key_algorithm(wrong) == testing::key_algorithm(algorithm);
            let code = if both_rsa { Code::SignatureInvalid } else { Code::AlgorithmUnsupported };
            assert_eq!(error.code(), code, "{error}");
        }
    }
}

#[test]
fn keys_of_other_kinds_and_sizes_are_refused() {
    let code = |der: &[u8]| PublicKey::from_der(der).expect_err("refused").code();
    let rsa_1024 = hex::decode(RSA_1024).expect("hex");
    assert_eq!(code(&rsa_1024), Code::CertificateKeyWeak);
    let error = PublicKey::from_der(&rsa_1024).expect_err("refused").to_string();
    assert!(error.ends_with("found rsa of 1024 bits"), "{error}");
    assert_eq!(code(&key(&rcgen::PKCS_ECDSA_P384_SHA384).0), Code::CertificateKeyWeak);
    assert_eq!(code(b""), Code::CertificateMalformed);
    let (public, _) = key(&rcgen::PKCS_ED25519);
    assert_eq!(code(&[&public[..], &[0]].concat()), Code::CertificateMalformed);
    let (public, _) = key(&rcgen::PKCS_RSA_SHA256);
    assert_eq!(PublicKey::from_der(&public).expect("accepted").kind(), KeyKind::Rsa { bits: 2048 });
}

fn block() -> SignatureBlock {
    SignatureBlock {
        algorithm: Algorithm::Ed25519,
        signature: vec![7; 64].into(),
        certificate_digests: vec![Digest([1; 32]), Digest([2; 32])],
    }
}

#[test]
fn a_block_round_trips() {
    for algorithm in Algorithm::ALL {
        let block = SignatureBlock { algorithm, ..block() };
        assert_eq!(SignatureBlock::decode(&block.encode()), Ok(block.clone()));
        assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
    }
    let largest = SignatureBlock {
        signature: vec![7; SIGNATURE_LENGTH_MAX].into(),
        certificate_digests: (1..=6).map(|n| Digest([n; 32])).collect(),
        ..block()
    };
    assert_eq!(SignatureBlock::decode(&largest.encode()), Ok(largest.clone()));
}

#[test]
fn a_block_keeps_to_its_rules() {
    let refuse = |change: &dyn Fn(&mut pb::SignatureBlock), code: Code, says: &str| {
        let mut message = pb::SignatureBlock::decode(block().encode()).expect("own block");
        change(&mut message);
        let error = SignatureBlock::decode(&message.encode_to_vec()).expect_err("must be refused");
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(Refusal::from(error).code, code);
    };
    let malformed = Code::SignatureBlockMalformed;
    refuse(&|b| b.version = 2, malformed, "version: expected 1, found 2");
    refuse(&|b| b.algorithm = 0, Code::AlgorithmUnsupported, "found 0");
    refuse(&|b| b.algorithm = 99, Code::AlgorithmUnsupported, "found 99");
    refuse(&|b| b.signature = Bytes::new(), malformed, "signature: expected 1 to 1024 bytes, found 0 bytes");
    refuse(&|b| b.signature = vec![1; 1025].into(), malformed, "found 1025 bytes");
    refuse(&|b| b.certificate_digests.clear(), malformed, "certificate_digests: expected 1 to 6, found 0");
    refuse(&|b| b.certificate_digests[0] = Bytes::new(), malformed, "32 bytes each");
    refuse(&|b| b.certificate_digests[0] = b.certificate_digests[1].clone(), malformed, "unique");
    refuse(&|b| b.signature = vec![1; 2048].into(), malformed, "at most 2048 bytes");
    let extra = [&block().encode()[..], &[0x7a, 0]].concat();
    assert_eq!(SignatureBlock::decode(&extra), Err(Error::BlockNotCanonical));
    assert!(matches!(SignatureBlock::decode(b"\xff"), Err(Error::BlockMalformed(_))));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = PublicKey::from_der(&bytes);
        if let Ok(block) = SignatureBlock::decode(&bytes) {
            prop_assert_eq!(block.encode().to_vec(), bytes);
        }
    }
}
