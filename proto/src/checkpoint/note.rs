//! Signed notes with Ed25519 (C2SP signed-note, signature type 0x01).

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Error;
use crate::digest::Digest;

/// Bytes of a note, at most: sixteen signatures of 5 KiB, as the specification asks for, fit.
pub const NOTE_LENGTH_MAX: usize = 128 << 10;
/// Signatures of a note, at most.
pub const SIGNATURES_MAX: usize = 64;

pub(super) const ED25519_TYPE: u8 = 1;

/// First four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key).
pub(super) fn key_id(name: &str, public_key: &[u8; 32]) -> u32 {
    let digest = Digest::of_parts(&[name.as_bytes(), b"\n", &[ED25519_TYPE], public_key]);
    let [a, b, c, d, ..] = *digest.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Text, which ends in a newline, and one signature.
pub(super) fn compose(text: &str, name: &str, key_id: u32, signature: &[u8]) -> String {
    let signature = BASE64.encode([&key_id.to_be_bytes()[..], signature].concat());
    format!("{text}\n\u{2014} {name} {signature}\n")
}

/// The text of a note that is signed with the key. Other keys' signatures are passed over, as the specification
/// wants; one with this name and id must verify.
pub(super) fn open<'a>(note: &'a [u8], name: &str, public_key: &[u8; 32]) -> Result<&'a str, Error> {
    if note.len() > NOTE_LENGTH_MAX {
        return Err(Error::TooLong { found: note.len() });
    }
    let wrong = |expected| Error::Note { expected };
    let note = std::str::from_utf8(note).map_err(|_| wrong("utf-8 text"))?;
    if note.bytes().any(|b| b < 0x20 && b != b'\n') {
        return Err(wrong("no control characters"));
    }
    let end = note.rfind("\n\n").ok_or_else(|| wrong("an empty line before its signatures"))? + 1;
    let text = &note[..end];
    let lines = note[end + 1..].strip_suffix('\n').ok_or_else(|| wrong("signature lines, each ending in a newline"))?;
    let key_id = key_id(name, public_key);
    let mut signed = false;
    for (number, line) in lines.split('\n').enumerate() {
        if number == SIGNATURES_MAX {
            return Err(wrong("at most 64 signatures"));
        }
        let (by, id, signature) = parse_line(line).ok_or_else(|| wrong("signature lines of dash, name, base64"))?;
        if by == name && id == key_id {
            UnparsedPublicKey::new(&ED25519, public_key)
                .verify(text.as_bytes(), &signature)
                .map_err(|_| Error::SignatureInvalid { name: name.to_owned(), key_id })?;
            signed = true;
        }
    }
    if signed { Ok(text) } else { Err(Error::NotSigned { name: name.to_owned(), key_id }) }
}

fn parse_line(line: &str) -> Option<(&str, u32, Vec<u8>)> {
    let (name, base64) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+') {
        return None;
    }
    let mut bytes = BASE64.decode(base64).ok()?;
    let id = bytes.get(..4)?.try_into().ok().map(u32::from_be_bytes)?;
    let signature = bytes.split_off(4);
    (!signature.is_empty()).then_some((name, id, signature))
}
