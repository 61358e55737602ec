//! Page tokens: where a list goes on. They say of what moment the list is, for which query and for whom, and are
//! authenticated with a key that every keyed node has: any node goes on with what another began.
//!
//! ```text
//! version (1) = 1 | begun at, Unix ms (8) | size (8) | linearizable (1) | age, ms + 1 or 0 (8) | binding (32) | place | tag (32)
//! binding = SHA-256("kho page v1" | kind of call | request without its paging | 0x00 | caller)
//! place   = 1, regime token, period, 0x00, seq | 2, seq | 3, seq | 4, revision (4) | 5, names | 6, names
//! tag     = HMAC-SHA-256(page key, all before)
//! ```

use bytes::{Buf, Bytes};
use kho_ledger::select::Cursor;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{Seq, UnixMs};
use kho_proto::tokens::PageKey;

const VERSION: u8 = 1;
const DOMAIN: &[u8] = b"kho page v1";
const TAG_LENGTH: usize = 32;
/// Bytes of a token, at most: the place in an index is some 90.
pub const TOKEN_LENGTH_MAX: usize = 256;
/// Milliseconds for which a list may be gone on with: its moment is kept for ever, but a token that is found must not be of use
/// for ever.
pub const TOKEN_AGE_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// Where a list stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Of records.
    Cursor(Cursor),
    /// Of the revisions of one series: the last one.
    Revision(u32),
    /// Of what stands in the order of names: the last ones, each with 0x00 behind it.
    Names(Bytes),
    /// Inside of what has a name, the last of the names saying where: builds that only know whole ones refuse it.
    Inside(Bytes),
}

fn joined(names: &[&str]) -> Bytes {
    names.iter().flat_map(|name| name.bytes().chain([0])).collect()
}

/// The moment that a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// When its first page was made.
    pub begun_at: UnixMs,
    /// Leaves of the log then.
    pub size: u64,
    /// Whether the leader was asked.
    pub linearizable: bool,
    /// How old the state may have been.
    pub age_ms: Option<u64>,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub moment: Moment,
    pub binding: Digest,
    pub place: Place,
}

/// Which call a token goes on with.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Call {
    List = 1,
    Count = 2,
    History = 3,
    Catalogue = 4,
    Stats = 5,
}

/// The query and the caller that a token is of.
pub(super) fn binding(call: Call, request: &[u8], caller: &[u8]) -> Digest {
    let length = (request.len() as u64).to_be_bytes();
    Digest::of_parts(&[DOMAIN, &[call as u8], &length, request, caller])
}

impl Place {
    /// Of names in an order.
    pub(super) fn names(names: &[&str]) -> Place {
        Place::Names(joined(names))
    }

    /// Inside the last but one of these names.
    pub(super) fn inside(names: &[&str]) -> Place {
        Place::Inside(joined(names))
    }

    /// The names, if there are so many.
    pub(super) fn read_names<const N: usize>(&self) -> Option<[String; N]> {
        let (Place::Names(names) | Place::Inside(names)) = self else { return None };
        let parts = names.strip_suffix(&[0])?.split(|byte| *byte == 0);
        let texts: Vec<String> = parts.map(|part| String::from_utf8(part.to_vec()).ok()).collect::<Option<_>>()?;
        texts.try_into().ok()
    }
}

