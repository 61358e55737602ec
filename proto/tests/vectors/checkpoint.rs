use kho_proto::checkpoint::{Checkpoint, LogKey, LogSigner, Origin, VerifierKey};
use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, Epoch};
use serde_json::{Value, json};

use crate::{array, bytes, number, refusal, text};

#[test]
fn checkpoint() {
    crate::check("checkpoint.json", output);
}

fn output(input: &Value) -> Value {
    if input.get("note").is_some() {
        let key: VerifierKey = text(input, "verifier_key").parse().expect("verifier key");
        return match key.open(text(input, "note").as_bytes()) {
            Err(error) => refusal(error.code()),
            Ok(checkpoint) => json!({ "size": checkpoint.size.to_string(), "root": checkpoint.root.to_string() }),
        };
    }
    let record = Digest::of(&bytes(input, "epoch_record"));
    let origin = Origin::new(ClusterId(array(input, "cluster_id")), Epoch(number(input, "epoch")), record);
    let signer = LogSigner::new(&LogKey::new(array(input, "seed")), origin.clone());
    let size = text(input, "size").parse().expect("number");
    let checkpoint = Checkpoint { origin, size, root: Digest(array(input, "root")) };
    let note = signer.sign(&checkpoint);
    assert_eq!(signer.verifier_key().open(&note), Ok(checkpoint));
    json!({ "verifier_key": signer.verifier_key().to_string(), "note": std::str::from_utf8(&note).expect("utf-8") })
}
