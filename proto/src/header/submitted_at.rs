//! When a sender made a record: `2020-06-12T08:30:00.000+07:00`, one text per millisecond.

use std::fmt;
use std::str::FromStr;

use time::{Date, Month, PrimitiveDateTime, Time, UtcDateTime, UtcOffset};

use crate::error::excerpt;
use crate::id::UnixMs;
use crate::period::{clock, digits};

const ZONE: UtcOffset = time::macros::offset!(+7);
/// 9999-12-31T23:59:59.999+07:00, the last that the text form holds.
const LAST_MS: u64 = 253_402_275_599_999;

/// A moment in milliseconds, written in Vietnam's zone. From 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubmittedAt(u64);

/// A text that is no such moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected YYYY-MM-DDTHH:MM:SS.mmm+07:00, found {}", excerpt(.found))]
pub struct ParseError {
    /// What was given.
    pub found: String,
}

impl SubmittedAt {
    /// From Unix milliseconds; what lies after the year 9999 becomes its last millisecond.
    pub fn from_unix_ms(ms: UnixMs) -> Self {
        SubmittedAt(ms.0.min(LAST_MS))
    }

    /// Unix milliseconds.
    pub fn unix_ms(self) -> UnixMs {
        UnixMs(self.0)
    }
}

impl FromStr for SubmittedAt {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text).ok_or_else(|| ParseError { found: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<SubmittedAt> {
    let bytes = text.as_bytes();
    if bytes.len() != 29
        || !text.is_ascii()
        || bytes[4] != b'-'
        || bytes[7] != b'-'
        || bytes[10] != b'T'
        || bytes[19] != b'.'
    {
        return None;
    }
    if &text[23..] != "+07:00" {
        return None;
    }
    let two = |from: usize| digits(&text[from..from + 2]).and_then(|n| u8::try_from(n).ok());
    let date =
        Date::from_calendar_date(i32::from(digits(&text[..4])?), Month::try_from(two(5)?).ok()?, two(8)?).ok()?;
    let (hour, minute, second) = clock(&text[11..19])?;
    let time = Time::from_hms_milli(hour, minute, second, digits(&text[20..23])?).ok()?;
    let moment = PrimitiveDateTime::new(date, time).assume_offset(ZONE);
    u64::try_from(moment.unix_timestamp_nanos() / 1_000_000)
        .ok()
        .filter(|_| moment.unix_timestamp() >= 0)
        .map(SubmittedAt)
}

impl fmt::Display for SubmittedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0) * 1_000_000;
        let utc = UtcDateTime::from_unix_timestamp_nanos(nanos).expect("at most LAST_MS, which is in the year 9999");
        let local = utc.to_offset(ZONE);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}+07:00",
            local.year(),
            u8::from(local.month()),
            local.day(),
            local.hour(),
            local.minute(),
            local.second(),
            local.millisecond()
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equals_a_known_moment() {
        let at: SubmittedAt = "2020-06-12T08:30:00.250+07:00".parse().expect("well formed");
        assert_eq!(at.unix_ms(), UnixMs(1_591_925_400_250));
        assert_eq!(at.to_string(), "2020-06-12T08:30:00.250+07:00");
    }

    #[test]
    fn holds_its_ends() {
        assert_eq!(SubmittedAt::from_unix_ms(UnixMs(0)).to_string(), "1970-01-01T07:00:00.000+07:00");
        let last = SubmittedAt::from_unix_ms(UnixMs(u64::MAX));
        assert_eq!(last.to_string(), "9999-12-31T23:59:59.999+07:00");
        assert_eq!(last.to_string().parse(), Ok(last));
        assert!("1970-01-01T06:59:59.999+07:00".parse::<SubmittedAt>().is_err());
    }

    #[test]
    fn refuses_other_forms() {
        for text in [
            "2020-06-12T08:30:00+07:00",
            "2020-06-12T08:30:00.25+07:00",
            "2020-06-12T08:30:00.2500+07:00",
            "2020-06-12T01:30:00.250Z",
            "2020-06-12T01:30:00.250+00:00",
            "2020-06-12t08:30:00.250+07:00",
            "2020-02-30T08:30:00.250+07:00",
            "2020-06-12T08:30:60.250+07:00",
            "2020-06-12T08:30:00.2ạ+07:00",
            "",
        ] {
            assert!(text.parse::<SubmittedAt>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(ms in 0..=LAST_MS) {
            let at = SubmittedAt::from_unix_ms(UnixMs(ms));
            prop_assert_eq!(at.to_string().parse(), Ok(at));
            prop_assert_eq!(at.unix_ms(), UnixMs(ms));
        }
    }
}
