//! What statistics leave out, since no duty of the catalogue covers it: a number that is silent about it would be taken for all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;

use kho_catalogue::Kind;
use kho_ledger::select::{Budget, KEY_WORK, Pair, first_accepted_from, sent, sent_pair};
use kho_proto::error::Refusal;
use kho_proto::id::{DRILL_UNIT, RegimeCode, Seq, Token, UnitCode};
use kho_proto::pb::v1::StatsLeftOut;
use kho_proto::period::Period;

use super::super::list::Stop;
use super::super::open::{Error, Opener};
use super::super::scans::{BYTES_PER_WORK, CALL_WORK_MAX, HEAD_WORK};
use super::tally::{DUTY_WORK, Tally};

/// Regimes that are told, at most: who sees so many knows what to do.
const REGIMES_MAX: usize = 20;
/// Work of looking for them: most of a call is for the rows. Enough for some 3,000 pairs of a unit and a regime.
const WORK_MAX: u64 = CALL_WORK_MAX / 4;

/// What no row counts, and what the catalogue does not have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeftOut {
    /// By regime.
    pub records: Vec<StatsLeftOut>,
    /// There may be more.
    pub more: bool,
    /// Regimes in the catalogue; none: it was not looked.
    pub catalogue_regimes: Option<u32>,
    /// Regimes that were asked for and that it does not have.
    pub unknown_regimes: Vec<String>,
    /// Units likewise.
    pub unknown_units: Vec<String>,
}

/// Of one regime.
struct Found {
    records: u64,
    first: Seq,
}

/// Which work is left, of a part of the call's.
struct Left(u64);

impl Left {
    fn spend(&mut self, work: u64, budget: &mut Budget<'_>) {
        self.0 = self.0.saturating_sub(work);
        budget.spend(work);
    }

    fn over(&self, budget: &mut Budget<'_>) -> bool {
        self.0 == 0 || budget.over()
    }
}

