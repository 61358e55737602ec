use kho_proto::checkpoint::VerifierKey;
use kho_proto::pb::v1::SignedRecord;
use kho_proto::receipt::{Error, Receipt};
use kho_proto::record;
use serde_json::{Value, json};

use crate::{refusal, signature, text};

#[test]
fn receipt() {
    crate::check("receipt.json", output);
}

fn output(input: &Value) -> Value {
    let record = signature::record(&input["record"]);
    verify(input, &record).unwrap_or_else(|error| refusal(error.code()))
}

fn verify(input: &Value, record: &SignedRecord) -> Result<Value, Error> {
    let key: VerifierKey = text(input, "verifier_key").parse().expect("verifier key");
    let receipt = Receipt::from_tlog_proof(text(input, "tlog_proof"))?;
    let checkpoint = receipt.verify_record(&key, record)?;
    assert_eq!(receipt.to_tlog_proof(), text(input, "tlog_proof"));
    assert_eq!(Receipt::from_pb(&receipt.to_pb()).as_ref(), Ok(&receipt));
    let file = record::to_file(record);
    assert_eq!(record::from_file(file.clone()).as_ref(), Ok(record));
    Ok(json!({
        "record_id": hex::encode(receipt.leaf.record_id),
        "accepted_at_ms": receipt.leaf.accepted_at.0,
        "sequence": receipt.sequence.0,
        "size": checkpoint.size,
        "root": checkpoint.root.to_string(),
        "record_file": hex::encode(file),
    }))
}
