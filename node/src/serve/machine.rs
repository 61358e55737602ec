//! What a node runs on.

use std::sync::Arc;

use crate::config::Config;
use crate::seams::Seams;
use crate::storage::Storage;
use crate::storage::rocks::RocksStorage;
use crate::telemetry::{self, Recorder};
use crate::tls::{Tls, Transport};

/// What a node runs on: this machine, or a simulation's.
pub struct Machine {
    /// Time, chance, network, threads.
    pub seams: Seams,
    /// Disks.
    pub storage: Arc<dyn Storage>,
    /// Who is at the other end of a connection.
    pub transport: Arc<dyn Transport>,
    /// Measurements of the process; none where several nodes share one.
    pub recorder: Option<Recorder>,
}

impl Machine {
    /// With RocksDB and TLS.
    pub fn of(config: &Config, seams: Seams) -> Self {
        let storage = Arc::new(RocksStorage::new(config.storage.tuning()));
        Self { seams, storage, transport: Arc::new(Tls), recorder: telemetry::recorder() }
    }
}
