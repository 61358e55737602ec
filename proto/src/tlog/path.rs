//! Paths below a log's prefix.

use std::fmt;
use std::str::FromStr;

use super::{Bundle, Tile};
use crate::error::{Code, Refusal, excerpt};
use crate::merkle::{TILE_WIDTH, entries_path, tile_path};

/// Bytes of a path, at most: `tile/entries/`, seven groups (20 digits, as many as 64 bits need), `.p/255`.
pub const PATH_LENGTH_MAX: usize = 13 + 6 * 5 + 3 + 6;
/// Tile levels that the specification knows.
const LEVEL_MAX: u8 = 63;

/// What a log publishes, by its path relative to the log's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `checkpoint`: the newest.
    Checkpoint,
    /// `tile/LEVEL/INDEX`: hashes.
    Tile(Tile),
    /// `tile/entries/INDEX`: leaves.
    Entries(Bundle),
}

/// Why there is nothing at a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No path of a log at all.
    #[error("expected /checkpoint, /tile/LEVEL/INDEX or /tile/entries/INDEX, found {found}")]
    Unknown {
        /// The path, cut short.
        found: String,
    },
    /// A path of a tile or bundle that is not of the grammar.
    #[error("path of a tile: expected {expected}, found {found}")]
    Malformed {
        /// What should stand there.
        expected: &'static str,
        /// The part that is wrong, cut short.
        found: String,
    },
}

impl PathError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            PathError::Unknown { .. } => Code::LogPathUnknown,
            PathError::Malformed { .. } => Code::LogPathMalformed,
        }
    }
}

impl From<PathError> for Refusal {
    fn from(error: PathError) -> Self {
        Refusal::new(error.code(), error.to_string())
    }
}

fn malformed(expected: &'static str, found: &str) -> PathError {
    PathError::Malformed { expected, found: excerpt(found) }
}

impl FromStr for Resource {
    type Err = PathError;

    /// One text for each resource: no leading zeros, no group of zeros in front, no full width spelt out.
    fn from_str(path: &str) -> Result<Self, PathError> {
        if path == "checkpoint" {
            return Ok(Resource::Checkpoint);
        }
        let below = path.strip_prefix("tile/").ok_or_else(|| PathError::Unknown { found: excerpt(path) })?;
        if path.len() > PATH_LENGTH_MAX {
            return Err(malformed("at most 52 bytes", path));
        }
        let (kind, place) = below.split_once('/').ok_or_else(|| malformed("LEVEL/INDEX or entries/INDEX", below))?;
        if kind == "entries" {
            let (index, width) = parse_place(place)?;
            return Ok(Resource::Entries(Bundle { index, width }));
        }
        let level = kind.parse::<u8>().ok().filter(|level| *level <= LEVEL_MAX && level.to_string() == kind);
        let level = level.ok_or_else(|| malformed("a level from 0 to 63, or entries", kind))?;
        let (index, width) = parse_place(place)?;
        Ok(Resource::Tile(Tile { level, index, width }))
    }
}

/// Index in groups of three digits, and width.
fn parse_place(place: &str) -> Result<(u64, u16), PathError> {
    let (groups, width) = match place.split_once(".p/") {
        None => (place, TILE_WIDTH as u16),
        Some((groups, width)) => (groups, parse_width(width)?),
    };
    let (above, last) = groups.rsplit_once('/').map_or(("", groups), |(above, last)| (above, last));
    let mut index = 0u64;
    if !above.is_empty() || groups.starts_with('/') {
        for group in above.split('/') {
            let digits =
                group.strip_prefix('x').ok_or_else(|| malformed("an x before all groups but the last", group))?;
            let number = three_digits(digits)?;
            if index == 0 && number == 0 {
                return Err(malformed("no group of zeros in front", groups));
            }
            index = shifted(index, number, groups)?;
        }
    }
    Ok((shifted(index, three_digits(last)?, groups)?, width))
}

fn shifted(index: u64, number: u64, groups: &str) -> Result<u64, PathError> {
    let larger = index.checked_mul(1000).and_then(|index| index.checked_add(number));
    larger.ok_or_else(|| malformed("an index of 64 bits", groups))
}

fn three_digits(text: &str) -> Result<u64, PathError> {
    let good = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if good { text.parse().ok() } else { None };
    number.ok_or_else(|| malformed("groups of three digits", text))
}

fn parse_width(text: &str) -> Result<u16, PathError> {
    let width = text.parse::<u16>().ok().filter(|width| width.to_string() == text);
    let width = width.filter(|width| (1..TILE_WIDTH as u16).contains(width));
    width.ok_or_else(|| malformed("a width from 1 to 255", text))
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Checkpoint => f.write_str("checkpoint"),
            Resource::Tile(tile) => f.write_str(&tile_path(tile.level, tile.index, tile.width.into())),
            Resource::Entries(bundle) => f.write_str(&entries_path(bundle.index, bundle.width.into())),
        }
    }
}
