//! Ids and numbers, one type each, so that none can be taken for another.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Bytes of the wrong length where an id or digest was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} bytes, found {found}")]
pub struct LengthError {
    /// Bytes that the type has.
    pub expected: usize,
    /// Bytes that were given.
    pub found: usize,
}

pub(crate) fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], LengthError> {
    bytes.try_into().map_err(|_| LengthError { expected: N, found: bytes.len() })
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// The 16 bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }
        impl TryFrom<&[u8]> for $name {
            type Error = LengthError;
            fn try_from(bytes: &[u8]) -> Result<Self, LengthError> {
                exact(bytes).map(Self)
            }
        }
        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::try_parse(text).map(|id| Self(id.into_bytes()))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_bytes(self.0).hyphenated().fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

uuid_id!(
    /// UUIDv7 of a record, chosen by its sender; also the idempotency key.
    RecordId
);
uuid_id!(
    /// UUID of a cluster.
    ClusterId
);
uuid_id!(
    /// Id of a data key.
    KeyId
);

impl RecordId {
    /// A UUIDv7 (RFC 9562) from Unix milliseconds and 10 random bytes.
    pub fn new_v7(unix_ms: u64, random: &[u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, random).into_uuid().into_bytes())
    }

    /// Whether version and variant say UUIDv7.
    pub fn is_v7(&self) -> bool {
        let id = Uuid::from_bytes(self.0);
        id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122
    }
}

/// Id of an attachment's object: says nothing of its content, and is equal for equal content of one unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub [u8; 32]);

impl TryFrom<&[u8]> for ObjectId {
    type Error = LengthError;
    fn try_from(bytes: &[u8]) -> Result<Self, LengthError> {
        exact(bytes).map(Self)
    }
}

impl AsRef<[u8]> for ObjectId {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Id of a node in its cluster; from 1, never reused.
    NodeId
);
number!(
    /// A primacy of a site; the first is 1.
    Epoch
);
number!(
    /// Index of a leaf in the tree; the genesis leaf is 0.
    Seq
);
number!(
    /// Index of an entry in the Raft log.
    LogIndex
);
number!(
    /// Raft term.
    Term
);
number!(
    /// Unix time in milliseconds.
    UnixMs
);

/// A truncated HMAC-SHA-256 that stands for a name (unit, regime, receiver, series) in clear rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub [u8; 16]);

impl TryFrom<&[u8]> for Token {
    type Error = LengthError;
    fn try_from(bytes: &[u8]) -> Result<Self, LengthError> {
        exact(bytes).map(Self)
    }
}

impl AsRef<[u8]> for Token {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", hex::encode(self.0))
    }
}

/// A code that is not of the grammar: 1 to 32 of `A-Z a-z 0-9 . _ -`, starting with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {max} of A-Z a-z 0-9 . _ - starting with a letter or digit, found {}", crate::error::excerpt(.found), max = CODE_LENGTH_MAX)]
pub struct CodeError {
    /// What was given.
    pub found: String,
}

/// Characters of a unit or regime code, at most.
pub const CODE_LENGTH_MAX: usize = 32;

macro_rules! code {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The code as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = CodeError;
            fn from_str(text: &str) -> Result<Self, CodeError> {
                let good = (1..=CODE_LENGTH_MAX).contains(&text.len())
                    && text.as_bytes()[0].is_ascii_alphanumeric()
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
                if good { Ok(Self(text.to_owned())) } else { Err(CodeError { found: text.to_owned() }) }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

code!(
    /// Code of a reporting unit, e.g. `BYT`, `T01`.
    UnitCode
);
code!(
    /// Code of a report regime, e.g. `YT-01`.
    RegimeCode
);

/// Unit of drills: its records are test data, which statistics leave out. No reporting unit may have this code.
pub const DRILL_UNIT: &str = "DRILL";
/// The one regime of a drill's records.
pub const DRILL_REGIME: &str = "DRILL";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_id_is_v7_and_round_trips_through_text() {
        let id = RecordId::new_v7(1_600_000_000_000, &[7; 10]);
        assert!(id.is_v7());
        assert_eq!(id.to_string().parse::<RecordId>().expect("own text"), id);
        assert!(!RecordId([0; 16]).is_v7());
    }

    #[test]
    fn codes_keep_to_their_grammar() {
        for good in ["BYT", "T01", "TNMT-01", "a.b_c"] {
            assert!(good.parse::<UnitCode>().is_ok(), "{good}");
        }
        for bad in ["", "-A", "Bộ", "A B", &"A".repeat(33)] {
            assert!(bad.parse::<UnitCode>().is_err(), "{bad}");
        }
    }
}
