//! Days in Vietnam, by number.

use std::fmt;
use std::str::FromStr;

use kho_proto::id::UnixMs;
use kho_proto::period::Period;
use time::{Date, Month};

/// Julian day number of 1970-01-01.
const EPOCH: i64 = 2_440_588;
/// Milliseconds of a day; Vietnam's clocks are never changed.
const DAY_MS: i64 = 86_400_000;
/// Vietnam is so far ahead of UTC.
const ZONE_MS: i64 = 7 * 3_600_000;

/// A day of the calendar in Vietnam: its Julian day number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

impl Day {
    /// A day of the calendar; the day of a month that is shorter becomes its last one.
    pub fn of(year: i64, month: i64, day: u8) -> Option<Day> {
        let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
        let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
        let year = i32::try_from(year).ok()?;
        let day = day.min(month.length(year));
        Some(Day(i64::from(Date::from_calendar_date(year, month, day).ok()?.to_julian_day())))
    }

    /// The first day of a period.
    pub fn first_of(period: &Period) -> Day {
        Day(period.span().start.div_euclid(DAY_MS / 1000))
    }

    /// The last day of a period: the day by which it is judged who and what is valid.
    pub fn last_of(period: &Period) -> Day {
        Day((period.span().end - 1).div_euclid(DAY_MS / 1000))
    }

    /// The day of a moment.
    pub fn at(moment: UnixMs) -> Day {
        Day((i64::try_from(moment.0).unwrap_or(i64::MAX - ZONE_MS) + ZONE_MS).div_euclid(DAY_MS) + EPOCH)
    }

    /// Its first millisecond; of days before 1970 that of 1970.
    pub fn begin(self) -> UnixMs {
        let ms = (self.0 - EPOCH).saturating_mul(DAY_MS).saturating_sub(ZONE_MS);
        UnixMs(u64::try_from(ms).unwrap_or(0))
    }

    /// So many days later.
    pub fn plus(self, days: i64) -> Day {
        Day(self.0.saturating_add(days))
    }

    /// Year, month and day.
    pub(crate) fn calendar(self) -> (i64, i64, u8) {
        let date = i32::try_from(self.0).ok().and_then(|day| Date::from_julian_day(day).ok()).unwrap_or(Date::MAX);
        (i64::from(date.year()), i64::from(u8::from(date.month())), date.day())
    }

    /// Year and number of its ISO week.
    pub(crate) fn week(self) -> (i64, u8) {
        let date = i32::try_from(self.0).ok().and_then(|day| Date::from_julian_day(day).ok()).unwrap_or(Date::MAX);
        let (year, week, _) = date.to_iso_week_date();
        (i64::from(year), week)
    }
}

impl FromStr for Day {
    type Err = kho_proto::period::Error;

    /// `2020-06-30`.
    fn from_str(text: &str) -> Result<Day, Self::Err> {
        let period: Period = text.parse()?;
        if text.len() != "2020-06-30".len() {
            return Err(kho_proto::period::Error { found: text.to_owned() });
        }
        Ok(Day::first_of(&period))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.calendar();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_vietnam() {
        let day: Day = "2020-06-12".parse().expect("a day");
        assert_eq!(day.to_string(), "2020-06-12");
        assert_eq!(day.begin(), UnixMs(1_591_894_800_000)); // date -d '2020-06-12T00:00+07:00' +%s
        assert_eq!(Day::at(day.begin()), day);
        assert_eq!(Day::at(UnixMs(day.begin().0 - 1)), day.plus(-1));
        assert_eq!(day.week(), (2020, 24));
        assert_eq!("1900-01-01".parse::<Day>().expect("a day").begin(), UnixMs(0));
        for text in ["2020-06", "2020-W24", "2020-06-31", "", "2020-06-12T08:30:00+07:00"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }

    #[test]
    fn months_go_over_the_year_and_are_cut_to_their_length() {
        let of = |year, month, day| Day::of(year, month, day).map(|day| day.to_string());
        assert_eq!(of(2020, 0, 15).as_deref(), Some("2019-12-15"));
        assert_eq!(of(2020, 13, 25).as_deref(), Some("2021-01-25"));
        assert_eq!(of(2021, 2, 31).as_deref(), Some("2021-02-28"));
        assert_eq!(of(2020, 2, 31).as_deref(), Some("2020-02-29"));
    }

    #[test]
    fn the_last_day_of_a_period() {
        let last = |text: &str| Day::last_of(&text.parse().expect(text)).to_string();
        assert_eq!(last("2020-02"), "2020-02-29");
        assert_eq!(last("2020-W53"), "2021-01-03");
        assert_eq!(last("2020-10/2020-12"), "2020-12-31");
        assert_eq!(last("2020-06-12T23:59:59+07:00"), "2020-06-12");
    }
}
