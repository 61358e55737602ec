//! Where a step of statistics ended.

use kho_proto::id::Seq;

use super::super::page::Place;

/// Behind every period's text: a duty that is done.
const DONE: &str = "~";
/// Behind a sequence number: the correction that came with it, or before, was counted.
const CORRECTED: &str = "+";

/// What was counted last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Last {
    pub regime: String,
    pub unit: String,
    pub behind: Behind,
}

/// How much of a duty was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Behind {
    /// All of it.
    Duty,
    /// All up to this period.
    Period(String),
    /// All before this period, and of what was sent for it all up to a record. A unit may send more for one period than a step
    /// can count.
    Record { period: String, seq: Seq, corrected: bool },
}

impl Last {
    pub fn place(&self) -> Place {
        let (regime, unit) = (self.regime.as_str(), self.unit.as_str());
        match &self.behind {
            Behind::Duty => Place::names(&[regime, unit, DONE]),
            Behind::Period(period) => Place::names(&[regime, unit, period]),
            Behind::Record { period, seq, corrected } => {
                let seq = format!("{}{}", seq.0, if *corrected { CORRECTED } else { "" });
                Place::inside(&[regime, unit, period, &seq])
            }
        }
    }

    /// None: it is no place of statistics.
    pub fn of(place: &Place) -> Option<Self> {
        if let Place::Inside(_) = place {
            let [regime, unit, period, seq] = place.read_names()?;
            let (number, corrected) = seq.strip_suffix(CORRECTED).map_or((&seq[..], false), |number| (number, true));
            let behind = Behind::Record { period, seq: Seq(number.parse().ok()?), corrected };
            return Some(Self { regime, unit, behind });
        }
        let [regime, unit, period] = place.read_names()?;
        let behind = if period == DONE { Behind::Duty } else { Behind::Period(period) };
        Some(Self { regime, unit, behind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let period = || "2020-06".to_owned();
        for behind in [
            Behind::Duty,
            Behind::Period(period()),
            Behind::Record { period: period(), seq: Seq(u64::MAX), corrected: true },
            Behind::Record { period: period(), seq: Seq(0), corrected: false },
        ] {
            let last = Last { regime: "YT-01".to_owned(), unit: "BYT".to_owned(), behind };
            assert_eq!(Last::of(&last.place()), Some(last));
        }
        for other in [Place::Revision(1), Place::names(&["A", "B"]), Place::inside(&["A", "B", "2020", "x"])] {
            assert_eq!(Last::of(&other), None, "{other:?}");
        }
    }
}
