//! Where the ledger stands: what `apply` needs of the rows below without reading them each time.

use bytes::Bytes;
use kho_proto::checkpoint::Origin;
use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, Epoch, Seq, UnixMs};
use kho_proto::leaf::Leaf;
use kho_proto::merkle::TILE_WIDTH;

use crate::edge::{Edge, Pyramid, full_tiles};
use crate::read;
use crate::row::{Damaged, Fault, GenesisRow, SizeRow, TileRow, number_key};
use crate::table::{self, AFTER_ALL, Table};
use crate::view::{ReadError, View};

/// The end of the ledger at one moment. Wholly a function of the rows: [`Tip::load`] after any entry gives
/// the tip that `apply` returned for it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    pub(crate) genesis: Option<Formed>,
    pub(crate) last_accepted_at: UnixMs,
    pub(crate) crl_version: u64,
    pub(crate) edge: Edge,
}

/// What the genesis record fixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Formed {
    pub(crate) cluster_id: ClusterId,
    pub(crate) epoch: Epoch,
    pub(crate) digest: Digest,
}

impl Formed {
    pub(crate) fn of(genesis: &GenesisRow) -> Self {
        Self { cluster_id: genesis.cluster_id, epoch: genesis.epoch, digest: genesis.digest() }
    }
}

impl Tip {
    /// The tip of an empty ledger.
    pub fn empty() -> Self {
        Self { genesis: None, last_accepted_at: UnixMs(0), crl_version: 0, edge: Edge::default() }
    }

    /// Adds a leaf as applying does, without its rows: for counting instructions. How many tiles it filled.
    #[doc(hidden)]
    pub fn push(&mut self, leaf_hash: Digest) -> usize {
        let mut filled = 0;
        self.edge.push(leaf_hash, |_, _, hashes| filled += usize::from(!TileRow::of(hashes).is_empty()));
        filled
    }

    /// Recomputes the tip from the rows, and checks the root against the one that the last entry wrote.
    /// Reads at most 255 leaves, and 255 tiles for each tile level above the first.
    pub fn load(view: &dyn View) -> Result<Self, ReadError> {
        let Some((key, value)) = view.before(Table::Leaves, &[], AFTER_ALL)? else {
            return Ok(Self::empty());
        };
        let last = number_key(Table::Leaves, &key)?;
        let leaf = Leaf::decode(&value).map_err(|_| not_a_leaf(&key))?;
        let size = last + 1;
        let edge = load_edge(view, size)?;
        let genesis = read::genesis(view)?;
        let genesis = genesis.ok_or_else(|| Damaged::new(Table::Meta, table::GENESIS_KEY, Fault::Missing))?;
        let size_key = table::size_key(size);
        let row = view.get(Table::Sizes, &size_key)?;
        let row = row.ok_or_else(|| Damaged::new(Table::Sizes, &size_key, Fault::Missing))?;
        let row = SizeRow::decode(row).map_err(|fault| Damaged::new(Table::Sizes, &size_key, fault))?;
        if row.root != edge.root() {
            return Err(Damaged::new(Table::Sizes, &size_key, Fault::Root).into());
        }
        let crl_version = read::crl_version(view)?;
        Ok(Self { genesis: Some(Formed::of(&genesis)), last_accepted_at: leaf.accepted_at, crl_version, edge })
    }

    /// Id of the cluster; none before the genesis.
    pub fn cluster_id(&self) -> Option<ClusterId> {
        self.genesis.as_ref().map(|genesis| genesis.cluster_id)
    }

    /// Epoch of the state; 0 before the genesis.
    pub fn epoch(&self) -> Epoch {
        self.genesis.as_ref().map_or(Epoch(0), |genesis| genesis.epoch)
    }

    /// SHA-256 of the genesis record; none before it.
    pub fn genesis_digest(&self) -> Option<Digest> {
        self.genesis.as_ref().map(|genesis| genesis.digest)
    }

    /// Accepted-at of the last leaf; 0 before the first.
    pub fn last_accepted_at(&self) -> UnixMs {
        self.last_accepted_at
    }

    /// Lists of revoked certificates that were installed: names the set that counts.
    pub fn crl_version(&self) -> u64 {
        self.crl_version
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Root over all leaves.
    pub fn root(&self) -> Digest {
        self.edge.root()
    }

    /// Origin of the log in this epoch; none before the genesis.
    pub fn origin(&self) -> Option<Origin> {
        self.genesis.as_ref().map(|genesis| Origin::new(genesis.cluster_id, genesis.epoch, genesis.digest))
    }
}

fn not_a_leaf(key: &[u8]) -> Damaged {
    Damaged::new(Table::Leaves, key, Fault::Content { expected: "leaf v1" })
}

/// Hashes of the tiles that are not full: leaves at level 0, roots of full tiles of the level below elsewhere.
fn load_edge(view: &dyn View, size: u64) -> Result<Edge, ReadError> {
    let mut tiles = Vec::new();
    let mut level = 0;
    let mut count = size;
    while count > 0 {
        let width = TILE_WIDTH as u64;
        let mut hashes = Vec::new();
        for index in count / width * width..count {
            hashes.push(match level {
                0 => load_leaf_hash(view, index)?,
                above => load_tile_root(view, above - 1, index)?,
            });
        }
        tiles.push(hashes);
        count = full_tiles(u32::from(level), size);
        level += 1;
    }
    Ok(Edge::of(size, tiles))
}

fn load_leaf_hash(view: &dyn View, seq: u64) -> Result<Digest, ReadError> {
    let missing = || Damaged::new(Table::Leaves, &table::seq_key(Seq(seq)), Fault::Missing);
    Ok(read::leaf(view, Seq(seq))?.ok_or_else(missing)?.hash())
}

fn load_tile_root(view: &dyn View, level: u8, index: u64) -> Result<Digest, ReadError> {
    let (_, root) = load_tile(view, level, index)?;
    Ok(root)
}

/// A full tile with what stands above it, and its root.
pub(crate) fn load_tile(view: &dyn View, level: u8, index: u64) -> Result<(Pyramid, Digest), ReadError> {
    raise_tile(load_tile_row(view, level, index)?, level, index)
}

/// The row of a full tile.
pub(crate) fn load_tile_row(view: &dyn View, level: u8, index: u64) -> Result<Bytes, ReadError> {
    let key = table::tile_key(level, index);
    let missing = || Damaged::new(Table::Tiles, &key, Fault::Missing);
    Ok(view.get(Table::Tiles, &key)?.ok_or_else(missing)?)
}

/// What stands above the tile of a row: 255 hashes to compute.
pub(crate) fn raise_tile(row: Bytes, level: u8, index: u64) -> Result<(Pyramid, Digest), ReadError> {
    let damaged = |fault| Damaged::new(Table::Tiles, &table::tile_key(level, index), fault);
    let row = TileRow::decode(row).map_err(damaged)?;
    let mut pyramid = Pyramid::default();
    let root = row.hashes().fold(None, |_, hash| pyramid.push(hash));
    Ok((pyramid, root.ok_or_else(|| damaged(Fault::Length { expected: "256 hashes" }))?))
}
