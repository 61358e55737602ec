//! The periods of a regime in order, and how they are written.

use time::{Date, Duration, Month};

use crate::regime::Frequency;

/// First year of a regime without a history of its own.
pub(crate) const FIRST_YEAR: i32 = 2016;
/// The year of the facts.
pub(crate) const LAST_YEAR: i32 = 2020;
/// Events of an ad-hoc regime per day.
const AD_HOC_PER_DAY: u64 = 12;

fn new_year(year: i32) -> Date {
    Date::from_calendar_date(year, Month::January, 1).expect("every year has a first of January")
}

/// Monday of the first ISO week.
fn first_monday(year: i32) -> Date {
    Date::from_iso_week_date(year, 1, time::Weekday::Monday).expect("every year has a first week")
}

fn days(from: Date, to: Date) -> u64 {
    (to - from).whole_days().unsigned_abs()
}

fn plus_days(date: Date, days: u64) -> Date {
    date + Duration::days(i64::try_from(days).expect("days of a few years"))
}

/// Months of one period of a calendar frequency.
fn months(frequency: Frequency) -> Option<u64> {
    match frequency {
        Frequency::Monthly => Some(1),
        Frequency::Quarterly => Some(3),
        Frequency::HalfYearly => Some(6),
        Frequency::Yearly => Some(12),
        Frequency::TwoYearly => Some(24),
        Frequency::Daily | Frequency::Weekly | Frequency::AdHoc => None,
    }
}

/// The year in which the first period starts: two-yearly periods end with an even year.
fn start_year(frequency: Frequency, history_from: Option<i32>) -> i32 {
    let year = history_from.unwrap_or(FIRST_YEAR);
    if frequency == Frequency::TwoYearly { year | 1 } else { year }
}

/// How many periods there are up to the end of 2020.
pub(crate) fn count(frequency: Frequency, history_from: Option<i32>) -> u64 {
    let (first, end) = (start_year(frequency, history_from), LAST_YEAR + 1);
    match months(frequency) {
        Some(months) => u64::from((end - first).unsigned_abs()) * 12 / months,
        None if frequency == Frequency::Weekly => days(first_monday(first), first_monday(end)) / 7,
        None if frequency == Frequency::AdHoc => days(new_year(first), new_year(end)) * AD_HOC_PER_DAY,
        None => days(new_year(first), new_year(end)),
    }
}

/// The `n`th period, from 0.
pub(crate) fn period(frequency: Frequency, history_from: Option<i32>, n: u64) -> String {
    let first = start_year(frequency, history_from);
    if let Some(months) = months(frequency) {
        let month = |n: u64| format!("{:04}-{:02}", first.unsigned_abs() as u64 + n / 12, n % 12 + 1);
        let from = n * months;
        return match frequency {
            Frequency::Monthly => month(from),
            Frequency::Yearly => format!("{:04}", first.unsigned_abs() as u64 + n),
            _ => format!("{}/{}", month(from), month(from + months - 1)),
        };
    }
    let date = |date: Date| format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day());
    match frequency {
        Frequency::Weekly => {
            let (year, week, _) = plus_days(first_monday(first), n * 7).to_iso_week_date();
            format!("{year:04}-W{week:02}")
        }
        Frequency::AdHoc => {
            let (hour, minute) = (7 + n % AD_HOC_PER_DAY, n * 7 % 60);
            format!("{}T{hour:02}:{minute:02}:00+07:00", date(plus_days(new_year(first), n / AD_HOC_PER_DAY)))
        }
        _ => date(plus_days(new_year(first), n)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn first_and_last_period_of_each_frequency() {
        for (frequency, history_from, first, last) in [
            (Frequency::Daily, None, "2016-01-01", "2020-12-31"),
            (Frequency::Daily, Some(2011), "2011-01-01", "2020-12-31"),
            (Frequency::Weekly, None, "2016-W01", "2020-W53"),
            (Frequency::Monthly, Some(2010), "2010-01", "2020-12"),
            (Frequency::Quarterly, None, "2016-01/2016-03", "2020-10/2020-12"),
            (Frequency::HalfYearly, None, "2016-01/2016-06", "2020-07/2020-12"),
            (Frequency::Yearly, None, "2016", "2020"),
            (Frequency::TwoYearly, None, "2017-01/2018-12", "2019-01/2020-12"),
            (Frequency::AdHoc, None, "2016-01-01T07:00:00+07:00", "2020-12-31T18:41:00+07:00"),
        ] {
            let count = count(frequency, history_from);
            assert_eq!(period(frequency, history_from, 0), first);
            assert_eq!(period(frequency, history_from, count - 1), last, "{frequency:?}");
            let all: BTreeSet<_> = (0..count).map(|n| period(frequency, history_from, n)).collect();
            assert_eq!(all.len() as u64, count, "{frequency:?}: every period once");
        }
    }
}
