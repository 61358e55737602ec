//! The log's signature, bound to the cluster that the state says this is.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use kho_ledger::{Tip, View};
use kho_proto::checkpoint::{Checkpoint, LogSigner, Origin, VerifierKey};
use kho_proto::digest::Digest;
use kho_proto::id::Epoch;

use super::guard::{GuardError, Verdict, check_state};
use super::{Error, KeyProvider};

/// Signs checkpoints of the log.
///
/// The signer is made once per genesis and epoch, and only if the genesis record names this keyring's public key: a node
/// with another keyring can neither sign nor seal.
pub struct Notary {
    provider: Arc<dyn KeyProvider>,
    signing: ArcSwapOption<Signing>,
}

struct Signing {
    genesis: Digest,
    epoch: Epoch,
    origin: Origin,
    signer: LogSigner,
}

impl Notary {
    /// With the keys of `provider`.
    pub fn new(provider: Arc<dyn KeyProvider>) -> Self {
        Self { provider, signing: ArcSwapOption::empty() }
    }

    /// Raw public key of the log in an epoch.
    pub fn public_key(&self, epoch: Epoch) -> Result<[u8; 32], Error> {
        Ok(self.provider.log_key(epoch)?.public_key())
    }

    /// Whether the state is of a formed cluster with these keys. View and tip must be of the same moment.
    pub fn check(&self, view: &dyn View, tip: &Tip) -> Result<(), GuardError> {
        self.signing(view, tip).map(|_| ())
    }

    /// Signed note over the first `size` leaves. `size` and `root` are of a state that was applied.
    pub fn sign(&self, view: &dyn View, tip: &Tip, size: u64, root: Digest) -> Result<Bytes, GuardError> {
        let signing = self.signing(view, tip)?;
        Ok(signing.signer.sign(&Checkpoint { origin: signing.origin.clone(), size, root }))
    }

    /// What verifies the notes.
    pub fn verifier_key(&self, view: &dyn View, tip: &Tip) -> Result<VerifierKey, GuardError> {
        Ok(self.signing(view, tip)?.signer.verifier_key().clone())
    }

    fn signing(&self, view: &dyn View, tip: &Tip) -> Result<Arc<Signing>, GuardError> {
        let genesis = tip.genesis_digest().ok_or(GuardError::NotFormed)?;
        let epoch = tip.epoch();
        if let Some(signing) = self.signing.load_full()
            && signing.genesis == genesis
            && signing.epoch == epoch
        {
            return Ok(signing);
        }
        if check_state(self, view)? == Verdict::NotFormed {
            return Err(GuardError::NotFormed);
        }
        let origin = tip.origin().ok_or(GuardError::NotFormed)?;
        let signer = LogSigner::new(self.provider.log_key(epoch)?, origin.clone());
        let signing = Arc::new(Signing { genesis, epoch, origin, signer });
        self.signing.store(Some(signing.clone()));
        Ok(signing)
    }
}
