//! RocksDB: the only module that names it.

mod direct;
mod engine;
mod garbage;
mod options;
mod snapshot;

#[cfg(test)]
mod tests;

pub use engine::RocksStorage;
pub use options::{Compression, Tuning};
