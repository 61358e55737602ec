//! Periods of a frequency, the time that their figures are of, and when they are due.
//!
//! Decree 09/2019/ND-CP, article 12: a month's figures are of the 15th of the month before to the 14th of the month; those
//! of quarters, halves and years end on the 14th of their last month and begin on the 15th of the month before their first.

use kho_proto::id::UnixMs;
use kho_proto::period::Period;

use crate::day::Day;
use crate::document::{Deadline, Frequency};

/// When a period's report is due, by its regime's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The first moment of the time that the figures are of: nothing is taken before.
    pub begins: UnixMs,
    /// The first moment after the deadline; none: it is never late.
    pub ends: Option<UnixMs>,
}

/// Months of a period of a frequency by months.
fn months(frequency: Frequency) -> Option<i64> {
    Some(match frequency {
        Frequency::Monthly => 1,
        Frequency::Quarterly => 3,
        Frequency::HalfYearly => 6,
        Frequency::Yearly => 12,
        Frequency::TwoYearly => 24,
        Frequency::Daily | Frequency::Weekly | Frequency::AdHoc => return None,
    })
}

/// The period of a frequency that holds a day; two-yearly ones end with an even year. None of ad-hoc regimes.
fn holding(frequency: Frequency, day: Day) -> Option<Period> {
    let (year, month, _) = day.calendar();
    let text = match frequency {
        Frequency::AdHoc => return None,
        Frequency::Daily => day.to_string(),
        Frequency::Weekly => {
            let (year, week) = day.week();
            format!("{year:04}-W{week:02}")
        }
        Frequency::Monthly => format!("{year:04}-{month:02}"),
        Frequency::Yearly => format!("{year:04}"),
        Frequency::Quarterly | Frequency::HalfYearly => {
            let length = months(frequency)?;
            let first = (month - 1) / length * length + 1;
            format!("{year:04}-{first:02}/{year:04}-{:02}", first + length - 1)
        }
        Frequency::TwoYearly => {
            let last = year + year % 2;
            format!("{:04}-01/{last:04}-12", last - 1)
        }
    };
    text.parse().ok()
}

/// Whether a period is one of a frequency.
pub fn is_of(frequency: Frequency, period: &Period) -> bool {
    match frequency {
        Frequency::AdHoc => period.to_string().contains('T'),
        _ => holding(frequency, Day::first_of(period)).as_ref() == Some(period),
    }
}

/// The periods of a frequency that lie wholly between two days, in order. None of ad-hoc regimes.
pub fn periods(frequency: Frequency, first: Day, last: Day) -> impl Iterator<Item = Period> {
    let mut at = first;
    std::iter::from_fn(move || {
        while at <= last {
            let period = holding(frequency, at)?;
            let (begin, end) = (Day::first_of(&period), Day::last_of(&period));
            at = end.plus(1);
            if end > last {
                return None;
            }
            if begin >= first {
                return Some(period);
            }
        }
        None
    })
}

/// First and last day of what a period's figures are of.
fn window(frequency: Frequency, cutoff_day: Option<u8>, period: &Period) -> (Day, Day) {
    let (first, last) = (Day::first_of(period), Day::last_of(period));
    let (Some(day), Some(_)) = (cutoff_day, months(frequency)) else { return (first, last) };
    let ((first_year, first_month, _), (last_year, last_month, _)) = (first.calendar(), last.calendar());
    let begin = Day::of(first_year, first_month - 1, day).unwrap_or(first);
    let end = Day::of(last_year, last_month, day).map_or(last, |day| day.plus(-1));
    (begin, end)
}

/// When a report is due. `cutoff_day` is the day of the month on which the next period's figures begin.
pub fn due(frequency: Frequency, cutoff_day: Option<u8>, deadline: Option<Deadline>, period: &Period) -> Due {
    let (first, last) = window(frequency, cutoff_day, period);
    let within = period.span();
    let moment_ms = |day: Day, seconds: i64| day.begin().0 + u64::try_from(seconds).unwrap_or(0) * 1000;
    let (begins, ended) = match frequency {
        Frequency::AdHoc => {
            let seconds = within.start.rem_euclid(86_400);
            (UnixMs(moment_ms(first, seconds)), UnixMs(moment_ms(first, seconds)))
        }
        _ => (first.begin(), last.plus(1).begin()),
    };
    let ends = deadline.map(|deadline| match deadline {
        Deadline::DayOfMonth { day, months_after } => {
            let (year, month, _) = Day::last_of(period).calendar();
            let day = Day::of(year, month + i64::from(months_after), day).unwrap_or(last);
            day.plus(1).begin()
        }
        Deadline::DaysAfter(days) => last.plus(i64::from(days) + 1).begin(),
        Deadline::HoursAfter(hours) => UnixMs(ended.0 + u64::from(hours) * 3_600_000),
    });
    Due { begins, ends }
}

#[cfg(test)]
mod tests {
    use kho_proto::header::SubmittedAt;

    use super::*;

    fn period(text: &str) -> Period {
        text.parse().expect(text)
    }

    fn told(frequency: Frequency, cutoff: Option<u8>, deadline: Deadline, text: &str) -> (String, String) {
        let due = due(frequency, cutoff, Some(deadline), &period(text));
        let write = |at: UnixMs| SubmittedAt::from_unix_ms(at).to_string();
        (write(due.begins), write(due.ends.expect("a deadline")))
    }

