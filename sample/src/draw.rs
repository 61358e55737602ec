//! The seeded source, and how a row of figures is drawn from it so that limits and checks hold.
//!
//! `SplitMix64` (Steele, Lea, Flood 2014) rather than a library's generator: the reports of a seed are
//! golden, and no upgrade may change them. Nothing here is secret.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::check::{Check, Relation};
use crate::decimal;
use crate::regime::{Field, FieldType, Regime};

/// Figures are drawn below this many whole units, where the field's limits allow it.
const USUAL_MAX: i64 = 20_000;

/// A seeded source.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `bound - 1`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// From `min` to `max`, both included.
    fn between(&mut self, min: i64, max: i64) -> i64 {
        let width = u64::try_from(max - min).expect("min is at most max");
        min + i64::try_from(self.below(width + 1)).expect("below an i64")
    }

    /// One of `items`.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[usize::try_from(self.below(items.len() as u64)).expect("below a usize")]
    }

    /// Fisher-Yates.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).expect("below a usize");
            items.swap(last, other);
        }
    }

    /// A row of `regime`. `head` stands in the first field; texts come from `text`.
    pub(crate) fn row(
        &mut self,
        regime: &Regime,
        head: Option<String>,
        mut text: impl FnMut(&str, &mut Draw) -> String,
    ) -> Map<String, Value> {
        let figures = self.figures(regime);
        let mut row = Map::new();
        for (place, field) in regime.fields.iter().enumerate() {
            let value = match (field.kind, &head) {
                (_, Some(head)) if place == 0 => Value::from(head.as_str()),
                (FieldType::Integer, _) => Value::from(figures[&field.key]),
                (FieldType::Decimal, _) => Value::from(decimal::format(figures[&field.key], field.scale)),
                _ if !field.one_of.is_empty() => {
                    let listed: Vec<&str> = field.one_of.iter().map(String::as_str).collect();
                    Value::from(self.pick(&listed))
                }
                _ => Value::from(text(&field.key, self)),
            };
            let wanted = field
                .required_if
                .as_ref()
                .is_none_or(|condition| row.get(&condition.key).and_then(Value::as_str) == Some(&condition.value));
            if wanted {
                row.insert(field.key.clone(), value);
            }
        }
        row
    }

    /// All numbers of a row, in units of 10^-scale. A sum is computed from its terms, never drawn.
    fn figures(&mut self, regime: &Regime) -> BTreeMap<String, i64> {
        let mut drawn = BTreeMap::new();
        for check in regime.checks.iter().filter(|check| check.relation == Relation::Equal) {
            self.sum(regime, check, &mut drawn);
        }
        for check in regime.checks.iter().filter(|check| check.relation == Relation::AtMost) {
            let most = check.sum(|key| drawn.get(key).copied());
            let (min, max) = limits(regime.field(&check.left).expect("checks name fields"));
            let most = most.expect("what bounds another figure is drawn by then").clamp(min, max);
            drawn.insert(check.left.clone(), self.between(min, most));
        }
        for field in &regime.fields {
            if matches!(field.kind, FieldType::Integer | FieldType::Decimal) && !drawn.contains_key(&field.key) {
                let (min, max) = usual(field);
                drawn.insert(field.key.clone(), self.between(min, max));
            }
        }
        drawn
    }

    /// Draws the terms of `check` so that the sum keeps within its own limits, and computes it.
    fn sum(&mut self, regime: &Regime, check: &Check, drawn: &mut BTreeMap<String, i64>) {
        let field = |key: &str| regime.field(key).expect("checks name fields");
        let (least, most) = limits(field(&check.left));
        let added = check.terms.iter().filter(|(sign, _)| *sign > 0).count();
        for (_, key) in check.terms.iter().filter(|(sign, _)| *sign > 0) {
            let (min, max) = usual(field(key));
            let share = (most / i64::try_from(added).expect("a few terms")).clamp(min, max);
            drawn.insert(key.clone(), self.between(min, share));
        }
        // what may be taken away before the sum falls below its least value
        let sum: i64 = check.terms.iter().filter(|(sign, _)| *sign > 0).map(|(_, key)| drawn[key]).sum();
        let mut room = sum - least;
        for (_, key) in check.terms.iter().filter(|(sign, _)| *sign < 0) {
            let (min, max) = usual(field(key));
            let taken = self.between(min, room.clamp(min, max));
            room -= taken;
            drawn.insert(key.clone(), taken);
        }
        let sum = check.sum(|key| drawn.get(key).copied()).expect("all terms are drawn");
        drawn.insert(check.left.clone(), sum);
    }
}

/// Limits in units of 10^-scale.
fn limits(field: &Field) -> (i64, i64) {
    let one = 10_i64.pow(field.scale);
    (field.min.unwrap_or(0) * one, field.max.unwrap_or(USUAL_MAX) * one)
}

/// The part of the limits that looks like life.
fn usual(field: &Field) -> (i64, i64) {
    let (min, max) = limits(field);
    let usual = USUAL_MAX * 10_i64.pow(field.scale);
    (min.max(-usual / 1_000), max.min(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_of_the_reference() {
        // https://prng.di.unimi.it/splitmix64.c, seed 1234567
        let mut draw = Draw::new(1_234_567);
        assert_eq!([draw.next(), draw.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..50).collect();
        Draw::new(3).shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
