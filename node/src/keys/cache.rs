//! Unwrapped data keys, kept so that a provider behind a network is asked once per key.

use std::sync::Arc;

use kho_ledger::row::DataKeyRow;
use kho_proto::id::{ClusterId, KeyId, Token};
use kho_proto::sealed::{DataKey, WrapContext};
use quick_cache::sync::Cache;

use super::{Error, KeyProvider};

/// Data keys in memory, at most: some hundred units with a few generations each. Dropped keys are erased.
const KEYS_MAX: usize = 4096;

/// A provider, and the data keys it has unwrapped.
pub struct DataKeys {
    cluster: ClusterId,
    provider: Arc<dyn KeyProvider>,
    unwrapped: Cache<KeyId, Arc<DataKey>>,
}

impl DataKeys {
    /// Over a provider; empty.
    pub fn new(cluster: ClusterId, provider: Arc<dyn KeyProvider>) -> Self {
        Self { cluster, provider, unwrapped: Cache::new(KEYS_MAX) }
    }

    /// The provider.
    pub fn provider(&self) -> &dyn KeyProvider {
        &*self.provider
    }

    /// The data key of a row.
    pub fn open(&self, unit_token: Token, row: &DataKeyRow) -> Result<Arc<DataKey>, Error> {
        self.unwrapped.get_or_insert_with(&row.key_id, || {
            let context =
                WrapContext { cluster_id: self.cluster, key_id: row.key_id, unit_token, generation: row.generation };
            self.provider.unwrap(&context, row.wrapped_by, &row.wrapped_key).map(Arc::new)
        })
    }
}
