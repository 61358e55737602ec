//! Certificates that a record names and does not carry: the state has them, if a record of its unit brought them before.

use bytes::Bytes;
use kho_ledger::View;
use kho_proto::certificate::CHAIN_LENGTH_MAX;
use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, Token};
use kho_proto::pb::v1::SignedRecord;
use kho_proto::sealed::{self, Part, SealContext};
use kho_proto::signature::SignatureBlock;
use quick_cache::sync::Cache;

use super::seal::Error;
use crate::keys::DataKeys;

/// Certificates that are kept open, at most: some KiB each. Each unit has a few signers, and they share their issuers.
const OPEN_MAX: usize = 2048;

/// Opens certificates of the state.
pub(super) struct Chains {
    cluster: ClusterId,
    open: Cache<(Token, Digest), Bytes>,
}

impl Chains {
    pub fn new(cluster: ClusterId) -> Self {
        Self { cluster, open: Cache::new(OPEN_MAX) }
    }

    /// Gives a record without certificates those that its signature block names, if the state has all of them. If not, or
    /// if the block can't be read, it stays as it is, and the verification says what is missing.
    pub fn complete(
        &self,
        keys: &DataKeys,
        view: &dyn View,
        unit: Token,
        record: &mut SignedRecord,
    ) -> Result<(), Error> {
        if !record.certificates.is_empty() {
            return Ok(());
        }
        let Ok(block) = SignatureBlock::decode(&record.signature_block) else { return Ok(()) };
        if block.certificate_digests.len() > CHAIN_LENGTH_MAX {
            return Ok(());
        }
        let stored = block.certificate_digests.iter().map(|digest| self.stored(keys, view, unit, *digest));
        if let Some(chain) = stored.collect::<Result<Option<Vec<_>>, _>>()? {
            record.certificates = chain;
        }
        Ok(())
    }

    fn stored(&self, keys: &DataKeys, view: &dyn View, unit: Token, digest: Digest) -> Result<Option<Bytes>, Error> {
        if let Some(open) = self.open.get(&(unit, digest)) {
            return Ok(Some(open));
        }
        let Some(row) = kho_ledger::certificate(view, &unit, &digest)? else { return Ok(None) };
        let Some((owner, key)) = kho_ledger::data_key_by_id(view, &row.key_id)? else { return Ok(None) };
        let key = keys.open(owner.unit_token, &key)?;
        let context = SealContext::certificate(self.cluster, row.key_id, digest);
        let der = Bytes::from(sealed::open(&context, Part::Certificate, &key, &row.sealed)?);
        self.open.insert((unit, digest), der.clone());
        Ok(Some(der))
    }
}
