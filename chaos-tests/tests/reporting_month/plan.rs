//! What the country owes around today, and what becomes of it: counted from the sample's frequencies and Vietnam's deadlines,
//! with nothing of the catalogue's code.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use kho_client::StatsCounts;
use kho_sample::{Country, Frequency, Generator, Report};
use time::{Date, Month, OffsetDateTime, Weekday, macros::offset};

const DAY_MS: u64 = 24 * 3_600_000;
/// Reports are handed in of periods that were due in so many days, and of those that are still to be handed in.
const MONTH_DAYS: u64 = 35;

/// The unit that is merged into another.
pub const MERGED: &str = "T02";
/// The one that it is merged into.
pub const SUCCESSOR: &str = "T08";

/// A period: its text, its last day, when its figures begin and are due.
#[derive(Debug, Clone)]
pub struct Slot {
    pub text: String,
    pub last: Date,
    begins: u64,
    due: u64,
}

/// What a report is of: regime, unit, period.
pub type Key = [String; 3];

/// One report to hand in.
pub struct Task {
    pub key: Key,
    pub report: Report,
    /// A correction follows it.
    pub corrected: bool,
    /// Its unit is no more.
    pub gone: bool,
    /// Its figures speak of a unit that is no more: with the successor's in its place they are good.
    pub outdated: Option<Vec<u8>>,
    /// The regime takes attachments, and this report has some.
    pub attached: bool,
}

/// The country's month.
pub struct Plan {
    country: Country,
    slots: BTreeMap<String, Vec<Slot>>,
    /// First and last year of what statistics are asked for.
    pub years: (i32, i32),
    /// The merged unit's last day.
    pub merged: Date,
}

fn date(year: i32, month: u8, day: u8) -> Date {
    Month::try_from(month).and_then(|month| Date::from_calendar_date(year, month, day)).expect("a day that exists")
}

/// Its first moment in Vietnam.
fn midnight(date: Date) -> u64 {
    u64::try_from(date.midnight().assume_offset(offset!(+7)).unix_timestamp()).unwrap_or(0) * 1000
}

fn month_text(date: Date) -> String {
    format!("{}-{:02}", date.year(), u8::from(date.month()))
}

fn day_text(date: Date) -> String {
    format!("{}-{:02}", month_text(date), date.day())
}

/// The day as catalogue documents write it.
pub fn written(date: Date) -> String {
    day_text(date)
}

fn months(frequency: Frequency) -> Option<i32> {
    match frequency {
        Frequency::Monthly => Some(1),
        Frequency::Quarterly => Some(3),
        Frequency::HalfYearly => Some(6),
        Frequency::Yearly => Some(12),
        Frequency::TwoYearly => Some(24),
        Frequency::Daily | Frequency::Weekly | Frequency::AdHoc => None,
    }
}

/// The period of a frequency that ends on this day, if one does.
fn ending(frequency: Frequency, day: Date, from: Date) -> Option<Slot> {
    let slot = |text, begins, due| Some(Slot { text, last: day, begins, due });
    if let Some(months) = months(frequency) {
        // periods by months are told by their last day; two-yearly ones end with an even year
        if day.next_day()?.day() != 1 {
            return None;
        }
        let since = (day.year() - from.year()) * 12 + i32::from(u8::from(day.month()));
        if since % months != 0 {
            return None;
        }
        let first = since - months;
        let first = date(from.year() + first / 12, u8::try_from(first % 12 + 1).ok()?, 1);
        let text = match months {
            1 => month_text(day),
            12 => day.year().to_string(),
            _ => format!("{}/{}", month_text(first), month_text(day)),
        };
        // figures of the 15th before the first month on; to be handed in through the 25th of the last one
        let begins = midnight(first.previous_day()?.replace_day(15).ok()?);
        return slot(text, begins, midnight(day.replace_day(26).ok()?));
    }
    match frequency {
        Frequency::Daily => slot(day_text(day), midnight(day), midnight(day) + DAY_MS * 3 / 2),
        Frequency::Weekly if day.weekday() == Weekday::Sunday => {
            let monday = day - time::Duration::days(6);
            let (year, week, _) = monday.to_iso_week_date();
            (monday >= from).then_some(())?;
            slot(format!("{year}-W{week:02}"), midnight(monday), midnight(monday) + 9 * DAY_MS)
        }
        _ => None,
    }
}

/// A stable draw.
fn fate(n: usize) -> usize {
    n.wrapping_mul(2_654_435_761) >> 7 & 7
}

impl Plan {
    /// Of the month that ends now.
    pub fn of(country: Country, now: u64) -> Result<Self> {
        let today = OffsetDateTime::from_unix_timestamp(i64::try_from(now / 1000)?)?.to_offset(offset!(+7)).date();
        // two-yearly periods begin with an odd year
        let odd = today.year() - i32::from(today.year() % 2 == 0);
        let years = (odd - 2, odd + 1);
        let (from, to) = (date(years.0, 1, 1), date(years.1, 12, 31));
        let mut slots: BTreeMap<String, Vec<Slot>> = BTreeMap::new();
        for regime in country.regimes() {
            let mut day = from;
            while day <= to {
                slots.entry(regime.code.clone()).or_default().extend(ending(regime.frequency, day, from));
                day = day.next_day().context("years end")?;
            }
        }
        let merged = today.replace_day(1)?.previous_day().context("months have a day before")?;
        Ok(Self { country, slots, years, merged })
    }

