//! How much each unit may send to a node.

use std::collections::BTreeMap;

use kho_proto::id::UnitCode;
use serde::Deserialize;

use super::error::{Error, within};
use crate::write::Rate;

/// How much each unit may send to this node. Each node counts for itself: a unit that uses all nodes may send as many
/// times as much.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotasConfig {
    /// Records a second; 0: no limit.
    pub records_per_s: u64,
    /// Records at once after a rest.
    pub records_burst: u64,
    /// Bytes of records a second; 0: no limit.
    pub bytes_per_s: u64,
    /// Bytes at once after a rest.
    pub bytes_burst: u64,
    /// Units whose quota is another.
    pub units: BTreeMap<String, UnitQuotaConfig>,
}

/// What is not given is as for all units.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnitQuotaConfig {
    /// As for all units.
    pub records_per_s: Option<u64>,
    /// As for all units.
    pub records_burst: Option<u64>,
    /// As for all units.
    pub bytes_per_s: Option<u64>,
    /// As for all units.
    pub bytes_burst: Option<u64>,
}

/// What a unit may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Records.
    pub records: Rate,
    /// Their bytes.
    pub bytes: Rate,
}

const PER_S_MAX: u64 = 1 << 40;

impl QuotasConfig {
    pub(crate) fn usual(&self) -> Rates {
        Rates {
            records: Rate { per_s: self.records_per_s, burst: self.records_burst },
            bytes: Rate { per_s: self.bytes_per_s, burst: self.bytes_burst },
        }
    }

    fn of(&self, unit: &UnitQuotaConfig) -> Rates {
        let rate = |usual: Rate, per_s: Option<u64>, burst: Option<u64>| Rate {
            per_s: per_s.unwrap_or(usual.per_s),
            burst: burst.unwrap_or(usual.burst),
        };
        let usual = self.usual();
        Rates {
            records: rate(usual.records, unit.records_per_s, unit.records_burst),
            bytes: rate(usual.bytes, unit.bytes_per_s, unit.bytes_burst),
        }
    }

    /// Of validated units.
    pub(crate) fn of_units(&self) -> BTreeMap<UnitCode, Rates> {
        let rates = |(code, unit): (&String, &UnitQuotaConfig)| Some((code.parse().ok()?, self.of(unit)));
        self.units.iter().filter_map(rates).collect()
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        check("quotas", self.usual())?;
        for (code, unit) in &self.units {
            if code.parse::<UnitCode>().is_err() {
                return Err(Error::range("quotas.units", format!("{code:?}"), "codes of units"));
            }
            check(&format!("quotas.units.{code}"), self.of(unit))?;
        }
        Ok(())
    }
}

fn check(prefix: &str, Rates { records, bytes }: Rates) -> Result<(), Error> {
    for (what, rate) in [("records", records), ("bytes", bytes)] {
        within(&format!("{prefix}.{what}_per_s"), rate.per_s, 0, PER_S_MAX)?;
        within(&format!("{prefix}.{what}_burst"), rate.burst, 1, PER_S_MAX)?;
    }
    Ok(())
}
