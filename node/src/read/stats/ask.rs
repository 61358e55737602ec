//! A question for statistics, checked.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use kho_catalogue::{Catalogue, Day, Kind};
use kho_proto::digest::Digest;
use kho_proto::error::{Refusal, excerpt};
use kho_proto::header::{Header, SubmittedAt};
use kho_proto::id::{RegimeCode, UnitCode, UnixMs};
use kho_proto::pb::v1 as pb;
use kho_proto::period::{Period, PeriodRange};
use prost::Message;

use super::super::catalogue::{CODES_MAX, wrong};
use super::super::page::{Call, binding};
use super::{STATS_ROWS_DEFAULT, STATS_ROWS_MAX, STATS_YEARS_MAX};
use crate::identity::{Identity, Party, Role};

/// Clocks of callers may be ahead by so much.
const AHEAD_MS: u64 = 5 * 60 * 1000;

/// What is asked, and by whom.
pub(super) struct Question {
    party: Arc<Party>,
    units: BTreeSet<String>,
    regimes: BTreeSet<String>,
    /// Periods that count.
    pub range: PeriodRange,
    /// Their first and last day.
    pub days: (Day, Day),
    pub by: pb::StatsBy,
    pub as_of: Option<UnixMs>,
    pub rows_max: usize,
    pub page_token: Bytes,
    pub stale: bool,
    pub binding: Digest,
}

fn codes<T: std::str::FromStr>(field: &str, codes: &[String]) -> Result<BTreeSet<String>, Refusal> {
    if codes.len() > CODES_MAX {
        return Err(wrong(field, format!("at most {CODES_MAX}"), codes.len().to_string()));
    }
    let rule = "codes: 1 to 32 of A-Z a-z 0-9 . _ - starting with a letter or digit";
    let check = |code: &String| code.parse::<T>().map(|_| code.clone()).map_err(|_| wrong(field, rule, excerpt(code)));
    codes.iter().map(check).collect()
}

fn period(field: &str, text: &str) -> Result<Period, Refusal> {
    text.parse().map_err(|error: kho_proto::period::Error| {
        Refusal::new(error.code(), format!("{field}: {error}")).expected_found("a period of the grammar", excerpt(text))
    })
}

impl Question {
    pub fn of(identity: &Identity, request: pb::StatsRequest, now: UnixMs) -> Result<Self, Refusal> {
        let party = identity.party()?;
        // counts are no content; an auditor sees no names of records
        party.require(&[Role::Reader, Role::Operator])?;
        let (from, to) = (period("period_from", &request.period_from)?, period("period_to", &request.period_to)?);
        let range = PeriodRange::new(Some(&from), Some(&to)).ok_or_else(|| {
            wrong("period_to", format!("a period that ends after {from} begins"), request.period_to.clone())
        })?;
        let days = (Day::first_of(&from), Day::last_of(&to));
        if days.1.0 - days.0.0 > STATS_YEARS_MAX * 366 {
            let expected = format!("at most {STATS_YEARS_MAX} years");
            return Err(wrong("period_to", expected, format!("{from} to {to}")));
        }
        let as_of = match &request.as_of[..] {
            "" => None,
            text => {
                let rule = "YYYY-MM-DDTHH:MM:SS.mmm+07:00, not in the future";
                let at: SubmittedAt = text.parse().map_err(|_| wrong("as_of", rule, excerpt(text)))?;
                let at = at.unix_ms();
                if at.0 > now.0.saturating_add(AHEAD_MS) {
                    return Err(wrong("as_of", rule, excerpt(text)));
                }
                Some(at)
            }
        };
        let by = pb::StatsBy::try_from(request.by).map_err(|_| {
            wrong("by", "UNIT_REGIME_PERIOD, UNIT_REGIME, BY_UNIT, BY_REGIME or TOTAL", request.by.to_string())
        })?;
        let rows_max = match request.page_size {
            0 => STATS_ROWS_DEFAULT,
            rows @ 1..=STATS_ROWS_MAX => rows,
            more => return Err(wrong("page_size", format!("at most {STATS_ROWS_MAX}"), more.to_string())),
        };
        let bound = pb::StatsRequest { page_size: 0, page_token: Bytes::new(), stale: false, ..request.clone() };
        let mut caller = vec![u8::from(party.has_role(&[Role::Operator]))];
        match party.units() {
            None => caller.push(1),
            Some(units) => units.iter().for_each(|unit| {
                caller.push(0);
                caller.extend_from_slice(unit.as_str().as_bytes());
            }),
        }
        Ok(Self {
            party: party.clone(),
            units: codes::<UnitCode>("units", &request.units)?,
            regimes: codes::<RegimeCode>("regimes", &request.regimes)?,
            range,
            days,
            by,
            as_of,
            rows_max: rows_max as usize,
            page_token: request.page_token,
            stale: request.stale,
            binding: binding(Call::Stats, &bound.encode_to_vec(), &caller),
        })
    }

    /// Whether a regime is asked about.
    pub fn asks_regime(&self, regime: &str) -> bool {
        self.regimes.is_empty() || self.regimes.contains(regime)
    }

    /// The years of the texts of its periods.
    pub fn years(&self) -> RangeInclusive<u16> {
        self.range.years()
    }

    /// Codes that were asked for and that the catalogue does not have.
    pub fn unknown(&self, catalogue: &Catalogue, size: u64) -> (Vec<String>, Vec<String>) {
        let of = |kind, codes: &BTreeSet<String>| {
            codes.iter().filter(|code| !catalogue.knows(kind, code, size)).cloned().collect()
        };
        (of(Kind::Regime, &self.regimes), of(Kind::Unit, &self.units))
    }

    /// Regimes that were asked for; none: all.
    pub fn regimes(&self) -> Option<&BTreeSet<String>> {
        (!self.regimes.is_empty()).then_some(&self.regimes)
    }

    /// Units whose records may be looked for whatever the catalogue says; none: all.
    pub fn senders(&self) -> Option<Vec<UnitCode>> {
        let asked = || self.units.iter().filter_map(|unit| unit.parse::<UnitCode>().ok());
        match self.party.units() {
            Some(own) if !self.party.has_role(&[Role::Operator]) => Some(
                own.iter()
                    .filter(|unit| self.units.is_empty() || self.units.contains(unit.as_str()))
                    .cloned()
                    .collect(),
            ),
            _ => (!self.units.is_empty()).then(|| asked().collect()),
        }
    }

    /// Whether the caller may read records at all.
    pub fn reads_records(&self) -> bool {
        self.party.has_role(&[Role::Reader])
    }

    /// Whether the caller may read this record.
    pub fn reads(&self, header: &Header) -> bool {
        self.reads_records() && self.party.sees(header)
    }

    /// Units that are asked about under a regime, and that the caller may ask about: its own, and those whose reports one of
    /// its own receives by the catalogue.
    pub fn units(&self, catalogue: &Catalogue, regime: &str, size: u64) -> BTreeSet<String> {
        let mut reporters = catalogue.reporters(regime, size);
        reporters.retain(|unit| self.units.is_empty() || self.units.contains(unit));
        let own = match self.party.units() {
            Some(own) if !self.party.has_role(&[Role::Operator]) => own,
            _ => return reporters,
        };
        if !own.iter().any(|unit| catalogue.receives(unit.as_str(), regime, size)) {
            reporters.retain(|unit| own.iter().any(|own| own.as_str() == unit));
        }
        reporters
    }
}
