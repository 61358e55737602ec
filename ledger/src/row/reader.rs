//! Reading fixed layouts out of a value without copying what is long.

use bytes::{Buf, Bytes};

use super::{Damaged, Fault, ROW_VERSION};
use crate::table::Table;

/// The rest of a value.
pub(super) struct Reader(Bytes);

impl Reader {
    /// Checks the version byte.
    pub(super) fn new(mut value: Bytes) -> Result<Self, Fault> {
        match value.first() {
            None => Err(Fault::Length { expected: "a version byte" }),
            Some(&ROW_VERSION) => {
                value.advance(1);
                Ok(Self(value))
            }
            Some(&found) => Err(Fault::Version { found }),
        }
    }

    pub(super) fn bytes(&mut self, count: usize, expected: &'static str) -> Result<Bytes, Fault> {
        if self.0.len() < count { Err(Fault::Length { expected }) } else { Ok(self.0.split_to(count)) }
    }

    pub(super) fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], Fault> {
        let mut out = [0; N];
        self.0.try_copy_to_slice(&mut out).map_err(|_| Fault::Length { expected })?;
        Ok(out)
    }

    pub(super) fn u64(&mut self, expected: &'static str) -> Result<u64, Fault> {
        self.array(expected).map(u64::from_be_bytes)
    }

    pub(super) fn u32(&mut self, expected: &'static str) -> Result<u32, Fault> {
        self.array(expected).map(u32::from_be_bytes)
    }

    /// All that is left.
    pub(super) fn rest(self) -> Bytes {
        self.0
    }

    /// Nothing may be left.
    pub(super) fn end(self, expected: &'static str) -> Result<(), Fault> {
        if self.0.is_empty() { Ok(()) } else { Err(Fault::Length { expected }) }
    }
}

/// A key that is one number of 8 bytes.
pub(crate) fn number_key(table: Table, key: &[u8]) -> Result<u64, Damaged> {
    let bytes = key.try_into().map_err(|_| Damaged::new(table, key, Fault::Length { expected: "a key of 8 bytes" }))?;
    Ok(u64::from_be_bytes(bytes))
}

/// A key of `A` and then `B` bytes.
pub(crate) fn split_key<const A: usize, const B: usize>(
    table: Table,
    key: &[u8],
) -> Result<([u8; A], [u8; B]), Damaged> {
    let wrong = || Damaged::new(table, key, Fault::Length { expected: "a key of the table's length" });
    let (a, b) = key.split_at_checked(A).ok_or_else(wrong)?;
    Ok((a.try_into().map_err(|_| wrong())?, b.try_into().map_err(|_| wrong())?))
}
