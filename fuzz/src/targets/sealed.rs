//! Sealed parts and wrapped keys: nothing opens but what was sealed.
//!
//! Input: number of the vector whose keys and context are used (1), then the sealed bytes.

use std::sync::OnceLock;

use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, KeyId, RecordId, Token};
use kho_proto::sealed::{DataKey, Head, KeyEncryptionKey, Part, SealContext, WrapContext, open, unwrap_key};
use serde_json::Value;

use crate::vectors;

/// What opens, and under what.
pub enum Lock {
    /// A sealed part.
    Part(SealContext, Part, DataKey),
    /// A wrapped key.
    Key(WrapContext, KeyEncryptionKey),
}

/// All vectors: name, lock, and the bytes that open it.
pub fn locks() -> &'static [(String, Lock, Vec<u8>)] {
    static LOCKS: OnceLock<Vec<(String, Lock, Vec<u8>)>> = OnceLock::new();
    LOCKS.get_or_init(|| {
        let file = vectors::sealed();
        vectors::cases(&file)
            .filter_map(|(name, input, output)| lock(input, output).map(|(lock, key)| (name, lock, key)))
            .collect()
    })
}

fn lock(input: &Value, output: &Value) -> Option<(Lock, Vec<u8>)> {
    let (cluster_id, key_id) =
        (ClusterId(vectors::array(input.get("cluster_id")?)), KeyId(vectors::array(&input["key_id"])));
    if let Some(part) = input.get("part") {
        let context = SealContext {
            cluster_id,
            key_id,
            record_id: RecordId(vectors::array(&input["record_id"])),
            header_digest: Digest(vectors::array(&input["header_digest"])),
            signature_block_digest: Digest(vectors::array(&input["signature_block_digest"])),
        };
        let part = Part::ALL.into_iter().find(|one| part.as_u64() == Some(one.byte().into())).expect("a part");
        let key = DataKey::new(vectors::array(&input["data_key"]));
        return Some((Lock::Part(context, part, key), vectors::bytes(&output["sealed"])));
    }
    let generation = u32::try_from(input["generation"].as_u64()?).expect("32 bits");
    let unit_token = Token(vectors::array(&input["unit_token"]));
    let kek = KeyEncryptionKey::new(vectors::array(&input["key_encryption_key"]));
    Some((
        Lock::Key(WrapContext { cluster_id, key_id, unit_token, generation }, kek),
        vectors::bytes(&output["wrapped"]),
    ))
}

/// See the module.
pub fn run(bytes: &[u8]) -> bool {
    let Some((number, sealed)) = bytes.split_first() else { return false };
    // what was opened is decoded next: here without a key in the way
    let _ = Head::from_plaintext(sealed.to_vec());
    let locks = locks();
    let (name, lock, right) = &locks[usize::from(*number) % locks.len()];
    let opened = match lock {
        Lock::Part(context, part, key) => open(context, *part, key, sealed).is_ok(),
        Lock::Key(context, kek) => unwrap_key(context, kek, sealed).is_ok(),
    };
    assert!(opened || sealed != right, "{name}: what was sealed opens");
    // two vectors may be of one key and place
    assert!(!opened || locks.iter().any(|(_, _, right)| sealed == right), "{name}: something opens that nobody sealed");
    opened
}
