//! Chunks of attachments, and the ids of their objects.
//!
//! ```text
//! object id = HMAC-SHA-256(HKDF(data key, info = "kho object id v1"), SHA-256(content) | length (8, big endian))
//! chunk = version (1) = 1 | 4 | nonce (12) | ciphertext and tag (16)
//! key = HKDF-SHA-256(ikm = data key, no salt, info = "kho sealed chunk v1" | object id)
//! aad = version | 4 | cluster id | data-key id | object id | length of the content (8) | index (4)
//! ```

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use bytes::Bytes;
use zeroize::Zeroizing;

use super::{DataKey, Error, NONCE_LENGTH, OVERHEAD, VERSION, aead};
use crate::digest::Digest;
use crate::id::{ClusterId, KeyId, ObjectId};

/// The part byte; 1 to 3 are parts of records.
const PART: u8 = 4;
const INFO: &[u8] = b"kho sealed chunk v1";
const ID_INFO: &[u8] = b"kho object id v1";
const WHAT: &str = "chunk";

impl ObjectId {
    /// Of a content under a data key. Length and digest together: who says a wrong length names another object, which
    /// never becomes complete.
    pub fn of(key: &DataKey, content: &Digest, length: u64) -> Self {
        let mut derived = Zeroizing::new([0; 32]);
        Salt::none(HKDF_SHA256)
            .extract(key.as_bytes())
            .expand(&[ID_INFO], HKDF_SHA256)
            .and_then(|output| output.fill(&mut *derived))
            .expect("32 bytes are within HKDF's limit");
        let input = [content.as_ref(), &length.to_be_bytes()].concat();
        let tag = hmac::sign(&hmac::Key::new(HMAC_SHA256, &*derived), &input);
        let mut id = [0; 32];
        id.copy_from_slice(tag.as_ref());
        Self(id)
    }
}

/// What the chunks of an object are bound to: each opens at its own place and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkContext {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Id of the data key.
    pub key_id: KeyId,
    /// The object.
    pub object_id: ObjectId,
    /// Bytes of the whole content, which say how many chunks there are.
    pub length: u64,
}

impl ChunkContext {
    fn additional_data(&self, index: u32) -> Vec<u8> {
        [
            &[VERSION, PART][..],
            self.cluster_id.as_ref(),
            self.key_id.as_ref(),
            self.object_id.as_ref(),
            &self.length.to_be_bytes(),
            &index.to_be_bytes(),
        ]
        .concat()
    }

    fn info(&self) -> Vec<u8> {
        [INFO, self.object_id.as_ref()].concat()
    }

    /// Seals the chunk at `index`. `nonce` must be fresh: 96 random bits. A key per object, of at most some thousand chunks:
    /// random nonces don't meet.
    pub fn seal(&self, key: &DataKey, index: u32, nonce: [u8; NONCE_LENGTH], plaintext: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(OVERHEAD + plaintext.len());
        out.extend_from_slice(&[VERSION, PART]);
        out.extend_from_slice(&nonce);
        let key = aead::derive(key.as_bytes(), &self.info());
        aead::seal(&key, nonce, &self.additional_data(index), plaintext, &mut out);
        out.into()
    }

