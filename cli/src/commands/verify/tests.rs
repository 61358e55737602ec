use kho::certs::{Authority, KeyKind, Profile, Validity};
use kho_client::{Draft, PemSigner, Signed, System};
use kho_proto::checkpoint::{Checkpoint, LogKey, LogSigner, Origin, VerifierKey};
use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, Epoch, KeyId, Seq, UnixMs};
use kho_proto::leaf::{Leaf, LeafKind};
use kho_proto::merkle;
use kho_proto::receipt::ReceiptState;

use super::*;

const NOW: UnixMs = UnixMs(1_591_925_400_000);

struct Case {
    record: Vec<u8>,
    proof: String,
    key: VerifierKey,
    trust: TrustRoots,
}

async fn signed(authority: &Authority) -> Signed {
    let profile = Profile::Signer { unit: "BYT".parse().unwrap() };
    let issued = authority.issue(&profile, KeyKind::Ed25519, Validity::days(NOW, 30)).unwrap();
    let signer = PemSigner::from_pem(issued.certificate.as_bytes(), issued.key.as_bytes(), None).unwrap();
    let draft = Draft {
        record_id: None,
        unit: "BYT".parse().unwrap(),
        regime: "YT-01".parse().unwrap(),
        period: "2020-06-12".parse().unwrap(),
        series: "Hà Nội".to_owned(),
        supersedes: None,
        receivers: vec!["VPCP".parse().unwrap()],
        media_type: "application/json".to_owned(),
        payload: "{\"new_cases\": 0}".into(),
    };
    draft.sign(&signer, &System).await.unwrap()
}

/// The second of two leaves, with a proof of one hash.
async fn case() -> Case {
    let authority = Authority::create("signers", KeyKind::P256, Validity::days(NOW, 30)).unwrap();
    let signed = signed(&authority).await;
    let log = LogSigner::new(&LogKey::new([7; 32]), Origin::new(ClusterId([1; 16]), Epoch(1), Digest::of(b"genesis")));
    let leaf = Leaf {
        kind: LeafKind::Record,
        record_id: signed.record_id(),
        accepted_at: NOW,
        key_id: KeyId([3; 16]),
        header_digest: signed.header_digest(),
        signature_block_digest: Digest::of(&signed.record().signature_block),
        sealed_head_digest: Digest::of(b"head"),
        sealed_payload_digest: Digest::of(b"payload"),
        attachments_digest: Digest::ZERO,
    };
    let first = Digest::of(b"the leaf before");
    let checkpoint =
        Checkpoint { origin: log.origin().clone(), size: 2, root: merkle::node_hash(&first, &leaf.hash()) };
    let state = ReceiptState::Accepted;
    let receipt = Receipt { leaf, sequence: Seq(1), inclusion: vec![first], checkpoint: log.sign(&checkpoint), state };
    Case {
        record: record::to_file(signed.record()),
        proof: receipt.to_tlog_proof(),
        key: log.verifier_key().clone(),
        trust: TrustRoots::from_pem(authority.certificate().as_bytes()).unwrap(),
    }
}

impl Case {
    /// Like the command: a file that does not parse has failed, too.
    fn good(&self, record: &[u8], proof: &[u8]) -> bool {
        let Ok(record) = record::from_file(record.to_vec()) else { return false };
        let Ok(Ok(receipt)) = std::str::from_utf8(proof).map(Receipt::from_tlog_proof) else { return false };
        check(&record, &receipt, &self.key, Some(&self.trust)).first_failed().is_none()
    }
}

#[tokio::test]
async fn an_untouched_pair_passes_every_check() {
    let case = case().await;
    let record = record::from_file(case.record.clone()).unwrap();
    let receipt = Receipt::from_tlog_proof(&case.proof).unwrap();
    let checks = check(&record, &receipt, &case.key, Some(&case.trust));
    assert_eq!(checks.first_failed(), None);
    assert_eq!(checks.passed(), checks.0.len());
    let without_trust = check(&record, &receipt, &case.key, None);
    assert_eq!((without_trust.first_failed(), without_trust.passed()), (None, checks.passed() - 1));
}

#[tokio::test]
async fn every_flipped_byte_of_the_record_is_found() {
    let case = case().await;
    for at in 0..case.record.len() {
        for flip in [0x01, 0x80] {
            let mut record = case.record.clone();
            record[at] ^= flip;
            assert!(!case.good(&record, case.proof.as_bytes()), "byte {at} ^ {flip:#x}");
        }
    }
}

#[tokio::test]
async fn every_flipped_byte_of_the_receipt_is_found() {
    let case = case().await;
    for at in 0..case.proof.len() {
        let mut proof = case.proof.clone().into_bytes();
        proof[at] ^= 0x01;
        assert!(!case.good(&case.record, &proof), "byte {at}: {:?}", String::from_utf8_lossy(&proof));
    }
}

#[tokio::test]
async fn another_log_another_authority_and_another_record_are_refused() {
    let (case, other) = (case().await, self::case().await);
    assert!(!case.good(&other.record, case.proof.as_bytes()), "another record");
    assert!(
        !Case { trust: other.trust.clone(), ..self::case().await }.good(&case.record, case.proof.as_bytes()),
        "another authority"
    );
    let log = LogSigner::new(&LogKey::new([8; 32]), case.key.origin().clone());
    let strange = Case { key: log.verifier_key().clone(), ..case };
    assert!(!strange.good(&strange.record, strange.proof.as_bytes()), "another log key");
}
