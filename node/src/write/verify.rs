//! Did the sender sign it? Header rules, payload, chain, revocation, signature, signer's unit.
//!
//! Verdicts on chains are cached by (trust roots, lists of revoked certificates, certificate digests). A cached signer
//! keeps the bounds of its chain's validity, and they are held against the clock at each use.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use kho_proto::certificate::{self, Signer, TrustRoots};
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::header;
use kho_proto::id::UnixMs;
use kho_proto::record::{self, VerifiedRecord};
use quick_cache::sync::Cache;

use super::authenticate::Authenticated;
use super::metric_definitions::CHAIN_VERDICTS;
use super::revocation::{self, Lists, Revocations};
use crate::seams::Clock;

/// Chains remembered, at most: each unit has a few signers.
const VERDICTS_MAX: usize = 4096;

/// A record that its sender signed.
pub struct Verified {
    record: VerifiedRecord,
    judged_by: u64,
}

impl Verified {
    /// What was verified.
    pub fn record(&self) -> &VerifiedRecord {
        &self.record
    }

    /// Number of the lists of revoked certificates that the signer was judged by.
    pub fn judged_by(&self) -> u64 {
        self.judged_by
    }
}

/// Why a record is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Record(#[from] record::Error),
    #[error(transparent)]
    Header(#[from] header::Error),
    #[error("revocation: {0}")]
    Revocation(#[from] revocation::Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error {
            Error::Record(error) => error.into(),
            Error::Header(error) => error.into(),
            Error::Revocation(error) => {
                tracing::error!(%error, "nobody can be judged here");
                Refusal::new(Code::StorageFailed, "this node can't tell who was revoked; ask another")
            }
        }
    }
}

/// The rules for senders' signatures on this node.
pub struct Verifier {
    roots: ArcSwap<TrustRoots>,
    /// None: nothing is known of what was revoked.
    revocations: Option<Arc<Revocations>>,
    clock: Arc<dyn Clock>,
    verdicts: Cache<Digest, Signer>,
}

impl Verifier {
    /// Trusts chains to `roots`, and looks at no list of revoked certificates.
    pub fn new(roots: TrustRoots, clock: Arc<dyn Clock>) -> Self {
        let roots = ArcSwap::from_pointee(roots);
        Self { roots, revocations: None, clock, verdicts: Cache::new(VERDICTS_MAX) }
    }

    /// Looks at these lists too.
    pub fn with_revocations(mut self, revocations: Arc<Revocations>) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Trusts chains to these from now on.
    pub fn set_roots(&self, roots: TrustRoots) {
        self.roots.store(Arc::new(roots));
    }

    /// The roots that chains must lead to.
    pub fn roots(&self) -> Arc<TrustRoots> {
        self.roots.load_full()
    }

    pub(super) fn verify(&self, authenticated: &Authenticated) -> Result<Verified, Error> {
        let now = self.clock.now();
        let lists = self.revocations.as_ref().map(|revocations| revocations.current()).transpose()?;
        let header = authenticated.header();
        header.check_submitted_at(now)?;
        let judge = |chain: &[Bytes]| self.chain(chain, lists.as_deref(), now);
        let record = record::verify_record_with(authenticated.record(), judge)?;
        Ok(Verified { record, judged_by: lists.as_ref().map_or(0, |lists| lists.version) })
    }

    fn chain(&self, chain: &[Bytes], lists: Option<&Lists>, now: UnixMs) -> Result<Signer, certificate::Error> {
        let roots = self.roots.load();
        let key = verdict_key(&roots, lists, chain);
        if let Some(signer) = self.verdicts.get(&key)
            && (signer.not_before..=signer.not_after).contains(&now)
        {
            metrics::counter!(CHAIN_VERDICTS, "cached" => "yes").increment(1);
            return Ok(signer);
        }
        // Outside its validity too: the full check names which certificate and which bound.
        metrics::counter!(CHAIN_VERDICTS, "cached" => "no").increment(1);
        let mut signer = match lists {
            None => roots.verify_chain(chain, now)?,
            Some(lists) => roots.verify_chain_with(chain, now, &lists.crls)?,
        };
        signer.not_after = lists.map_or(signer.not_after, |lists| signer.not_after.min(lists.hold_until()));
        self.verdicts.insert(key, signer.clone());
        Ok(signer)
    }
}

fn verdict_key(roots: &TrustRoots, lists: Option<&Lists>, chain: &[Bytes]) -> Digest {
    let (roots, version) = (roots.digest(), lists.map_or(0, |lists| lists.version).to_be_bytes());
    let digests: Vec<Digest> = chain.iter().map(|der| Digest::of(der)).collect();
    let mut parts: Vec<&[u8]> = vec![roots.as_ref(), &version];
    parts.extend(digests.iter().map(AsRef::<[u8]>::as_ref));
    Digest::of_parts(&parts)
}