    fn is_gone(&self, unit: &str, slot: &Slot) -> bool {
        unit == MERGED && slot.last > self.merged
    }

    /// What is handed in: of the month's periods, some are left out and some corrected; and a few ad-hoc reports.
    pub fn tasks(&self, now: u64, seed: u64) -> Vec<Task> {
        let mut generator = Generator::new(seed);
        let duties: usize = self.country.regimes().iter().map(|regime| self.country.reporters(regime).len()).sum();
        let open = |slot: &&Slot| slot.begins <= now && slot.due + MONTH_DAYS * DAY_MS > now;
        let rounds = self.slots.values().map(|slots| slots.iter().filter(open).count()).max().unwrap_or(0);
        let mut tasks = Vec::new();
        for n in 0..duties * rounds {
            let report = generator.next();
            let Some(regime) = self.country.regime(&report.regime) else { continue };
            let (round, ad_hoc) = (n / duties, regime.frequency == Frequency::AdHoc);
            let slot = self.slots.get(&regime.code).and_then(|slots| slots.iter().filter(open).nth(round));
            let period = match slot {
                Some(slot) => slot.text.clone(),
                None if ad_hoc && round == 0 => moment(now, n),
                None => continue,
            };
            let gone = slot.is_some_and(|slot| self.is_gone(&report.unit, slot));
            let after = slot.is_none_or(|slot| slot.last > self.merged);
            let figures = String::from_utf8_lossy(&report.payload).into_owned();
            let mended = figures.replace(&format!("\"{MERGED}\""), &format!("\"{SUCCESSOR}\""));
            let outdated = (after && mended != figures).then_some(report.payload.clone());
            let payload = if after { mended.into_bytes() } else { report.payload };
            // one of the merged unit's is tried all the same
            if fate(n) == 0 && !gone {
                continue;
            }
            let key = [regime.code.clone(), report.unit.clone(), period.clone()];
            let report = Report { period, payload, ..report };
            let attached = regime.attachments && fate(n) % 2 == 1;
            tasks.push(Task { key, report, corrected: fate(n) == 1, gone, outdated, attached });
        }
        tasks
    }

    /// What statistics must say as of a moment: `accepted` are all records, with the moment of each and whether it is a correction.
    pub fn count(&self, accepted: &[(Key, u64, bool)], as_of: u64) -> BTreeMap<Key, StatsCounts> {
        type Cell = (StatsCounts, Option<(u64, u64)>, u64);
        let mut cells: BTreeMap<Key, Cell> = BTreeMap::new();
        for regime in self.country.regimes() {
            for unit in self.country.reporters(regime) {
                for slot in self.slots[&regime.code].iter().filter(|slot| !self.is_gone(&unit.code, slot)) {
                    let key = [regime.code.clone(), unit.code.clone(), slot.text.clone()];
                    cells.insert(key, (StatsCounts::default(), Some((slot.begins, slot.due)), u64::MAX));
                }
            }
        }
        for (key, at, correction) in accepted.iter().filter(|(_, at, _)| *at < as_of) {
            let (counts, _, first) = cells.entry(key.clone()).or_insert((StatsCounts::default(), None, u64::MAX));
            counts.records += 1;
            counts.superseded += u64::from(*correction);
            *first = (*first).min(*at);
        }
        for (counts, expected, first) in cells.values_mut() {
            counts.corrected = u64::from(counts.superseded > 0);
            let there = counts.records > 0;
            match expected {
                None => counts.unscheduled = 1,
                Some((begins, due)) if there || *begins <= as_of => {
                    counts.expected = 1;
                    counts.late = u64::from(there && first >= due);
                    counts.on_time = u64::from(there && first < due);
                    counts.missing = u64::from(!there && *due <= as_of);
                    counts.open = u64::from(!there && *due > as_of);
                }
                Some(_) => {}
            }
        }
        let cells = cells.into_iter().map(|(key, (counts, ..))| (key, counts));
        cells.filter(|(_, counts)| *counts != StatsCounts::default()).collect()
    }
}

/// A whole second of the last hours, another for each report.
fn moment(now: u64, n: usize) -> String {
    let at = i64::try_from(now / 1000).unwrap_or(0) - 600 - i64::try_from(n).unwrap_or(0);
    let at = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset(offset!(+7));
    format!("{}T{:02}:{:02}:{:02}+07:00", day_text(at.date()), at.hour(), at.minute(), at.second())
}

/// Adds all up.
pub fn total(cells: &BTreeMap<Key, StatsCounts>) -> StatsCounts {
    let mut sum = StatsCounts::default();
    for counts in cells.values() {
        sum.expected += counts.expected;
        sum.on_time += counts.on_time;
        sum.late += counts.late;
        sum.missing += counts.missing;
        sum.open += counts.open;
        sum.corrected += counts.corrected;
        sum.superseded += counts.superseded;
        sum.unscheduled += counts.unscheduled;
        sum.records += counts.records;
    }
    sum
}