    /// Opens what [`ChunkContext::seal`] made for the same context and index.
    pub fn open(&self, key: &DataKey, index: u32, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        if sealed.len() < OVERHEAD {
            return Err(Error::TooShort { what: WHAT, expected: OVERHEAD, found: sealed.len() });
        }
        if sealed[0] != VERSION {
            return Err(Error::Version { what: WHAT, found: sealed[0] });
        }
        let (nonce, ciphertext) = sealed[2..].split_at(NONCE_LENGTH);
        let key = aead::derive(key.as_bytes(), &self.info());
        let opened = aead::open(&key, nonce, &self.additional_data(index), ciphertext);
        opened.filter(|_| sealed[1] == PART).ok_or(Error::NotAuthentic { what: WHAT })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::object::{SealedDigest, chunk_count};

    fn context() -> ChunkContext {
        ChunkContext {
            cluster_id: ClusterId([1; 16]),
            key_id: KeyId([2; 16]),
            object_id: ObjectId::of(&key(), &Digest::of(b"content"), 7),
            length: 7,
        }
    }

    fn key() -> DataKey {
        DataKey::new([6; 32])
    }

    #[test]
    fn a_chunk_opens_at_its_place_only() {
        let sealed = context().seal(&key(), 3, [8; 12], b"content");
        assert_eq!(sealed.len(), 7 + OVERHEAD);
        assert_eq!(context().open(&key(), 3, &sealed).as_deref(), Ok(&b"content"[..]));
        let refused = Err(Error::NotAuthentic { what: WHAT });
        assert_eq!(context().open(&key(), 2, &sealed), refused, "another index");
        let elsewhere = [
            ChunkContext { cluster_id: ClusterId([9; 16]), ..context() },
            ChunkContext { key_id: KeyId([9; 16]), ..context() },
            ChunkContext { object_id: ObjectId([9; 32]), ..context() },
            ChunkContext { length: 8, ..context() },
        ];
        for context in elsewhere {
            assert_eq!(context.open(&key(), 3, &sealed), refused);
        }
        assert_eq!(context().open(&DataKey::new([9; 32]), 3, &sealed), refused);
        for at in 0..sealed.len() {
            let mut changed = sealed.to_vec();
            changed[at] ^= 1;
            assert!(context().open(&key(), 3, &changed).is_err(), "byte {at}");
        }
        assert!(matches!(context().open(&key(), 3, &sealed[..29]), Err(Error::TooShort { .. })));
    }

    #[test]
    fn equal_content_of_one_unit_is_one_object() {
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let id = ObjectId::of(&key(), &one, 3);
        assert_eq!(id, ObjectId::of(&key(), &one, 3));
        let others = [
            ObjectId::of(&key(), &two, 3),
            ObjectId::of(&key(), &one, 4),
            ObjectId::of(&DataKey::new([7; 32]), &one, 3),
        ];
        assert!(!others.contains(&id));
    }

    #[test]
    fn golden_vectors() {
        let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
        for case in vectors["cases"].as_array().expect("a list") {
            let (input, output) = (&case["input"], &case["output"]);
            let (key, length) = (DataKey::new(array(&input["data_key"])), input["length"].as_u64().expect("a number"));
            let object_id = ObjectId::of(&key, &Digest(array(&input["content_digest"])), length);
            assert_eq!(output["object_id"], object_id.to_string());
            let (cluster_id, key_id) = (ClusterId(array(&input["cluster_id"])), KeyId(array(&input["key_id"])));
            let context = ChunkContext { cluster_id, key_id, object_id, length };
            let last = u32::try_from(chunk_count(length) - 1).expect("few");
            let chunk = bytes(&input["last_chunk"]);
            let sealed = context.seal(&key, last, array(&input["last_nonce"]), &chunk);
            assert_eq!(output["last_sealed"], hex::encode(&sealed));
            assert_eq!(context.open(&key, last, &sealed), Ok(chunk));
            let digests = bytes(&output["chunk_digests"]);
            let mut digest = SealedDigest::default();
            digests.as_chunks::<32>().0.iter().for_each(|chunk| digest.push(Digest(*chunk)));
            assert_eq!(output["sealed_digest"], digest.finish().to_string());
            assert_eq!(Digest::of(&sealed).as_ref(), &digests[digests.len() - 32..]);
        }
    }

    const VECTORS: &str = include_str!("../../../docs/formats/vectors/object.json");

    fn bytes(value: &Value) -> Vec<u8> {
        hex::decode(value.as_str().expect("text")).expect("hex")
    }

    fn array<const N: usize>(value: &Value) -> [u8; N] {
        bytes(value).try_into().expect("its length")
    }
}
