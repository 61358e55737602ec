//! Tokens that stand for names in rows which are not sealed. `docs/formats/sealed.md`.
//!
//! HMAC-SHA-256(token key, "kho token v1" ‖ kind ‖ names), each name preceded by its length in bytes as a
//! 32-bit big-endian number, cut to 16 bytes. Equal names have equal tokens: frequencies can be seen.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::id::{RegimeCode, Token, UnitCode};
use crate::period::Period;
use crate::sealed::secret;

const DOMAIN: &[u8] = b"kho token v1";
/// Differs from every token's input at its fifth byte.
const PAGES_DOMAIN: &[u8] = b"kho page tokens v1";

secret!(
    /// Makes tokens; from the keyring.
    TokenKey
);

secret!(
    /// Authenticates page tokens; made of the token key.
    PageKey
);

impl PageKey {
    /// HMAC-SHA-256 of a token's bytes.
    pub fn tag(&self, bytes: &[u8]) -> [u8; 32] {
        let mut tag = [0; 32];
        tag.copy_from_slice(hmac::sign(&hmac::Key::new(HMAC_SHA256, self.as_bytes()), bytes).as_ref());
        tag
    }

    /// Whether `tag` is that of `bytes`; in constant time.
    pub fn verifies(&self, bytes: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&hmac::Key::new(HMAC_SHA256, self.as_bytes()), bytes, tag).is_ok()
    }
}

impl TokenKey {
    /// Of a reporting unit.
    pub fn unit(&self, unit: &UnitCode) -> Token {
        self.token(1, &[unit.as_str()])
    }

    /// Of a report regime.
    pub fn regime(&self, regime: &RegimeCode) -> Token {
        self.token(2, &[regime.as_str()])
    }

    /// Of a receiving unit: another token than the same unit's as a sender.
    pub fn receiver(&self, unit: &UnitCode) -> Token {
        self.token(3, &[unit.as_str()])
    }

    /// Of a series of revisions.
    pub fn series(&self, unit: &UnitCode, regime: &RegimeCode, period: &Period, series: &str) -> Token {
        self.token(4, &[unit.as_str(), regime.as_str(), &period.to_string(), series])
    }

    /// Seals page tokens: every node with the same keyring takes them. HMAC-SHA-256(token key, "kho page tokens v1").
    pub fn pages(&self) -> PageKey {
        let tag = hmac::sign(&hmac::Key::new(HMAC_SHA256, self.as_bytes()), PAGES_DOMAIN);
        let mut key = [0; 32];
        key.copy_from_slice(tag.as_ref());
        PageKey::new(key)
    }

    fn token(&self, kind: u8, names: &[&str]) -> Token {
        let key = hmac::Key::new(HMAC_SHA256, self.as_bytes());
        let mut context = hmac::Context::with_key(&key);
        context.update(DOMAIN);
        context.update(&[kind]);
        for name in names {
            let length = u32::try_from(name.len()).expect("names are bounded by the header's rules");
            context.update(&length.to_be_bytes());
            context.update(name.as_bytes());
        }
        let mut token = [0; 16];
        token.copy_from_slice(&context.sign().as_ref()[..16]);
        Token(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_tell_kinds_names_and_keys_apart() {
        let key = TokenKey::new([1; 32]);
        let unit: UnitCode = "AB".parse().expect("code");
        let regime: RegimeCode = "AB".parse().expect("code");
        let (year, month) = ("2020".parse().expect("period"), "2020-01".parse().expect("period"));
        let shorter: UnitCode = "A".parse().expect("code");
        let tokens = [
            key.unit(&unit),
            key.regime(&regime),
            key.receiver(&unit),
            key.series(&unit, &regime, &year, ""),
            key.series(&unit, &regime, &month, ""),
            key.series(&unit, &regime, &year, "x"),
            // "A" + "BAB" must not be "AB" + "AB"
            key.series(&shorter, &"BAB".parse().expect("code"), &year, ""),
            TokenKey::new([2; 32]).unit(&unit),
        ];
        let unique: std::collections::BTreeSet<_> = tokens.iter().collect();
        assert_eq!(unique.len(), tokens.len());
        assert_eq!(key.unit(&unit), tokens[0]);
        assert_eq!(format!("{key:?}"), "TokenKey(..)");
    }

    #[test]
    fn a_page_tag_is_of_its_bytes_and_key_only() {
        let pages = TokenKey::new([1; 32]).pages();
        let tag = pages.tag(b"a page");
        assert!(pages.verifies(b"a page", &tag));
        assert!(!pages.verifies(b"another", &tag));
        assert!(!pages.verifies(b"a page", &tag[..16]), "a short tag is easier to guess");
        assert!(!TokenKey::new([2; 32]).pages().verifies(b"a page", &tag));
        assert_eq!(format!("{pages:?}"), "PageKey(..)");
    }
}
