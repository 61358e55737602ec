//! The node's own storage, as the node opens it for its log.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use kho_log_engines::engine::Sizes;
use kho_node::storage::rocks::{RocksStorage, Tuning};
use kho_node::storage::{Batch, Direction, Durability, KeyRange, KvEngine, Profile, Storage};

use super::{LOG, META, Rows, See};

pub struct Node(Arc<dyn KvEngine>);

impl Node {
    pub fn open(path: &Path, sizes: Sizes) -> Result<Self> {
        let mut tuning = Tuning::default();
        if let Some(bytes) = sizes.file_bytes {
            // full buffers are written as tables
            tuning.write_buffer_mib = (bytes >> 20).max(1) as usize;
        }
        Ok(Self(RocksStorage::new(tuning).open(path, Profile::Log, &[LOG, META])?))
    }
}

impl Rows for Node {
    fn write(&self, batch: &Batch) -> Result<()> {
        Ok(self.0.write(batch, Durability::Sync)?)
    }

    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.0.get(table, key)?)
    }

    fn each(&self, see: &mut See<'_>) -> Result<()> {
        for row in self.0.iter(LOG, KeyRange::starting([]), Direction::Forward)? {
            let (key, row) = row?;
            if !see(&key, &row)? {
                break;
            }
        }
        Ok(())
    }

    fn last(&self) -> Result<Option<Bytes>> {
        let row = self.0.iter(LOG, KeyRange::starting([]), Direction::Backward)?.next().transpose()?;
        Ok(row.map(|(key, _)| key))
    }

    fn reclaim(&self, to: &[u8]) -> Result<()> {
        Ok(self.0.reclaim(LOG, &super::key(0), to)?)
    }
}
