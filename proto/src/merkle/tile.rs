//! Tiles: runs of 256 hashes of one height (C2SP tlog-tiles).

/// Tree levels that a tile spans: a tile at tile level L holds hashes of height 8·L.
pub const TILE_HEIGHT: u32 = 8;

/// Hashes in a full tile.
pub const TILE_WIDTH: usize = 1 << TILE_HEIGHT;

/// Path of a tile, relative to the log's prefix: `tile/L/N` with N in groups of three digits, all but the
/// last prefixed by `x`; a tile of fewer than 256 hashes ends in `.p/width`.
pub fn tile_path(level: u8, index: u64, width: usize) -> String {
    path_below(&format!("tile/{level}"), index, width)
}

/// Path of the bundle of the entries that a tile of level 0 holds the hashes of.
pub fn entries_path(index: u64, width: usize) -> String {
    path_below("tile/entries", index, width)
}

fn path_below(folder: &str, index: u64, width: usize) -> String {
    let mut groups = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        groups = format!("x{:03}/{groups}", rest % 1000);
        rest /= 1000;
    }
    if width == TILE_WIDTH { format!("{folder}/{groups}") } else { format!("{folder}/{groups}.p/{width}") }
}
