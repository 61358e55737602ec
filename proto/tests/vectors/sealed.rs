use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, KeyId, RecordId, Token};
use kho_proto::sealed::{DataKey, KeyEncryptionKey, Part, SealContext, WrapContext, open, seal, unwrap_key, wrap_key};
use kho_proto::tokens::TokenKey;
use serde_json::{Value, json};

use crate::{array, bytes, number, text};

#[test]
fn sealed() {
    crate::check("sealed.json", output);
}

fn output(input: &Value) -> Value {
    if input.get("part").is_some() {
        part(input)
    } else if input.get("key_encryption_key").is_some() {
        wrapped(input)
    } else {
        tokens(input)
    }
}

fn part(input: &Value) -> Value {
    let context = SealContext {
        cluster_id: ClusterId(array(input, "cluster_id")),
        key_id: KeyId(array(input, "key_id")),
        record_id: RecordId(array(input, "record_id")),
        header_digest: Digest(array(input, "header_digest")),
        signature_block_digest: Digest(array(input, "signature_block_digest")),
    };
    let byte = number(input, "part");
    let part = Part::ALL.into_iter().find(|part| u64::from(part.byte()) == byte).expect("a part");
    let (key, plaintext) = (DataKey::new(array(input, "data_key")), bytes(input, "plaintext"));
    let sealed = seal(&context, part, &key, array(input, "nonce"), &plaintext);
    assert_eq!(open(&context, part, &key, &sealed), Ok(plaintext));
    json!({ "sealed": hex::encode(sealed) })
}

fn wrapped(input: &Value) -> Value {
    let context = WrapContext {
        cluster_id: ClusterId(array(input, "cluster_id")),
        key_id: KeyId(array(input, "key_id")),
        unit_token: Token(array(input, "unit_token")),
        generation: u32::try_from(number(input, "generation")).expect("32 bits"),
    };
    let kek = KeyEncryptionKey::new(array(input, "key_encryption_key"));
    let wrapped = wrap_key(&context, &kek, array(input, "nonce"), &DataKey::new(array(input, "data_key")));
    let unwrapped = unwrap_key(&context, &kek, &wrapped).expect("its own");
    assert_eq!(unwrapped.as_bytes(), &array(input, "data_key"));
    json!({ "wrapped": hex::encode(wrapped), "fingerprint": kek.fingerprint().to_string() })
}

fn tokens(input: &Value) -> Value {
    let key = TokenKey::new(array(input, "token_key"));
    let unit = text(input, "unit").parse().expect("code");
    let regime = text(input, "regime").parse().expect("code");
    let period = text(input, "period").parse().expect("period");
    json!({
        "unit": hex::encode(key.unit(&unit)),
        "regime": hex::encode(key.regime(&regime)),
        "receiver": hex::encode(key.receiver(&unit)),
        "series": hex::encode(key.series(&unit, &regime, &period, text(input, "series"))),
    })
}