    fn check(frequency: Frequency, cutoff: Option<u8>, deadline: Deadline, text: &str, begins: &str, ends: &str) {
        let midnight = |day: &str| format!("{day}T00:00:00.000+07:00");
        assert_eq!(told(frequency, cutoff, deadline, text), (midnight(begins), midnight(ends)), "{text}");
    }

    /// R-E3
    #[test]
    fn figures_are_of_the_15th_to_the_14th_and_due_through_the_25th() {
        let on_25th = Deadline::DayOfMonth { day: 25, months_after: 0 };
        for (frequency, text, begins, ends) in [
            (Frequency::Monthly, "2020-01", "2019-12-15", "2020-01-26"),
            (Frequency::Monthly, "2020-03", "2020-02-15", "2020-03-26"),
            (Frequency::Quarterly, "2020-01/2020-03", "2019-12-15", "2020-03-26"),
            (Frequency::Quarterly, "2020-10/2020-12", "2020-09-15", "2020-12-26"),
            (Frequency::HalfYearly, "2020-07/2020-12", "2020-06-15", "2020-12-26"),
            (Frequency::Yearly, "2020", "2019-12-15", "2020-12-26"),
            (Frequency::TwoYearly, "2019-01/2020-12", "2018-12-15", "2020-12-26"),
        ] {
            check(frequency, Some(15), on_25th, text, begins, ends);
        }
    }

    #[test]
    fn deadlines_of_other_kinds() {
        let month_end = Deadline::DayOfMonth { day: 31, months_after: 0 };
        check(Frequency::Monthly, None, month_end, "2020-02", "2020-02-01", "2020-03-01");
        check(Frequency::Monthly, None, month_end, "2020-12", "2020-12-01", "2021-01-01");
        let next = Deadline::DayOfMonth { day: 10, months_after: 1 };
        check(Frequency::Quarterly, None, next, "2020-10/2020-12", "2020-10-01", "2021-01-11");
        check(Frequency::Daily, Some(15), Deadline::DaysAfter(0), "2020-12-31", "2020-12-31", "2021-01-01");
        check(Frequency::Weekly, None, Deadline::DaysAfter(2), "2020-W53", "2020-12-28", "2021-01-06");
        check(Frequency::Monthly, Some(15), Deadline::DaysAfter(5), "2020-01", "2019-12-15", "2020-01-20");
        let (begins, ends) = told(Frequency::AdHoc, None, Deadline::HoursAfter(24), "2020-12-31T08:30:00+07:00");
        assert_eq!(
            (begins.as_str(), ends.as_str()),
            ("2020-12-31T08:30:00.000+07:00", "2021-01-01T08:30:00.000+07:00")
        );
        assert_eq!(due(Frequency::Daily, None, None, &period("2020-06-12")).ends, None);
    }

    #[test]
    fn a_period_is_of_one_frequency() {
        use Frequency::*;
        let all = [Daily, Weekly, Monthly, Quarterly, HalfYearly, Yearly, TwoYearly, AdHoc];
        for (text, of) in [
            ("2020-06-12", Some(Daily)),
            ("2020-W53", Some(Weekly)),
            ("2021-W01", Some(Weekly)),
            ("2020-06", Some(Monthly)),
            ("2020-04/2020-06", Some(Quarterly)),
            ("2020-07/2020-12", Some(HalfYearly)),
            ("2020", Some(Yearly)),
            ("2019-01/2020-12", Some(TwoYearly)),
            ("2020-06-12T08:30:00+07:00", Some(AdHoc)),
            ("2020-02/2020-04", None),
            ("2020-01/2020-12", None),
            ("2020-01/2021-12", None),
        ] {
            for frequency in all {
                assert_eq!(is_of(frequency, &period(text)), Some(frequency) == of, "{text} {frequency:?}");
            }
        }
    }

    #[test]
    fn periods_of_a_range() {
        let of = |frequency, from: &str, to: &str| {
            let (from, to) = (from.parse().expect(from), to.parse().expect(to));
            periods(frequency, from, to).map(|period| period.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(Frequency::Monthly, "2020-11-01", "2021-01-31"), ["2020-11", "2020-12", "2021-01"]);
        assert_eq!(of(Frequency::Monthly, "2020-11-02", "2021-01-30"), ["2020-12"]);
        assert_eq!(
            of(Frequency::Weekly, "2020-12-01", "2021-01-10"),
            ["2020-W50", "2020-W51", "2020-W52", "2020-W53", "2021-W01"]
        );
        assert_eq!(of(Frequency::Quarterly, "2020-01-01", "2020-06-30"), ["2020-01/2020-03", "2020-04/2020-06"]);
        assert_eq!(of(Frequency::TwoYearly, "2016-01-01", "2020-12-31"), ["2017-01/2018-12", "2019-01/2020-12"]);
        assert_eq!(of(Frequency::Daily, "2020-02-28", "2020-03-01"), ["2020-02-28", "2020-02-29", "2020-03-01"]);
        assert!(of(Frequency::AdHoc, "2020-01-01", "2020-12-31").is_empty());
        assert!(of(Frequency::Daily, "2020-02-28", "2020-02-27").is_empty());
        assert_eq!(of(Frequency::Yearly, "9998-01-01", "9999-12-31"), ["9998", "9999"]);
    }
}
