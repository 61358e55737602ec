//! AES-256-GCM under a key derived with HKDF-SHA-256 (RFC 5869).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use super::NONCE_LENGTH;

pub(super) const TAG_LENGTH: usize = 16;

/// HKDF without a salt. The provider erases the derived key when it is dropped.
pub(super) fn derive(input_key: &[u8; 32], info: &[u8]) -> LessSafeKey {
    let pseudo_random_key = Salt::none(HKDF_SHA256).extract(input_key);
    let info = [info];
    let output = pseudo_random_key.expand(&info, &AES_256_GCM).expect("32 bytes are within HKDF's limit");
    LessSafeKey::new(UnboundKey::from(output))
}

/// Appends ciphertext and tag to `out`.
pub(super) fn seal(key: &LessSafeKey, nonce: [u8; NONCE_LENGTH], aad: &[u8], plaintext: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(plaintext);
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut out[start..])
        .expect("a part is far below the 64 GiB that AES-GCM takes");
    out.extend_from_slice(tag.as_ref());
}

pub(super) fn open(key: &LessSafeKey, nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut buffer = ciphertext.to_vec();
    let length = key.open_in_place(nonce, Aad::from(aad), &mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}
