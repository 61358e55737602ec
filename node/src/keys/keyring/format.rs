//! Text form of a keyring, version 1. Lines in this order, keys in hex:
//!
//! ```text
//! kho-keyring 1
//! cluster 0192f0c1-0000-7000-8000-000000000001
//! wrap 1 <64 hex digits>      key-encryption key, generation
//! token 1 <64 hex digits>     token key, version
//! log 1 <64 hex digits>       Ed25519 seed of the log key, epoch; one line per epoch
//! checksum <SHA-256 of the lines above, hex>
//! ```

use kho_proto::checkpoint::LogKey;
use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, Epoch};
use kho_proto::sealed::KeyEncryptionKey;
use kho_proto::tokens::TokenKey;
use zeroize::Zeroizing;

use crate::seams::Entropy;

const FIRST_LINE: &str = "kho-keyring 1";
const FINGERPRINT_DOMAIN: &[u8] = b"kho keyring fingerprint v1";
const EPOCH_FIRST: Epoch = Epoch(1);

pub(super) struct Content {
    pub cluster_id: ClusterId,
    pub wrapping: KeyEncryptionKey,
    pub token: TokenKey,
    pub log: Vec<(Epoch, LogKey)>,
}

impl Content {
    pub fn generate(cluster_id: ClusterId, entropy: &dyn Entropy) -> Content {
        let fresh = || {
            let mut bytes = Zeroizing::new([0; 32]);
            entropy.fill(&mut *bytes);
            bytes
        };
        Content {
            cluster_id,
            wrapping: KeyEncryptionKey::new(*fresh()),
            token: TokenKey::new(*fresh()),
            log: vec![(EPOCH_FIRST, LogKey::new(*fresh()))],
        }
    }

    pub fn encode(&self) -> Zeroizing<String> {
        let hex = |bytes: &[u8; 32]| Zeroizing::new(hex::encode(bytes));
        let mut text = Zeroizing::new(String::with_capacity(1024));
        text.push_str(&format!("{FIRST_LINE}\ncluster {}\n", self.cluster_id));
        let mut line = |name: &str, number: u64, key: &[u8; 32]| {
            text.push_str(name);
            text.push_str(&format!(" {number} "));
            text.push_str(&hex(key));
            text.push('\n');
        };
        line("wrap", 1, self.wrapping.as_bytes());
        line("token", 1, self.token.as_bytes());
        for (epoch, key) in &self.log {
            line("log", epoch.0, key.as_bytes());
        }
        let checksum = Digest::of(text.as_bytes());
        text.push_str(&format!("checksum {checksum}\n"));
        text
    }

    pub fn decode(text: &str) -> Result<Content, String> {
        let first = text.lines().next().unwrap_or_default();
        if first != FIRST_LINE {
            // Not the line itself: it may be anything, a key too.
            return Err(format!("expected the first line {FIRST_LINE:?}, found another"));
        }
        let at = text.rfind("checksum ").ok_or("expected a last line \"checksum\", found none")?;
        let (body, checksum) = text.split_at(at);
        if checksum != format!("checksum {}\n", Digest::of(body.as_bytes())) {
            return Err("the checksum does not match".to_owned());
        }
        let mut lines = body.lines().skip(1).peekable();
        let cluster =
            lines.next().and_then(|line| line.strip_prefix("cluster ")).ok_or("expected a line \"cluster\"")?;
        let cluster_id = cluster.parse().map_err(|_| "line \"cluster\": expected a UUID")?;
        let (_, wrapping) = key(&mut lines, "wrap", Some(1))?;
        let (_, token) = key(&mut lines, "token", Some(1))?;
        let mut log = Vec::new();
        while log.is_empty() || lines.peek().is_some() {
            let (epoch, seed) = key(&mut lines, "log", None)?;
            log.push((Epoch(epoch), LogKey::new(*seed)));
        }
        Ok(Content { cluster_id, wrapping: KeyEncryptionKey::new(*wrapping), token: TokenKey::new(*token), log })
    }

    /// SHA-256 over a domain, the cluster and every key: equal only for the same keyring.
    pub fn fingerprint(&self) -> Digest {
        let mut log = Zeroizing::new(Vec::with_capacity(self.log.len() * 40));
        for (epoch, key) in &self.log {
            log.extend_from_slice(&epoch.0.to_be_bytes());
            log.extend_from_slice(key.as_bytes());
        }
        Digest::of_parts(&[
            FINGERPRINT_DOMAIN,
            self.cluster_id.as_ref(),
            self.wrapping.as_bytes(),
            self.token.as_bytes(),
            &log,
        ])
    }
}

fn key<'a>(
    lines: &mut impl Iterator<Item = &'a str>,
    name: &str,
    number: Option<u64>,
) -> Result<(u64, Zeroizing<[u8; 32]>), String> {
    let wrong = || match number {
        Some(number) => format!("expected a line \"{name} {number}\" and 64 hex digits"),
        None => format!("expected a line \"{name}\", a number and 64 hex digits"),
    };
    let mut words = lines.next().ok_or_else(wrong)?.split(' ');
    let (Some(word), Some(digits), Some(hex), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err(wrong());
    };
    let found: u64 = digits.parse().map_err(|_| wrong())?;
    if word != name || number.is_some_and(|number| number != found) {
        return Err(wrong());
    }
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(hex, &mut *key).map_err(|_| wrong())?;
    Ok((found, key))
}
