//! Rates that are raised step by step until the latency goal breaks: what a cluster holds, which a closed loop does not tell.

use std::str::FromStr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::report::Round;

/// Steps of a ramp, at most.
const STEPS_MAX: usize = 64;

/// Where it begins, how it goes on, where it ends at the latest: calls per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    from: f64,
    step: f64,
    to: Option<f64>,
}

impl FromStr for Rates {
    type Err = String;

    /// `FROM:STEP` or `FROM:STEP:TO`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected FROM:STEP or FROM:STEP:TO in calls per second, each above 0, found {text:?}");
        let parts: Vec<f64> = text.split(':').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        match parts[..] {
            _ if parts.iter().any(|part| !part.is_finite() || *part <= 0.0) => Err(wrong()),
            [from, step] => Ok(Self { from, step, to: None }),
            [from, step, to] if to >= from => Ok(Self { from, step, to: Some(to) }),
            _ => Err(wrong()),
        }
    }
}

impl Rates {
    fn steps(self) -> impl Iterator<Item = f64> {
        let rates = (0..STEPS_MAX).map(move |step| self.from + self.step * step as f64);
        rates.take_while(move |rate| self.to.is_none_or(|to| *rate <= to))
    }
}

/// One rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Calls per second that were asked for.
    pub rate_per_s: f64,
    /// Records per second that came of it.
    pub records_per_s: f64,
    /// 99th percentile, from the intended beginning.
    pub p99_ms: f64,
    /// Calls that failed.
    pub errors: u64,
    /// Arrivals without room, and calls without an end.
    pub lost: u64,
    /// Whether the goal held.
    pub held: bool,
}

/// A ramp.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ramp {
    /// What was done.
    pub label: String,
    /// The goal.
    pub p99_ms_max: f64,
    /// In order; the last one broke the goal, unless the ramp ended before.
    pub steps: Vec<Step>,
    /// Highest rate that held.
    pub held_per_s: Option<f64>,
}

/// Climbs: `round` measures one rate.
pub async fn climb(
    label: String,
    rates: Rates,
    p99_ms_max: f64,
    mut round: impl AsyncFnMut(f64) -> Result<Round>,
) -> Result<Ramp> {
    let mut ramp = Ramp { label, p99_ms_max, steps: Vec::new(), held_per_s: None };
    for rate_per_s in rates.steps() {
        let round = round(rate_per_s).await?;
        let (errors, lost, p99_ms) = (round.errors, round.lost(), round.latency.p99_ms);
        let held = p99_ms <= p99_ms_max && errors == 0 && lost == 0;
        ramp.steps.push(Step { rate_per_s, records_per_s: round.records_per_s, p99_ms, errors, lost, held });
        if !held {
            break;
        }
        ramp.held_per_s = Some(rate_per_s);
    }
    Ok(ramp)
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::round;
    use super::*;

    async fn climbed(rates: &str, broken: impl Fn(f64, &mut Round)) -> Ramp {
        let measure = async |rate: f64| {
            let mut round = round(rate, 1.0);
            broken(rate, &mut round);
            Ok(round)
        };
        climb("x".to_owned(), rates.parse().expect("rates"), 50.0, measure).await.expect("a ramp")
    }

    #[tokio::test]
    async fn a_ramp_ends_where_the_goal_breaks() {
        let slow =
            climbed("500:250", |rate, round| round.latency.p99_ms = if rate > 1_100.0 { 51.0 } else { 50.0 }).await;
        let rates: Vec<f64> = slow.steps.iter().map(|step| step.rate_per_s).collect();
        assert_eq!((rates, slow.held_per_s), (vec![500.0, 750.0, 1_000.0, 1_250.0], Some(1_000.0)));
        let failing = climbed("500:250", |rate, round| round.errors = u64::from(rate > 600.0)).await;
        assert_eq!((failing.steps.len(), failing.held_per_s), (2, Some(500.0)));
        let lost = climbed("500:250", |_, round| round.unfinished = 1).await;
        assert_eq!((lost.steps.len(), lost.held_per_s), (1, None));
    }

    #[tokio::test]
    async fn a_ramp_ends_where_it_was_told_to() {
        assert_eq!(climbed("100:100:350", |_, _| ()).await.held_per_s, Some(300.0));
        assert_eq!(climbed("100:100", |_, _| ()).await.steps.len(), STEPS_MAX);
        for wrong in ["", "100", "100:0", "-1:1", "100:100:50", "1:2:3:4", "a:b", "inf:1"] {
            assert!(wrong.parse::<Rates>().is_err(), "{wrong}");
        }
    }
}
