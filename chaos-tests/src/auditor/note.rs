//! Signed notes and checkpoints: <https://c2sp.org/signed-note>, <https://c2sp.org/tlog-checkpoint>.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Checkpoint, Hash, Rejected, sha256};

/// Algorithm byte of Ed25519 in keys.
const ED25519_NOTE: u8 = 1;

/// A verifier key, `name+hash+base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    hash: [u8; 4],
    public: Vec<u8>,
}

impl VerifierKey {
    /// Reads `name+hash+base64(algorithm ‖ public key)`; the hash commits to all of it.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.trim().split_once('+')?;
        let (hash, key) = rest.split_once('+')?;
        let key = BASE64_STANDARD.decode(key).ok()?;
        let (algorithm, public) = key.split_first()?;
        let computed = sha256(&[name.as_bytes(), b"\n", &key]);
        let good = *algorithm == ED25519_NOTE && public.len() == 32 && hex::decode(hash).ok()? == computed[..4];
        good.then(|| Self {
            name: name.to_owned(),
            hash: computed[..4].try_into().expect("4 bytes"),
            public: public.to_vec(),
        })
    }

    /// The checkpoint in a note that this key signed.
    pub fn open(&self, note: &str) -> Result<Checkpoint, Rejected> {
        let (text, signatures) = note.split_once("\n\n").ok_or(Rejected::Form { expected: "a signed note" })?;
        let signed = format!("{text}\n");
        let by_us = |line: &str| {
            let (name, signature) = line.strip_prefix("— ")?.split_once(' ')?;
            let signature = BASE64_STANDARD.decode(signature).ok()?;
            (name == self.name && signature.starts_with(&self.hash)).then(|| signature[4..].to_vec())
        };
        let key = UnparsedPublicKey::new(&ED25519, &self.public);
        let mut ours = signatures.lines().filter_map(by_us).peekable();
        let holds = ours.peek().is_some() && ours.all(|signature| key.verify(signed.as_bytes(), &signature).is_ok());
        if !holds || !signatures.ends_with('\n') {
            return Err(Rejected::Signature { name: self.name.clone() });
        }
        self.checkpoint(&signed)
    }

    fn checkpoint(&self, text: &str) -> Result<Checkpoint, Rejected> {
        let form = Rejected::Form { expected: "a checkpoint: the key's name, a size, a root" };
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next(), lines.next(), lines.next());
        let (Some(origin), Some(size), Some(root)) = (origin, size.and_then(number), root.and_then(hash)) else {
            return Err(form);
        };
        if origin == self.name { Ok(Checkpoint { origin: origin.to_owned(), size, root }) } else { Err(form) }
    }
}

/// A decimal in its one form.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// A hash in base64.
pub(super) fn hash(text: &str) -> Option<Hash> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}
