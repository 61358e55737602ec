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
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use time::{Date, Month, Weekday};

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

/// Seconds of a day; Vietnam's clocks are never changed.
const DAY: i64 = 86_400;

impl Period {
    /// The time that it covers, from its first second to the first one after it, counted in Vietnam's zone from Julian
    /// day 0. Only to be compared with other spans.
    pub fn span(&self) -> Range<i64> {
        let month_end = |month: YearMonth| month.next().first_day();
        match self.0 {
            Kind::Day(day) => day.number() * DAY..(day.number() + 1) * DAY,
            Kind::Week { year, week } => {
                let monday = Date::from_iso_week_date(i32::from(year), week, Weekday::Monday);
                let first = i64::from(monday.expect("the grammar takes weeks that exist").to_julian_day());
                first * DAY..(first + 7) * DAY
            }
            Kind::Month(month) => month.first_day() * DAY..month_end(month) * DAY,
            Kind::Year(year) => {
                let month = |month| YearMonth { year, month };
                month(1).first_day() * DAY..month_end(month(12)) * DAY
            }
            Kind::Months { first, last } => first.first_day() * DAY..month_end(last) * DAY,
            Kind::Moment { day, hour, minute, second } => {
                let within = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
                let at = day.number() * DAY + within;
                at..at + 1
            }
        }
    }
}

/// The periods, of whatever kind, that lie wholly between the first second of one and the last second of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodRange {
    span: Range<i64>,
    years: RangeInclusive<u16>,
}

impl PeriodRange {
    /// From one period to another, both included; none: without that end. No range if the second ends before the first
    /// begins.
    pub fn new(from: Option<&Period>, to: Option<&Period>) -> Option<Self> {
        let start = from.map_or(i64::MIN, |from| from.span().start);
        let end = to.map_or(i64::MAX, |to| to.span().end);
        let first = from.map_or(*YEARS.start(), |from| year_of(from.span().start));
        let last = to.map_or(*YEARS.end(), |to| year_of(to.span().end - 1));
        (start < end).then_some(Self { span: start..end, years: first..=last })
    }

    /// Whether a period lies in it.
    pub fn contains(&self, period: &Period) -> bool {
        let span = period.span();
        self.span.start <= span.start && span.end <= self.span.end
    }

    /// The four digits with which the text of each of its periods begins are in this range. (Of a week the year of the text
    /// is that of one of its days.)
    pub fn years(&self) -> RangeInclusive<u16> {
        self.years.clone()
    }
}

/// The year of a second as [`Period::span`] counts it; what a last week has of the year 10000 is of 9999.
fn year_of(second: i64) -> u16 {
    let day = i32::try_from(second.div_euclid(DAY)).ok().and_then(|day| Date::from_julian_day(day).ok());
    day.and_then(|day| u16::try_from(day.year()).ok()).unwrap_or(*YEARS.end())
}

impl YearMonth {
    fn next(self) -> YearMonth {
        match self.month {
            12 => YearMonth { year: self.year + 1, month: 1 },
            month => YearMonth { month: month + 1, ..self },
        }
    }

    /// Number of its first day. The year after the last one may be asked for, too.
    fn first_day(self) -> i64 {
        Day { month: self, day: 1 }.number()
    }
}