impl Page {
    pub(super) fn encode(&self, key: &PageKey) -> Bytes {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.moment.begun_at.0.to_be_bytes());
        out.extend_from_slice(&self.moment.size.to_be_bytes());
        out.push(u8::from(self.moment.linearizable));
        out.extend_from_slice(&self.moment.age_ms.map_or(0, |age| age.saturating_add(1)).to_be_bytes());
        out.extend_from_slice(self.binding.as_ref());
        match &self.place {
            Place::Cursor(Cursor::Index(place)) => {
                out.push(1);
                out.extend_from_slice(place);
            }
            Place::Cursor(Cursor::Gathered(seq)) => {
                out.push(2);
                out.extend_from_slice(&seq.0.to_be_bytes());
            }
            Place::Cursor(Cursor::Leaf(seq)) => {
                out.push(3);
                out.extend_from_slice(&seq.0.to_be_bytes());
            }
            Place::Revision(revision) => {
                out.push(4);
                out.extend_from_slice(&revision.to_be_bytes());
            }
            Place::Names(names) => {
                out.push(5);
                out.extend_from_slice(names);
            }
            Place::Inside(names) => {
                out.push(6);
                out.extend_from_slice(names);
            }
        }
        let tag = key.tag(&out);
        out.extend_from_slice(&tag);
        out.into()
    }

    /// Reads a token that was made with `key`; none: it was not.
    pub(super) fn decode(key: &PageKey, token: &[u8]) -> Option<Self> {
        if token.len() > TOKEN_LENGTH_MAX {
            return None;
        }
        let (signed, tag) = token.split_at_checked(token.len().checked_sub(TAG_LENGTH)?)?;
        if !key.verifies(signed, tag) {
            return None;
        }
        let mut rest = signed;
        if rest.try_get_u8().ok()? != VERSION {
            return None;
        }
        let moment = Moment {
            begun_at: UnixMs(rest.try_get_u64().ok()?),
            size: rest.try_get_u64().ok()?,
            linearizable: match rest.try_get_u8().ok()? {
                0 => false,
                1 => true,
                _ => return None,
            },
            age_ms: rest.try_get_u64().ok()?.checked_sub(1),
        };
        let mut binding = [0; 32];
        rest.try_copy_to_slice(&mut binding).ok()?;
        let place = match rest.try_get_u8().ok()? {
            1 => Place::Cursor(Cursor::Index(Bytes::copy_from_slice(rest))),
            2 => Place::Cursor(Cursor::Gathered(Seq(u64::from_be_bytes(rest.try_into().ok()?)))),
            3 => Place::Cursor(Cursor::Leaf(Seq(u64::from_be_bytes(rest.try_into().ok()?)))),
            4 => Place::Revision(u32::from_be_bytes(rest.try_into().ok()?)),
            5 => Place::Names(Bytes::copy_from_slice(rest)),
            6 => Place::Inside(Bytes::copy_from_slice(rest)),
            _ => return None,
        };
        Some(Self { moment, binding: Digest(binding), place })
    }

    /// Reads a token, and holds it against who asks what, and when.
    pub(super) fn admit(key: &PageKey, token: &[u8], binding: Digest, now: UnixMs) -> Result<Self, Refusal> {
        let page = Self::decode(key, token).ok_or_else(|| {
            let refusal = Refusal::new(Code::PageTokenInvalid, "the page token is not one that this cluster made");
            refusal.expected_found("next_page_token as it came", format!("{} other bytes", token.len()))
        })?;
        if page.binding != binding {
            let refusal = Refusal::new(Code::PageTokenMismatch, "the page token is of another query or another caller");
            return Err(refusal.expected_found("the request and the certificate of the first page", "others"));
        }
        let age = now.0.saturating_sub(page.moment.begun_at.0);
        if age > TOKEN_AGE_MS_MAX {
            let refusal = Refusal::new(Code::PageTokenExpired, "the list was begun too long ago");
            return Err(refusal.expected_found(format!("at most {TOKEN_AGE_MS_MAX} ms"), format!("{age} ms")));
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PageKey {
        PageKey::new([1; 32])
    }

    fn page(place: Place) -> Page {
        let moment = Moment { begun_at: UnixMs(1_000), size: 77, linearizable: true, age_ms: None };
        Page { moment, binding: binding(Call::List, b"request", b"caller"), place }
    }

    fn places() -> [Place; 6] {
        [
            Place::Cursor(Cursor::Index(Bytes::from(vec![7; 16 + 64 + 9]))),
            Place::Cursor(Cursor::Gathered(Seq(5))),
            Place::Cursor(Cursor::Leaf(Seq(u64::MAX))),
            Place::Revision(3),
            Place::names(&[&"R".repeat(32), &"U".repeat(32), "2020-06-12T08:30:00+07:00"]),
            Place::inside(&[&"R".repeat(32), &"U".repeat(32), "2020-06-12T08:30:00+07:00", "18446744073709551615+"]),
        ]
    }

    #[test]
    fn a_token_says_what_was_put_in_and_nothing_else_is_taken() {
        for place in places() {
            for age_ms in [None, Some(0), Some(90)] {
                let mut page = page(place.clone());
                (page.moment.age_ms, page.moment.linearizable) = (age_ms, age_ms.is_none());
                let token = page.encode(&key());
                assert!(token.len() <= TOKEN_LENGTH_MAX);
                assert_eq!(Page::decode(&key(), &token), Some(page));
                assert_eq!(Page::decode(&PageKey::new([2; 32]), &token), None);
                for at in 0..token.len() {
                    let mut forged = token.to_vec();
                    forged[at] ^= 1;
                    assert_eq!(Page::decode(&key(), &forged), None, "byte {at}");
                    assert_eq!(Page::decode(&key(), &token[..at]), None, "cut at {at}");
                }
            }
        }
        assert_eq!(Page::decode(&key(), &[0; TOKEN_LENGTH_MAX + 1]), None);
    }

    #[test]
    fn names_come_back() {
        let place = Place::names(&["YT-01", "BYT", ""]);
        assert_eq!(place.read_names(), Some(["YT-01", "BYT", ""].map(str::to_owned)));
        assert_eq!(place.read_names::<2>(), None);
        assert_eq!(Place::Revision(1).read_names::<1>(), None);
    }

    #[test]
    fn a_token_is_good_for_its_query_its_caller_and_its_time() {
        let page = page(Place::Revision(1));
        let token = page.encode(&key());
        let admit = |token: &[u8], binding, now| {
            Page::admit(&key(), token, binding, UnixMs(now)).map_err(|refusal| refusal.code)
        };
        let own = page.binding;
        assert_eq!(admit(&token, own, 1_000 + TOKEN_AGE_MS_MAX), Ok(page.clone()));
        // a node whose clock is behind
        assert_eq!(admit(&token, own, 0), Ok(page));
        assert_eq!(admit(&token, own, 1_001 + TOKEN_AGE_MS_MAX), Err(Code::PageTokenExpired));
        assert_eq!(admit(&token[1..], own, 1_000), Err(Code::PageTokenInvalid));
        for other in [
            binding(Call::Count, b"request", b"caller"),
            binding(Call::List, b"other", b"caller"),
            binding(Call::List, b"request", b"other"),
            binding(Call::List, b"requestc", b"aller"),
        ] {
            assert_eq!(admit(&token, other, 1_000), Err(Code::PageTokenMismatch));
        }
    }
}
