use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::id::Token;

fn context() -> SealContext {
    SealContext {
        cluster_id: ClusterId([1; 16]),
        key_id: KeyId([2; 16]),
        record_id: RecordId([3; 16]),
        header_digest: Digest([4; 32]),
        signature_block_digest: Digest([5; 32]),
    }
}

fn key() -> DataKey {
    DataKey::new([6; 32])
}

#[test]
fn opens_what_it_sealed() {
    for part in Part::ALL {
        for plaintext in [&b""[..], b"x", &[7; 70_000]] {
            let sealed = seal(&context(), part, &key(), [8; 12], plaintext);
            assert_eq!(sealed.len(), plaintext.len() + OVERHEAD);
            assert_eq!(open(&context(), part, &key(), &sealed).as_deref(), Ok(plaintext));
        }
    }
}

#[test]
fn opens_nowhere_else() {
    let sealed = seal(&context(), Part::Head, &key(), [8; 12], b"secret");
    let elsewhere = [
        SealContext { cluster_id: ClusterId([9; 16]), ..context() },
        SealContext { key_id: KeyId([9; 16]), ..context() },
        SealContext { record_id: RecordId([9; 16]), ..context() },
        SealContext { header_digest: Digest([9; 32]), ..context() },
        SealContext { signature_block_digest: Digest([9; 32]), ..context() },
    ];
    for context in elsewhere {
        assert_eq!(open(&context, Part::Head, &key(), &sealed), Err(Error::NotAuthentic { what: "head" }));
    }
    let other = DataKey::new([9; 32]);
    assert_eq!(open(&context(), Part::Head, &other, &sealed), Err(Error::NotAuthentic { what: "head" }));
    let part = Error::Part { expected: Part::Payload, found: 1 };
    assert_eq!(open(&context(), Part::Payload, &key(), &sealed), Err(part));
    // Even with its part byte changed: the part is in the key and in the additional data.
    let mut relabelled = sealed.to_vec();
    relabelled[1] = Part::Payload.byte();
    let verdict = open(&context(), Part::Payload, &key(), &relabelled);
    assert_eq!(verdict, Err(Error::NotAuthentic { what: "payload" }));
}

#[test]
fn other_versions_and_cut_parts_are_refused() {
    let sealed = seal(&context(), Part::Head, &key(), [8; 12], b"");
    let mut other = sealed.to_vec();
    other[0] = 2;
    assert_eq!(open(&context(), Part::Head, &key(), &other), Err(Error::Version { what: "head", found: 2 }));
    let short = Error::TooShort { what: "head", expected: 30, found: 29 };
    assert_eq!(open(&context(), Part::Head, &key(), &sealed[..29]), Err(short));
}

#[test]
fn a_certificate_is_bound_to_its_digest() {
    let der = b"der";
    let context = SealContext::certificate(ClusterId([1; 16]), KeyId([2; 16]), Digest::of(der));
    let sealed = seal(&context, Part::Certificate, &key(), [8; 12], der);
    assert_eq!(open(&context, Part::Certificate, &key(), &sealed).as_deref(), Ok(&der[..]));
}

fn wrap_context() -> WrapContext {
    WrapContext { cluster_id: ClusterId([1; 16]), key_id: KeyId([2; 16]), unit_token: Token([3; 16]), generation: 1 }
}

#[test]
fn unwraps_what_it_wrapped_and_nothing_else() {
    let kek = KeyEncryptionKey::new([5; 32]);
    let wrapped = wrap_key(&wrap_context(), &kek, [8; 12], &key());
    assert_eq!(wrapped.len(), WRAPPED_KEY_LENGTH);
    let unwrapped = unwrap_key(&wrap_context(), &kek, &wrapped).expect("its own");
    assert_eq!(unwrapped.as_bytes(), key().as_bytes());
    let refused = Some(Error::NotAuthentic { what: "data key" });
    for context in [
        WrapContext { cluster_id: ClusterId([9; 16]), ..wrap_context() },
        WrapContext { key_id: KeyId([9; 16]), ..wrap_context() },
        WrapContext { unit_token: Token([9; 16]), ..wrap_context() },
        WrapContext { generation: 2, ..wrap_context() },
    ] {
        assert_eq!(unwrap_key(&context, &kek, &wrapped).err(), refused);
    }
    assert_eq!(unwrap_key(&wrap_context(), &KeyEncryptionKey::new([9; 32]), &wrapped).err(), refused);
    assert!(matches!(unwrap_key(&wrap_context(), &kek, &wrapped[1..]), Err(Error::TooShort { .. })));
}

#[test]
fn debug_shows_no_secret() {
    let head = Head { header: "confidential".into(), signature_block: "confidential".into() };
    let text = format!("{:?} {:?} {:?}", key(), KeyEncryptionKey::new([6; 32]), head);
    assert_eq!(text, "DataKey(..) KeyEncryptionKey(..) Head(12 + 12 bytes)");
}

#[test]
fn a_head_round_trips() {
    let head = Head { header: "h".into(), signature_block: "s".into() };
    assert_eq!(Head::from_plaintext(head.to_plaintext()), Ok(head.clone()));
    assert_eq!(head.encode_to_vec(), b"\x0a\x01h\x12\x01s");
    assert!(Head::from_plaintext(vec![0xff]).is_err());
}

proptest! {
    #[test]
    fn a_changed_byte_never_opens(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut sealed = seal(&context(), Part::Payload, &key(), [8; 12], b"some payload").to_vec();
        let at = at.index(sealed.len());
        sealed[at] ^= flip;
        prop_assert!(open(&context(), Part::Payload, &key(), &sealed).is_err());
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = open(&context(), Part::Head, &key(), &bytes);
        let _ = unwrap_key(&wrap_context(), &KeyEncryptionKey::new([5; 32]), &bytes);
        let _ = Head::from_plaintext(bytes);
    }
}
