use kho_proto::digest::Digest;
use kho_proto::dsse;
use kho_proto::header::{Attachment, Header};
use kho_proto::id::{RecordId, UnitCode};
use serde_json::{Value, json};

use crate::{array, bytes, list, number, refusal, text};

#[test]
fn header() {
    crate::check("header.json", output);
}

fn output(input: &Value) -> Value {
    if input.get("encoded").is_some() {
        return match Header::decode(&bytes(input, "encoded")) {
            Err(error) => refusal(error.code()),
            Ok(header) => panic!("accepted: {header:?}"),
        };
    }
    let header = fields(&input["fields"]);
    let encoded = header.encode();
    assert_eq!(Header::decode(&encoded).as_ref(), Ok(&header));
    header.check_payload(&bytes(input, "payload")).expect("its own payload");
    json!({
        "encoded": hex::encode(&encoded),
        "header_digest": header.digest().to_string(),
        "signed_bytes": hex::encode(dsse::signed_bytes(&encoded)),
    })
}

fn fields(fields: &Value) -> Header {
    let unit = |value: &Value| -> UnitCode { value.as_str().expect("text").parse().expect("code") };
    let supersedes = bytes(fields, "supersedes");
    Header {
        record_id: RecordId(array(fields, "record_id")),
        unit: text(fields, "unit").parse().expect("code"),
        regime: text(fields, "regime").parse().expect("code"),
        period: text(fields, "period").parse().expect("period"),
        series: text(fields, "series").to_owned(),
        supersedes: (!supersedes.is_empty()).then(|| RecordId::try_from(&supersedes[..]).expect("16 bytes")),
        receivers: list(fields, "receivers", unit),
        submitted_at: text(fields, "submitted_at").parse().expect("moment"),
        media_type: text(fields, "media_type").to_owned(),
        payload_length: number(fields, "payload_length"),
        salt: array(fields, "salt"),
        payload_digest: Digest(array(fields, "payload_digest")),
        attachments: list(fields, "attachments", |attachment| Attachment {
            name: text(attachment, "name").to_owned(),
            media_type: text(attachment, "media_type").to_owned(),
            length: number(attachment, "length"),
            digest: Digest(array(attachment, "digest")),
        }),
    }
}
