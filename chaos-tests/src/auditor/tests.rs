use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::forge::*;
use super::*;

#[test]
fn good_receipts_of_trees_of_every_shape() {
    for size in 1..40 {
        for index in 0..size {
            let (key, text) = receipt(index, size);
            let proven = verify(&key, &text).unwrap_or_else(|error| panic!("leaf {index} of {size}: {error}"));
            assert_eq!((proven.index, proven.checkpoint.size), (index.into(), size.into()));
            let (id, header, signature_block) = record(index);
            proven.is_of(Record { id: &id, header: &header, signature_block: &signature_block }).expect("its record");
        }
    }
}

#[test]
fn any_flipped_bit_is_rejected() {
    let (key, text) = receipt(5, 9);
    for place in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[place] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        assert!(verify(&key, &changed).is_err(), "byte {place}: {changed}");
    }
}

#[test]
fn another_record_is_rejected() {
    let (key, text) = receipt(5, 9);
    let proven = verify(&key, &text).expect("good");
    let (id, header, block) = record(5);
    let (other_id, other_header, other_block) = record(6);
    let field =
        |id, header, signature_block| proven.is_of(Record { id, header, signature_block }).expect_err("another");
    assert_eq!(field(&other_id, &header, &block), Rejected::Leaf { field: "record id" });
    assert_eq!(field(&id, &other_header, &block), Rejected::Leaf { field: "header digest" });
    assert_eq!(field(&id, &header, &other_block), Rejected::Leaf { field: "signature block digest" });
}

#[test]
fn another_key_is_rejected() {
    let (_, text) = receipt(0, 1);
    let pair = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).expect("a key");
    let key = [&[1], pair.public_key().as_ref()].concat();
    let hash = hex::encode(&sha256(&[NAME.as_bytes(), b"\n", &key])[..4]);
    let vkey = format!("{NAME}+{hash}+{}", BASE64_STANDARD.encode(&key));
    let other = VerifierKey::parse(&vkey).expect("a verifier key");
    assert_eq!(verify(&other, &text), Err(Rejected::Signature { name: NAME.to_owned() }));
    assert_eq!(VerifierKey::parse(&vkey.replacen("+", "+0", 1)), None);
}
