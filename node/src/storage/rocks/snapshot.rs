//! A consistent view that owns what it reads from.
//!
//! RocksDB's snapshot borrows its database, and Rust has no safe struct that owns both. A future may hold
//! a borrow of its own variables across an await, so the snapshot lives in one: polled once, it takes the
//! snapshot and hands out read options bound to it; each further poll hands out another set. Dropped, it
//! releases the snapshot and then its share of the database, in that order.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use rocksdb::ReadOptions;

use super::engine::{self, Db};
use crate::storage::{Direction, KeyRange, KvError, KvRead, Rows};

type Keeper = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) struct RocksSnapshot {
    // Bound to the snapshot in `keeper`; for point reads, which need no options of their own.
    point: ReadOptions,
    keeper: Mutex<Keeper>,
    slot: Arc<Mutex<Option<ReadOptions>>>,
    db: Arc<Db>,
}

impl RocksSnapshot {
    pub(super) fn new(db: Arc<Db>) -> Self {
        let slot = Arc::new(Mutex::new(None));
        let mut keeper = keep(Arc::clone(&db), Arc::clone(&slot));
        let point = step(&mut keeper, &slot);
        Self { point, keeper: Mutex::new(keeper), slot, db }
    }
}

fn keep(db: Arc<Db>, slot: Arc<Mutex<Option<ReadOptions>>>) -> Keeper {
    Box::pin(async move {
        let snapshot = db.snapshot();
        loop {
            let mut options = ReadOptions::default();
            options.set_snapshot(&snapshot);
            *slot.lock() = Some(options);
            Once(false).await;
        }
    })
}

fn step(keeper: &mut Keeper, slot: &Mutex<Option<ReadOptions>>) -> ReadOptions {
    let poll = keeper.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    debug_assert!(poll.is_pending());
    slot.lock().take().expect("each poll of the keeper fills the slot")
}

/// Pending once, then ready.
struct Once(bool);

impl Future for Once {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl KvRead for RocksSnapshot {
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        engine::get(&self.db, table, key, &self.point)
    }

    fn iter(&self, table: &'static str, range: KeyRange, direction: Direction) -> Result<Rows<'_>, KvError> {
        let options = step(&mut self.keeper.lock(), &self.slot);
        engine::iter(&self.db, table, range, direction, options)
    }
}
