//! A signed record comes in: as JSON, in parts, or as the file `ID.record`.

use axum::body::Body;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use kho_proto::error::{Code, Refusal};
use kho_proto::header::Header;
use kho_proto::id::RecordId;
use kho_proto::pb::v1::{SignedRecord, SubmitRequest};
use kho_proto::record::{self, RECORD_LENGTH_MAX, assemble};
use kho_proto::signature::Algorithm;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bytes64::Base64;
use super::call::{self, Call};
use super::problem::Refused;
use super::record_json::{self, Receipt};
use super::service::{JSON, OCTETS, json};
use super::{Web, accept, multipart};

/// Media type of a record in parts.
pub(super) const PARTS: &str = "multipart/form-data";
/// Bytes of a record in parts, at most: boundaries and names of parts beside it.
const PARTS_LENGTH_MAX: usize = RECORD_LENGTH_MAX + (16 << 10);
/// Bytes of a record in JSON, at most: base64, and white space where a client lays it out.
const JSON_LENGTH_MAX: usize = RECORD_LENGTH_MAX.div_ceil(3) * 4 + (64 << 10);

/// A signed record. Either `signature_block`, or `algorithm` and `signature`, of which the block is made here.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    { "required": ["signature_block"], "not": { "anyOf": [{ "required": ["algorithm"] }, { "required": ["signature"] }] } },
    { "required": ["algorithm", "signature"], "not": { "required": ["signature_block"] } },
]))]
pub(super) struct Submission {
    /// The exact bytes of the header that were signed: protobuf kho.v1.Header, docs/formats/header.md.
    pub header: Base64,
    /// At most 4 MiB.
    pub payload: Base64,
    /// DER, the signer's certificate first, then towards the root, without the root.
    pub certificates: Vec<Base64>,
    /// Protobuf kho.v1.SignatureBlock, docs/formats/signature.md.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schemars(with = "Base64")]
    pub signature_block: Option<Base64>,
    /// ed25519, ecdsa-p256-sha256, rsa-pkcs1-sha256 or rsa-pss-sha256: the one of the certificate's key.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schemars(with = "String")]
    pub algorithm: Option<String>,
    /// Over the DSSE pre-authentication encoding of the header.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schemars(with = "Base64")]
    pub signature: Option<Base64>,
}

/// A field that is there is no null.
fn given<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A record that stands in the log.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Submitted {
    record_id: String,
    /// It was there already; the receipt is the first one.
    duplicate: bool,
    receipt: Receipt,
    /// Node that took the record in.
    node_id: u64,
    epoch: u64,
    /// Node that leads, as far as this node knows; 0: unknown.
    leader_id: u64,
}

impl Submission {
    /// The record; nothing of it is verified.
    pub fn into_record(self) -> Result<SignedRecord, Refusal> {
        let certificates: Vec<Bytes> = self.certificates.into_iter().map(|certificate| certificate.0).collect();
        let (header, payload) = (self.header.0, self.payload.0);
        match (self.signature_block, self.algorithm, self.signature) {
            (Some(block), None, None) => Ok(SignedRecord { header, signature_block: block.0, payload, certificates }),
            (None, Some(algorithm), Some(signature)) => {
                let algorithm = algorithm.parse::<Algorithm>()?;
                Ok(assemble(header, payload, algorithm, signature.0, &certificates))
            }
            (block, algorithm, signature) => {
                let found = [
                    ("signature_block", block.is_some()),
                    ("algorithm", algorithm.is_some()),
                    ("signature", signature.is_some()),
                ];
                let found: Vec<_> = found.into_iter().filter_map(|(name, there)| there.then_some(name)).collect();
                Err(Refusal::new(Code::RequestMalformed, "the record has not exactly one signature").expected_found(
                    "either signature_block, or algorithm and signature",
                    if found.is_empty() { "none".to_owned() } else { found.join(", ") },
                ))
            }
        }
    }
}

async fn read(call: &mut Call) -> Result<SignedRecord, Refused> {
    Ok(match call.content_type().as_str() {
        JSON => {
            let body = call.body(JSON_LENGTH_MAX).await?;
            call::json::<Submission>(&body.bytes)?.into_record()?
        }
        PARTS => {
            let body = call.body(PARTS_LENGTH_MAX).await?;
            multipart::submission(&call.parts.headers, body.bytes.clone()).await?.into_record()?
        }
        OCTETS => record::from_file(call.body(RECORD_LENGTH_MAX).await?.bytes).map_err(Refusal::from)?,
        _ => return Err(call.unsupported(&[JSON, PARTS, OCTETS].join(", ")).into()),
    })
}

/// `POST /v1/records`.
pub(super) async fn submit(web: Web, mut call: Call) -> Result<Response<Body>, Refused> {
    accept::choose(&call.parts.headers, &[JSON])?;
    let record = read(&mut call).await?;
    let header = record.header.clone();
    let submitted = web.submit(call.ask(SubmitRequest { record: Some(record) })).await?;
    let id: RecordId = Header::decode(&header).map_err(Refusal::from)?.record_id;
    let status = if submitted.duplicate { StatusCode::OK } else { StatusCode::CREATED };
    let answer = Submitted {
        record_id: id.to_string(),
        duplicate: submitted.duplicate,
        receipt: Receipt::from(&record_json::receipt(submitted.receipt.as_ref())?),
        node_id: submitted.node_id,
        epoch: submitted.epoch,
        leader_id: submitted.leader_id,
    };
    let mut response = json(status, &answer)?;
    if let Ok(place) = HeaderValue::from_str(&format!("/v1/records/{id}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        match call::json::<Submission>(json.as_bytes()).and_then(Submission::into_record) {
            Ok(_) => panic!("taken: {json}"),
            Err(refusal) => format!("{} {}", refusal.message, refusal.found),
        }
    }

    #[test]
    fn a_submission_has_exactly_one_signature_and_no_other_names() {
        let with = |more: &str| format!(r#"{{"header":"AA==","payload":"","certificates":["AAAA"]{more}}}"#);
        assert!(call::json::<Submission>(with(r#","signature_block":"AA""#).as_bytes()).unwrap().into_record().is_ok());
        let pair = with(r#","algorithm":"ed25519","signature":"_-8""#);
        let record = call::json::<Submission>(pair.as_bytes()).unwrap().into_record().unwrap();
        assert_eq!(&record.header[..], [0]);
        assert!(refused(&with("")).contains("none"));
        assert!(refused(&with(r#","algorithm":"ed25519""#)).contains("algorithm"));
        assert!(refused(&with(r#","signature":"AA","algorithm":"ed25519","signature_block":"AA""#)).contains("block"));
        assert!(refused(&with(r#","algorithm":"rot13","signature":"AA""#)).contains("rot13"));
        assert!(refused(&with(r#","signature_block":null"#)).contains("null"));
        assert!(refused(&with(r#","signature_block":"AA","header":"AA""#)).contains("duplicate field"));
        assert!(refused(&with(r#","signature_block":"AA","x":1"#)).contains("unknown field"));
        assert!(refused(&with(r#","signature_block":"A A""#)).contains("base64"));
        assert!(refused(&with(r#","signature_block":1e999"#)).contains("number"));
        assert!(refused(&format!("{} ,", with(""))).contains("trailing"));
        assert!(refused(&format!("{}1{}", "[".repeat(200), "]".repeat(200))).contains("invalid type"));
    }

    #[test]
    fn invalid_utf_8_is_refused() {
        let refusal = call::json::<Submission>(b"{\"header\":\"\xff\"}").unwrap_err();
        assert_eq!(refusal.code, Code::RequestMalformed);
    }
}
