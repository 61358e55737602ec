//! Bytes in JSON.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Bytes as base64 (RFC 4648): written with `+`, `/` and padding; read in both alphabets, padded or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Base64(pub Bytes);

/// Reads either alphabet, with all of its padding or none. No white space.
pub(super) fn decode(text: &str) -> Option<Bytes> {
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    if padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) {
        return None;
    }
    let standard: Cow<'_, str> =
        if bare.contains(['-', '_']) { bare.replace('-', "+").replace('_', "/").into() } else { bare.into() };
    STANDARD_NO_PAD.decode(standard.as_ref()).ok().map(Bytes::from)
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Base64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string of base64 or base64url")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Base64, E> {
                decode(text).map(Base64).ok_or_else(|| E::custom("expected base64 or base64url, found something else"))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Base64 {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Base64".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "contentEncoding": "base64", "pattern": "^[A-Za-z0-9+/_-]*={0,2}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_alphabets_with_and_without_padding() {
        let bytes = Bytes::from_static(&[0xfb, 0xff, 0xfe, 0x00]);
        for text in ["+//+AA==", "-__-AA==", "+//+AA", "-__-AA"] {
            assert_eq!(decode(text), Some(bytes.clone()), "{text}");
        }
        assert_eq!(serde_json::to_string(&Base64(bytes)).unwrap(), "\"+//+AA==\"");
    }

    #[test]
    fn refuses_what_would_have_two_texts() {
        for text in ["A", "AB", "AA=", "A A=", "AAAA====", "AAAA\n", "AA==AA==", "ạ"] {
            let read = decode(text);
            assert!(read.is_none(), "{text:?}: {read:?}");
        }
    }
}