impl Tally<'_> {
    /// Looks at each pair of a unit and a regime that something was sent under: a seek each, and the keys of those that no duty
    /// covers.
    pub fn left_out(&self, opener: &Opener, budget: &mut Budget<'_>) -> Result<LeftOut, Refusal> {
        let (question, catalogue, tokens) = (self.question, self.catalogue, self.tokens);
        let known: Vec<&str> =
            catalogue.codes(Kind::Regime, None).filter(|code| catalogue.knows(Kind::Regime, code, self.size)).collect();
        let (unknown_regimes, unknown_units) = question.unknown(catalogue, self.size);
        let catalogue_regimes = Some(u32::try_from(known.len()).unwrap_or(u32::MAX));
        let mut left_out = LeftOut { catalogue_regimes, unknown_regimes, unknown_units, ..LeftOut::default() };

        let mut left = Left(WORK_MAX);
        let regime_token = |code: &str| code.parse::<RegimeCode>().ok().map(|code| tokens.regime(&code));
        let unit_token = |code: &str| code.parse::<UnitCode>().ok().map(|code| tokens.unit(&code));
        let mut units_tokens: HashMap<String, Option<Token>> = HashMap::new();
        let mut covered: HashSet<Pair> = HashSet::new();
        for regime in known.iter().filter(|regime| question.asks_regime(regime)) {
            let Some(token) = regime_token(regime) else { continue };
            for unit in question.units(catalogue, regime, self.size) {
                // what is not known to be covered would be told as left out
                if left.over(budget) {
                    return Ok(LeftOut { more: true, ..left_out });
                }
                left.spend(KEY_WORK, budget);
                let unit = *units_tokens.entry(unit).or_insert_with_key(|unit| unit_token(unit));
                covered.extend(unit.map(|unit| (unit, token)));
            }
        }
        // the catalogue's own records and those of drills are no reports
        let reserved: HashSet<Token> = Kind::ALL.iter().map(|kind| tokens.regime(&kind.regime())).collect();
        let drill = unit_token(DRILL_UNIT);
        let asked: Option<HashMap<Token, &str>> = question
            .regimes()
            .map(|codes| codes.iter().filter_map(|code| Some((regime_token(code)?, code.as_str()))).collect());
        let scopes: Vec<Option<Token>> = match question.senders() {
            Some(units) => units.iter().map(|unit| Some(tokens.unit(unit))).collect(),
            None => vec![None],
        };

        let size = first_accepted_from(self.view, self.size, self.as_of).map_err(Error::from)?.0;
        let mut found = BTreeMap::<Token, Found>::new();
        'scopes: for scope in scopes {
            let mut after = None;
            while let Some(pair) = sent_pair(self.view, scope.as_ref(), after.as_ref()).map_err(Error::from)? {
                left.spend(DUTY_WORK, budget);
                if left.over(budget) {
                    left_out.more = true;
                    break 'scopes;
                }
                after = Some(pair);
                let (unit, regime) = pair;
                let other = asked.as_ref().is_some_and(|asked| !asked.contains_key(&regime));
                if other || covered.contains(&pair) || reserved.contains(&regime) || Some(unit) == drill {
                    continue;
                }
                if let Some((records, first)) = self.of_pair(&pair, size, &mut left, budget)? {
                    if found.len() == REGIMES_MAX && !found.contains_key(&regime) {
                        left_out.more = true;
                        continue;
                    }
                    found.entry(regime).or_insert(Found { records: 0, first }).records += records;
                }
                // the pair's own count may have been cut
                if left.over(budget) {
                    left_out.more = true;
                    break 'scopes;
                }
            }
        }
        let names: HashMap<Token, &str> = known.iter().filter_map(|code| Some((regime_token(code)?, *code))).collect();
        for (token, Found { records, first }) in found {
            let in_catalogue = names.contains_key(&token);
            let name = names.get(&token).or_else(|| asked.as_ref().and_then(|asked| asked.get(&token)));
            let regime = match name {
                Some(name) => (*name).to_owned(),
                None => self.regime_of(first, opener, budget)?.unwrap_or_default(),
            };
            left_out.records.push(StatsLeftOut { regime, records, in_catalogue });
        }
        left_out.records.sort_by(|one, other| one.regime.cmp(&other.regime));
        Ok(left_out)
    }

    /// How many records of the periods asked for, and the first of them.
    fn of_pair(
        &self,
        (unit, regime): &Pair,
        size: u64,
        left: &mut Left,
        budget: &mut Budget<'_>,
    ) -> Result<Option<(u64, Seq)>, Refusal> {
        let question = self.question;
        let mut found: Option<(u64, Seq)> = None;
        let counted = sent::<Stop>(self.view, (unit, regime), question.years(), None, &mut |period, seq| {
            left.spend(KEY_WORK, budget);
            if seq.0 < size && period.parse::<Period>().is_ok_and(|period| question.range.contains(&period)) {
                let (records, first) = found.get_or_insert((0, seq));
                (*records, *first) = (*records + 1, seq.min(*first));
            }
            Ok(if left.over(budget) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        counted.map_err(|Stop(refusal)| refusal)?;
        Ok(found)
    }

    /// The regime's code out of a record of it, for those who may read that. A record that does not open takes its name along,
    /// and not the count.
    fn regime_of(&self, seq: Seq, opener: &Opener, budget: &mut Budget<'_>) -> Result<Option<String>, Refusal> {
        if !self.question.reads_records() {
            return Ok(None);
        }
        let Some(leaf) = kho_ledger::leaf(self.view, seq).map_err(Error::from)? else { return Ok(None) };
        match opener.header(self.view, seq, &leaf) {
            Ok((header, read)) => {
                budget.spend(HEAD_WORK + read as u64 / BYTES_PER_WORK);
                Ok(self.question.reads(&header).then(|| header.regime.to_string()))
            }
            Err(error) => {
                budget.spend(HEAD_WORK);
                // counted and logged as any record that can't be served
                let refusal = Refusal::from(error);
                tracing::warn!(%seq, %refusal, "a regime that the catalogue does not have stays without its name");
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
