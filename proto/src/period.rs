//! Periods that a report covers. One text per value, so that a period can be compared as bytes.
//!
//! ```text
//! day      2020-06-12
//! week     2020-W24                     ISO 8601 week
//! month    2020-06
//! year     2020
//! months   2020-01/2020-03              first and last month, first < last
//! ad hoc   2020-06-12T08:30:00+07:00    RFC 3339 in Vietnam's zone, whole seconds
//! ```

use std::fmt;
use std::str::FromStr;

use time::{Date, Month};

use crate::error::{Code, excerpt};

/// Bytes of the longest period text.
pub const PERIOD_LENGTH_MAX: usize = 25;
/// Years that a period may name.
pub const YEARS: std::ops::RangeInclusive<u16> = 1900..=9999;

/// A period of the grammar. Made by [`FromStr`] only, so every value is a real date, week or span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Day(Day),
    Week { year: u16, week: u8 },
    Month(YearMonth),
    Year(u16),
    Months { first: YearMonth, last: YearMonth },
    Moment { day: Day, hour: u8, minute: u8, second: u8 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct YearMonth {
    year: u16,
    month: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Day {
    month: YearMonth,
    day: u8,
}

/// A text that is no period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a period such as 2020-06-12, 2020-W24, 2020-06, 2020, 2020-01/2020-03 or 2020-06-12T08:30:00+07:00, found {}",
    excerpt(.found)
)]
pub struct Error {
    /// What was given.
    pub found: String,
}

impl Error {
    /// `period-invalid`.
    pub fn code(&self) -> Code {
        Code::PeriodInvalid
    }
}

impl FromStr for Period {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map(Period).ok_or_else(|| Error { found: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Kind> {
    if !text.is_ascii() {
        return None;
    }
    match text.len() {
        4 => year(text).map(Kind::Year),
        7 => year_month(text).map(Kind::Month),
        8 => {
            let (year, week) = (year(&text[..4])?, digits(text[4..].strip_prefix("-W")?)?);
            let last = time::util::weeks_in_year(i32::from(year));
            (1..=u16::from(last)).contains(&week).then_some(Kind::Week { year, week: u8::try_from(week).ok()? })
        }
        10 => day(text).map(Kind::Day),
        15 => {
            let (first, last) = text.split_once('/')?;
            let (first, last) = (year_month(first)?, year_month(last)?);
            (first < last).then_some(Kind::Months { first, last })
        }
        PERIOD_LENGTH_MAX => {
            let day = day(&text[..10])?;
            let time = text[10..].strip_prefix('T')?.strip_suffix("+07:00")?;
            let (hour, minute, second) = clock(time)?;
            Some(Kind::Moment { day, hour, minute, second })
        }
        _ => None,
    }
}

/// The number in `text`, which must be decimal digits only.
pub(crate) fn digits(text: &str) -> Option<u16> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// `HH:MM:SS`; no leap second.
pub(crate) fn clock(text: &str) -> Option<(u8, u8, u8)> {
    let bytes = text.as_bytes();
    if bytes.len() != 8 || bytes[2] != b':' || bytes[5] != b':' {
        return None;
    }
    let part = |from: usize, limit: u16| {
        digits(text.get(from..from + 2)?).filter(|n| *n < limit).and_then(|n| u8::try_from(n).ok())
    };
    Some((part(0, 24)?, part(3, 60)?, part(6, 60)?))
}

fn year(text: &str) -> Option<u16> {
    digits(text).filter(|year| YEARS.contains(year))
}

fn year_month(text: &str) -> Option<YearMonth> {
    if text.len() != 7 || text.as_bytes()[4] != b'-' {
        return None;
    }
    let month = digits(&text[5..]).filter(|month| (1..=12).contains(month))?;
    Some(YearMonth { year: year(&text[..4])?, month: u8::try_from(month).ok()? })
}

fn day(text: &str) -> Option<Day> {
    let month = year_month(&text[..7])?;
    let day = u8::try_from(digits(text[7..].strip_prefix('-')?)?).ok()?;
    let in_calendar = Month::try_from(month.month).ok()?;
    Date::from_calendar_date(i32::from(month.year), in_calendar, day).ok()?;
    Some(Day { month, day })
}

impl fmt::Display for YearMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:02}", self.month, self.day)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Day(day) => day.fmt(f),
            Kind::Week { year, week } => write!(f, "{year:04}-W{week:02}"),
            Kind::Month(month) => month.fmt(f),
            Kind::Year(year) => write!(f, "{year:04}"),
            Kind::Months { first, last } => write!(f, "{first}/{last}"),
            Kind::Moment { day, hour, minute, second } => {
                write!(f, "{day}T{hour:02}:{minute:02}:{second:02}+07:00")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Period;

    #[test]
    fn accepts_the_grammar_and_prints_it_again() {
        for text in [
            "2020-06-12",
            "2020-02-29",
            "2020-W01",
            "2020-W53", // 2020 has 53 ISO weeks
            "2020-06",
            "2020",
            "2020-01/2020-03",
            "2020-01/2021-12",
            "2020-06-12T08:30:00+07:00",
        ] {
            assert_eq!(text.parse::<Period>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "20",
            "2020-",
            "2020-6",
            "2020-13",
            "2020-00",
            "0001",
            "+202",
            "2020-06-31",
            "2019-02-29",
            "2020-06-00",
            "2019-W53", // 2019 has 52
            "2020-W00",
            "2020-w24",
            "2020-W+1",
            "2020-03/2020-03",
            "2020-03/2020-01",
            "2020-01/2020",
            "2020-01-2020-03",
            "2020-06-12T08:30:00Z",
            "2020-06-12T08:30:00+00:00",
            "2020-06-12T08:30:60+07:00",
            "2020-06-12T24:00:00+07:00",
            "2020-06-12 08:30:00+07:00",
            "2020-06-12T08:30:00.000+07:00",
            " 2020",
            "２０２０",
            "202ạ-06",
        ] {
            assert!(text.parse::<Period>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_prints_what_it_read(text in "[0-9W/T:+Zạ.-]{0,26}") {
            if let Ok(period) = text.parse::<Period>() {
                prop_assert_eq!(period.to_string(), text);
            }
        }

        #[test]
        fn days_agree_with_the_calendar(year in 1900u16..2200, month in 0u8..14, day in 0u8..33) {
            let text = format!("{year:04}-{month:02}-{day:02}");
            let real = time::Month::try_from(month)
                .is_ok_and(|month| time::Date::from_calendar_date(i32::from(year), month, day).is_ok());
            prop_assert_eq!(text.parse::<Period>().is_ok(), real);
        }
    }
}
