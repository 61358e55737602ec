//! Space of large values that were dropped. A file of large values frees its space by itself once all of them are gone. Where
//! some are left, they have to be written again to free the rest: worth it only where much would be freed, since RocksDB
//! then writes again whatever its compactions come across.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::BoundColumnFamily;

use super::engine::{Db, failed};
use crate::storage::KvError;

/// One byte in so many is of a value that was dropped: begin. So the disk holds at most a third more than is there.
const BEGIN_AT: u64 = 4;
/// One byte in so many: that is enough.
const END_AT: u64 = 8;
const SETTING: &str = "enable_blob_garbage_collection";

/// Whether values that are left are written again.
#[derive(Default)]
pub(super) struct Garbage {
    collected: AtomicBool,
}

impl Garbage {
    /// Begins or ends with it, by what RocksDB knows of dropped values: what its compactions have come across.
    pub fn look(&self, db: &Db, table: &Arc<BoundColumnFamily<'_>>) -> Result<(), KvError> {
        let property = |name: &str| {
            let value = db.property_int_value_cf(table, name).map_err(|error| failed("measure", &error))?;
            Ok::<_, KvError>(value.unwrap_or(0))
        };
        let (all, dropped) =
            (property("rocksdb.live-blob-file-size")?, property("rocksdb.live-blob-file-garbage-size")?);
        let now = self.collected.load(Ordering::Relaxed);
        let then = if now { dropped > all / END_AT } else { dropped > all / BEGIN_AT };
        if now != then {
            db.set_options_cf(table, &[(SETTING, if then { "true" } else { "false" })])
                .map_err(|error| failed("set option", &error))?;
            self.collected.store(then, Ordering::Relaxed);
            tracing::info!(collected = then, bytes = all, dropped, "space of dropped attachments");
        }
        Ok(())
    }
}
