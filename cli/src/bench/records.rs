//! Records that are signed before the clock runs.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use kho_client::{Draft, PemSigner, Signed, Signer, Surroundings, System};
use kho_proto::certificate::sans;
use kho_proto::id::{DRILL_REGIME, DRILL_UNIT, RegimeCode, UnitCode};
use kho_proto::period::Period;
use kho_proto::signature::Algorithm;
use kho_sample::Country;
use parking_lot::Mutex;

use crate::client_file::ClientFile;
use crate::dev::DevCluster;

/// Tasks that sign.
const SIGNING_TASKS: usize = 2;
/// Random bytes that payloads are cut from: as many as make two records alike unlikely, and cheap to keep, since records
/// share them.
const BLOCK_BYTES: usize = 4 << 20;
/// Regime of a local cluster's records.
const LOCAL_REGIME: &str = "KTXH-01";

/// Signed and not sent yet; connections take from the end.
pub type Prepared = Arc<Mutex<Vec<Signed>>>;

/// Makes records.
pub struct Maker {
    signers: Vec<(UnitCode, PemSigner)>,
    regime: RegimeCode,
    period: Period,
    receivers: Vec<UnitCode>,
    /// Of this run: series begin with it.
    run: String,
    block: Bytes,
    made: AtomicU64,
}

fn block(size: usize) -> Bytes {
    let mut block = vec![0; BLOCK_BYTES + size];
    System.fill(&mut block);
    block.into()
}

impl Maker {
    fn new(
        signers: Vec<(UnitCode, PemSigner)>,
        regime: &str,
        period: Period,
        receivers: Vec<UnitCode>,
    ) -> Result<Self> {
        let mut run = [0; 4];
        System.fill(&mut run);
        let (run, made) = (hex::encode(run), AtomicU64::new(0));
        Ok(Self { signers, regime: regime.parse()?, period, receivers, run, block: block(0), made })
    }

    /// Provinces of a development cluster in turn, those whose signers have this algorithm.
    pub fn local(cluster: &DevCluster, algorithm: Algorithm) -> Result<Self> {
        let country = Country::load();
        let mut signers = Vec::new();
        for unit in country.units().iter().filter(|unit| unit.code.starts_with('T')) {
            let code: UnitCode = unit.code.parse()?;
            let signer = cluster.signer(&code)?;
            if signer.algorithm() == algorithm {
                signers.push((code, signer));
            }
        }
        ensure!(!signers.is_empty(), "no unit of the sample signs with {algorithm}");
        Self::new(signers, LOCAL_REGIME, "2020-06".parse()?, vec!["VPCP".parse()?])
    }

    /// The reserved unit of test data, which statistics leave out: what is sent to a running cluster stays there.
    pub fn drill(file: &ClientFile, period: Period) -> Result<Self> {
        let signer = file.signer()?;
        let der = signer.certificates().first().context("a signer's certificate")?;
        let units = sans(der)?.units;
        ensure!(
            units.len() == 1 && units[0].as_str() == DRILL_UNIT,
            "[signer] of the client file: expected a certificate of unit {DRILL_UNIT}, as kho drill has it, found one of {}",
            units.iter().map(UnitCode::as_str).collect::<Vec<_>>().join(", ")
        );
        Self::new(vec![(DRILL_UNIT.parse()?, signer)], DRILL_REGIME, period, Vec::new())
    }

    /// Signs `count` records with payloads of `size` bytes.
    pub async fn make(self: &Arc<Self>, count: usize, size: usize) -> Result<Vec<Signed>> {
        let first = self.made.fetch_add(count as u64, Ordering::Relaxed);
        let share = (count as u64).div_ceil(SIGNING_TASKS as u64).max(1);
        let last = first + count as u64;
        let tasks: Vec<_> = (first..last)
            .step_by(usize::try_from(share)?)
            .map(|from| {
                let maker = self.clone();
                tokio::spawn(async move { maker.sign(from..(from + share).min(last), size).await })
            })
            .collect();
        let mut all = Vec::with_capacity(count);
        for task in tasks {
            all.extend(task.await??);
        }
        Ok(all)
    }

    async fn sign(&self, numbers: Range<u64>, size: usize) -> Result<Vec<Signed>> {
        let block = if size > self.block.len() { block(size) } else { self.block.clone() };
        let mut signed = Vec::new();
        for number in numbers {
            let at = usize::try_from(number.wrapping_mul(4_099))? % (block.len() - size + 1);
            let (unit, signer) = &self.signers[usize::try_from(number)? % self.signers.len()];
            let draft = Draft {
                record_id: None,
                unit: unit.clone(),
                regime: self.regime.clone(),
                period: self.period,
                // one of its own for each, so that none waits for another
                series: format!("bench {} {number}", self.run),
                supersedes: None,
                receivers: self.receivers.clone(),
                media_type: "application/octet-stream".to_owned(),
                payload: block.slice(at..at + size),
            };
            signed.push(draft.sign(signer, &System).await?);
        }
        Ok(signed)
    }
}
