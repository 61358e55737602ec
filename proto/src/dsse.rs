//! The bytes that a sender signs: DSSE's pre-authentication encoding (secure-systems-lab/dsse, protocol.md).

/// Payload type of a record header, version 1.
pub const HEADER_TYPE: &str = "application/vnd.kho.report-header.v1+protobuf";

/// Pre-authentication encoding of an encoded header:
/// `"DSSEv1" SP LEN(type) SP type SP LEN(header) SP header`, lengths in decimal ASCII.
pub fn signed_bytes(header: &[u8]) -> Vec<u8> {
    pre_authentication_encoding(HEADER_TYPE, header)
}

fn pre_authentication_encoding(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), body.len()).into_bytes();
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_example_of_the_specification() {
        assert_eq!(
            pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn an_empty_header_has_length_zero() {
        assert_eq!(signed_bytes(b""), b"DSSEv1 45 application/vnd.kho.report-header.v1+protobuf 0 ");
    }
}
