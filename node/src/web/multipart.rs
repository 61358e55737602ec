//! A signed record whose parts are files, as `curl -F` sends them (RFC 7578).

use bytes::Bytes;
use http::{HeaderMap, header};
use kho_proto::error::{Code, Refusal, excerpt};
use multer::{Multipart, parse_boundary};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::bytes64::Base64;
use super::submit::Submission;

/// Parts of a body, at most: a chain of certificates in files of their own, the rest once each.
const PARTS_MAX: usize = 16;
/// What a file in PEM begins with, if nobody wrote anything before it.
const PEM: &[u8] = b"-----BEGIN ";

fn malformed(text: String, expected: &str, found: impl Into<String>) -> Refusal {
    Refusal::new(Code::RequestMalformed, text).expected_found(expected, found)
}

/// Reads the parts of a body that is there.
pub(super) async fn submission(headers: &HeaderMap, body: Bytes) -> Result<Submission, Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = parse_boundary(content_type)
        .map_err(|error| malformed(format!("the content type: {error}"), "a boundary", excerpt(content_type)))?;
    let body = futures::stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut parts = Multipart::new(body, boundary);
    let broken = |error: multer::Error| malformed(format!("the body: {error}"), "parts of form data", "something else");
    let (mut header, mut payload, mut block, mut algorithm, mut signature) = (None, None, None, None, None);
    let mut certificates = Vec::new();
    let mut seen = 0;
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        seen += 1;
        if seen > PARTS_MAX {
            return Err(malformed("the body has too many parts".to_owned(), "at most 16", "more"));
        }
        let name = part.name().unwrap_or_default().to_owned();
        let bytes = part.bytes().await.map_err(broken)?;
        let place = match name.as_str() {
            "header" => &mut header,
            "payload" => &mut payload,
            "signature_block" => &mut block,
            "algorithm" => &mut algorithm,
            "signature" => &mut signature,
            "certificates" => {
                certificates.extend(chain(bytes)?);
                continue;
            }
            _ => {
                let expected = "header, payload, certificates, signature_block, algorithm or signature";
                return Err(malformed("the body has an unknown part".to_owned(), expected, excerpt(&name)));
            }
        };
        if place.replace(Base64(bytes)).is_some() {
            return Err(malformed(format!("the part {name} is there twice"), "each part once", "two"));
        }
    }
    let absent = |name: &str| malformed(format!("the body has no part {name}"), name, "none");
    let algorithm = algorithm.map(|text| String::from_utf8_lossy(&text.0).into_owned());
    Ok(Submission {
        header: header.ok_or_else(|| absent("header"))?,
        payload: payload.ok_or_else(|| absent("payload"))?,
        certificates,
        signature_block: block,
        algorithm,
        signature,
    })
}

/// Certificates in PEM, or one in DER.
fn chain(bytes: Bytes) -> Result<Vec<Base64>, Refusal> {
    if !bytes.starts_with(PEM) {
        return Ok(vec![Base64(bytes)]);
    }
    let read = CertificateDer::pem_slice_iter(&bytes).map(|der| der.map(|der| Base64(Bytes::copy_from_slice(&der))));
    read.collect::<Result<_, _>>().map_err(|error| {
        Refusal::new(Code::CertificateMalformed, format!("the part certificates: {error}"))
            .expected_found("certificates in PEM or one in DER", "something else")
    })
}