impl Day {
    /// Julian day number of a day of the proleptic Gregorian calendar (Fliegel and Van Flandern, 1968): unlike a date, it
    /// goes on after the year 9999.
    fn number(self) -> i64 {
        let (year, month, day) = (i64::from(self.month.year), i64::from(self.month.month), i64::from(self.day));
        let a = (14 - month) / 12;
        let (y, m) = (year + 4800 - a, month + 12 * a - 3);
        day + (153 * m + 2) / 5 + 365 * y + y / 4 - y / 100 + y / 400 - 32_045
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

    use super::{Period, PeriodRange};

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

    fn span(text: &str) -> std::ops::Range<i64> {
        text.parse::<Period>().expect(text).span()
    }

    #[test]
    fn spans_are_the_calendars() {
        let within = |inner: &str, outer: &str| {
            let (inner, outer) = (span(inner), span(outer));
            outer.start <= inner.start && inner.end <= outer.end
        };
        assert_eq!(span("2020").end - span("2020").start, 366 * 86_400);
        assert_eq!(span("9999").end - span("9999").start, 365 * 86_400);
        assert_eq!(span("2020-02").end, span("2020-03-01").start);
        assert_eq!(span("2020-12").end, span("2021").start);
        assert_eq!(span("2020-01/2021-12"), span("2020").start..span("2021").end);
        assert_eq!(span("2020-W01").start, span("2019-12-30").start);
        assert_eq!(span("2020-W53").end, span("2021-01-03").end);
        assert_eq!(span("2020-06-12T23:59:59+07:00").end, span("2020-06-13").start);
        assert_eq!(span("2020-06-12T00:00:00+07:00").start, span("2020-06-12").start);
        assert!(within("2020-W24", "2020-06") && within("2020-W52", "2020"));
        assert!(!within("2020-W01", "2020") && !within("2020-W53", "2020"), "they begin in 2019 and end in 2021");
        assert!(span("9999-W52").end > span("9999-12-31").start && span("1900-W01").start == span("1900-01-01").start);
    }

    #[test]
    fn a_range_holds_what_lies_wholly_in_it() {
        let range = |from: &str, to: &str| {
            let parse = |text: &str| (!text.is_empty()).then(|| text.parse::<Period>().expect(text));
            PeriodRange::new(parse(from).as_ref(), parse(to).as_ref())
        };
        let holds = |range: &PeriodRange, text: &str| range.contains(&text.parse().expect(text));
        let quarter = range("2020-01", "2020-03").expect("a range");
        for inside in ["2020-01", "2020-02-29", "2020-W13", "2020-01/2020-03", "2020-03-31T23:59:59+07:00"] {
            assert!(holds(&quarter, inside), "{inside}");
        }
        for outside in ["2020", "2020-04", "2020-W01", "2020-W14", "2019-12/2020-01", "2019-12-31", "2020-04-01"] {
            assert!(!holds(&quarter, outside), "{outside}");
        }
        let weeks = range("2020-W01", "2020-W53").expect("a range");
        assert!(holds(&weeks, "2020") && holds(&weeks, "2019-12-30") && !holds(&weeks, "2019-12-29"));
        assert_eq!(weeks.years(), 2019..=2021);
        assert_eq!(range("9999-W52", "").expect("a range").years(), 9999..=9999);
        assert!(holds(&range("", "").expect("everything"), "1900") && range("2020-03", "2020-02").is_none());
        assert!(range("2020-03", "2020").is_some(), "what ends with the year");
    }

    proptest! {
        /// The index is narrowed by it.
        #[test]
        fn the_year_of_a_text_is_among_those_of_its_range(text in "(19|20)[0-9]{2}(-W[0-5][0-9]|-[01][0-9]|-[01][0-9]-[0-3][0-9]|)") {
            if let Ok(period) = text.parse::<Period>() {
                let range = PeriodRange::new(Some(&period), Some(&period)).expect("a range");
                prop_assert!(range.contains(&period) && range.years().contains(&text[..4].parse().expect("digits")));
            }
        }

        #[test]
        fn day_numbers_are_those_of_the_calendar(number in time::Date::from_calendar_date(1900, time::Month::January, 1).expect("a day").to_julian_day()..=time::Date::MAX.to_julian_day()) {
            let day = time::Date::from_julian_day(number).expect("a day");
            let (year, month, day) = day.to_calendar_date();
            let text = format!("{year:04}-{:02}-{day:02}", u8::from(month));
            prop_assert_eq!(span(&text).start, i64::from(number) * 86_400);
        }

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
