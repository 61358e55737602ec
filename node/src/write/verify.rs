//! Did the sender sign it? Header rules, payload, chain, signature, signer's unit.
//!
//! Verdicts on chains are cached by (trust roots, certificate digests). A cached signer keeps the bounds of its chain's
//! validity, and they are held against the clock at each use.

use std::sync::Arc;

use bytes::Bytes;
use kho_proto::certificate::{self, Signer, TrustRoots};
use kho_proto::digest::Digest;
use kho_proto::error::Refusal;
use kho_proto::header;
use kho_proto::id::UnixMs;
use kho_proto::record::{self, VerifiedRecord};
use quick_cache::sync::Cache;

use super::authenticate::Authenticated;
use super::metric_definitions::CHAIN_VERDICTS;
use crate::seams::Clock;

/// Chains remembered, at most: each unit has a few signers.
const VERDICTS_MAX: usize = 4096;

/// A record that its sender signed.
pub struct Verified(VerifiedRecord);

impl Verified {
    /// What was verified.
    pub fn record(&self) -> &VerifiedRecord {
        &self.0
    }
}

/// Why a record is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Record(#[from] record::Error),
    #[error(transparent)]
    Header(#[from] header::Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error {
            Error::Record(error) => error.into(),
            Error::Header(error) => error.into(),
        }
    }
}

/// The rules for senders' signatures on this node.
pub struct Verifier {
    roots: TrustRoots,
    clock: Arc<dyn Clock>,
    verdicts: Cache<Digest, Signer>,
}

impl Verifier {
    /// Trusts chains to `roots`.
    pub fn new(roots: TrustRoots, clock: Arc<dyn Clock>) -> Self {
        Self { roots, clock, verdicts: Cache::new(VERDICTS_MAX) }
    }

    pub(super) fn verify(&self, authenticated: Authenticated) -> Result<Verified, Error> {
        let now = self.clock.now();
        let header = authenticated.header();
        header.check_no_attachments()?;
        header.check_submitted_at(now)?;
        let record = authenticated.into_record();
        Ok(Verified(record::verify_record_with(&record, |chain| self.chain(chain, now))?))
    }

    fn chain(&self, chain: &[Bytes], now: UnixMs) -> Result<Signer, certificate::Error> {
        let key = self.verdict_key(chain);
        if let Some(signer) = self.verdicts.get(&key)
            && (signer.not_before..=signer.not_after).contains(&now)
        {
            metrics::counter!(CHAIN_VERDICTS, "cached" => "yes").increment(1);
            return Ok(signer);
        }
        // Outside its validity too: the full check names which certificate and which bound.
        metrics::counter!(CHAIN_VERDICTS, "cached" => "no").increment(1);
        let signer = self.roots.verify_chain(chain, now)?;
        self.verdicts.insert(key, signer.clone());
        Ok(signer)
    }

    fn verdict_key(&self, chain: &[Bytes]) -> Digest {
        let roots = self.roots.digest();
        let digests: Vec<Digest> = chain.iter().map(|der| Digest::of(der)).collect();
        let parts: Vec<&[u8]> = std::iter::once(&roots).chain(&digests).map(AsRef::as_ref).collect();
        Digest::of_parts(&parts)
    }
}
