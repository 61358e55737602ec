//! The demo's reports, each signed by its unit.

use std::collections::BTreeMap;
use std::sync::Arc;

use kho::dev::DevCluster;
use kho_client::{Draft, PemSigner, Signed, System};
use kho_proto::id::UnitCode;
use kho_sample::{Country, Generator, Report};

use super::progress::Progress;
use crate::exit::Result;

fn draft(report: Report) -> Result<Draft> {
    Ok(Draft {
        record_id: None,
        unit: report.unit.parse()?,
        regime: report.regime.parse()?,
        period: report.period.parse()?,
        series: report.series,
        supersedes: None,
        receivers: report.receivers.iter().map(|unit| unit.parse()).collect::<std::result::Result<_, _>>()?,
        media_type: report.media_type,
        payload: report.payload.into(),
    })
}

/// Makes `count` reports over all regimes and units, checks them against their regimes, and has them signed.
pub async fn sign_reports(cluster: &DevCluster, seed: u64, count: u64) -> Result<Vec<Arc<Signed>>> {
    let country = Country::load();
    let mut generator = Generator::new(seed);
    let mut signers: BTreeMap<UnitCode, PemSigner> = BTreeMap::new();
    let mut signed = Vec::new();
    let mut progress = Progress::new("signing reports", count);
    for _ in 0..count {
        let report = generator.next();
        let regime = country.regime(&report.regime).ok_or_else(|| anyhow::anyhow!("no regime {}", report.regime))?;
        if let Err(violations) = kho_sample::validate(regime, &report.payload) {
            return Err(anyhow::anyhow!("report of {} under {}: {violations:?}", report.unit, report.regime).into());
        }
        let draft = draft(report)?;
        if !signers.contains_key(&draft.unit) {
            let signer = tokio::task::block_in_place(|| cluster.signer(&draft.unit))?;
            signers.insert(draft.unit.clone(), signer);
        }
        let signer = signers.get(&draft.unit).ok_or_else(|| anyhow::anyhow!("no signer"))?;
        signed.push(Arc::new(draft.sign(signer, &System).await?));
        progress.step();
    }
    progress.say(&format!("{count} reports of {} units, one signer each", signers.len()));
    Ok(signed)
}
