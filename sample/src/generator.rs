//! Seeded reports: the same seed gives the same reports, for ever.

use serde_json::{Map, Value};

use crate::country::{Country, Unit, UnitKind};
use crate::draw::Draw;
use crate::regime::Regime;
use crate::{phrases, timetable};

/// Media type of every payload: the figures as JSON, an object, or an array of objects where the regime asks for rows.
pub const MEDIA_TYPE: &str = "application/json";
/// Rows of a table, at most.
const ROWS_MAX: u64 = 8;

/// A report, ready to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Code of the unit that reports.
    pub unit: String,
    /// Code of the regime.
    pub regime: String,
    /// Period, as the regime's frequency writes it.
    pub period: String,
    /// Subject within unit, regime and period; unlike that of every other report of this generator.
    pub series: String,
    /// Codes of those who may read it, ascending.
    pub receivers: Vec<String>,
    /// [`MEDIA_TYPE`].
    pub media_type: String,
    /// JSON in UTF-8.
    pub payload: Vec<u8>,
}

/// One unit's duty under one regime.
struct Duty {
    /// Places in the catalogue.
    regime: usize,
    unit: String,
    /// Reports handed in so far.
    done: u64,
}

/// An endless source of reports that takes its turns through all units and regimes.
pub struct Generator {
    country: Country,
    duties: Vec<Duty>,
    turn: usize,
    draw: Draw,
}

impl Generator {
    /// A generator whose reports depend on `seed` alone.
    pub fn new(seed: u64) -> Self {
        let country = Country::load();
        let mut draw = Draw::new(seed);
        let mut duties: Vec<Duty> = country
            .regimes()
            .iter()
            .enumerate()
            .flat_map(|(regime, duty)| {
                let reporters = country.reporters(duty);
                reporters.into_iter().map(move |unit| Duty { regime, unit: unit.code.clone(), done: 0 })
            })
            .collect();
        draw.shuffle(&mut duties);
        Self { country, duties, turn: 0, draw }
    }

    /// The next report. There is always one, so this is no `Iterator`.
    #[expect(clippy::should_implement_trait, reason = "an Option that is never None would be unwrapped everywhere")]
    pub fn next(&mut self) -> Report {
        let Self { country, duties, turn, draw } = self;
        let place = *turn % duties.len();
        let duty = &mut duties[place];
        *turn += 1;
        let n = duty.done;
        duty.done += 1;

        let regime = &country.regimes()[duty.regime];
        let unit = country.unit(&duty.unit).expect("duties are of units in the catalogue");
        let first = table(regime, unit, n, draw);
        let payload = match (regime.rows, first) {
            (true, rows) => Value::Array(rows.into_iter().map(Value::Object).collect()),
            (false, mut rows) => Value::Object(rows.swap_remove(0)),
        };
        let periods = timetable::count(regime.frequency, regime.history_from);
        Report {
            unit: unit.code.clone(),
            regime: regime.code.clone(),
            period: timetable::period(regime.frequency, regime.history_from, n % periods),
            series: series(regime, &payload, n / periods),
            receivers: receivers(country, regime, unit),
            media_type: MEDIA_TYPE.to_owned(),
            payload: serde_json::to_vec(&payload).expect("a JSON value has a text"),
        }
    }
}

/// The rows of the `n`th report of `unit`: one where the regime has no rows.
fn table(regime: &Regime, unit: &Unit, n: u64, draw: &mut Draw) -> Vec<Map<String, Value>> {
    let listed = regime.fields[0].one_of.as_slice();
    if !regime.rows {
        return vec![draw.row(regime, None, |key, draw| phrases::text(key, unit, n, draw))];
    }
    let count = 1 + draw.below(if listed.is_empty() { ROWS_MAX } else { ROWS_MAX.min(listed.len() as u64) });
    // a place or name stands in one row only
    let mut heads = listed.to_vec();
    draw.shuffle(&mut heads);
    let mut heads = heads.into_iter();
    (0..count).map(|_| draw.row(regime, heads.next(), |key, draw| phrases::text(key, unit, n, draw))).collect()
}

/// The subject's values; the round in front once all periods have had their turn.
fn series(regime: &Regime, payload: &Value, round: u64) -> String {
    let subject = regime.subject.iter().filter_map(|key| payload.get(key)?.as_str());
    let round = (round > 0).then(|| format!("lần {}", round + 1));
    round.as_deref().into_iter().chain(subject).collect::<Vec<_>>().join(" / ")
}

/// The centre, and the owner where another unit reports to it.
fn receivers(country: &Country, regime: &Regime, unit: &Unit) -> Vec<String> {
    let receives = |other: &&Unit| other.kind == UnitKind::Centre || other.code == regime.owner;
    let mut codes: Vec<String> = country
        .units()
        .iter()
        .filter(receives)
        .filter(|other| other.code != unit.code)
        .map(|other| other.code.clone())
        .collect();
    codes.sort();
    codes
}

#[cfg(test)]
mod tests;
