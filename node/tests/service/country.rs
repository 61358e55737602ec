//! The sample's country over seven years: statistics against a count that knows nothing of the catalogue's code.
//!
//! The node's clock goes from report to report, so that each is accepted when the plan says: before its deadline, after it, or
//! never; some are corrected, and one province is merged. What is expected is counted here from the sample's own frequencies.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kho_node::seams::{Clock, Seams};
use kho_proto::header::SubmittedAt;
use kho_proto::id::{RecordId, UnixMs};
use kho_proto::pb::v1::{StatsBy, StatsCounts, StatsRequest, StatsRow};
use kho_proto::record::Draft;
use kho_sample::{Country, Frequency, Generator};
use serde_json::{Value, json};
use time::{Date, Month, OffsetDateTime, Weekday, macros::offset};

use crate::keeper::{self, entry_at, with};
use crate::reads::Store;
use crate::sender::Sender;
use crate::stats::stats;
use crate::thin_line::submit;
use crate::world::{World, begin};

const HOUR: u64 = 3_600_000;
/// Rounds of all duties.
const ROUNDS: usize = 4;
/// It ends with 2015.
const MERGED: &str = "T02";

/// A wall clock that stands where the test puts it.
struct Standing {
    system: Arc<dyn Clock>,
    at: Arc<AtomicU64>,
}

impl Clock for Standing {
    fn now(&self) -> UnixMs {
        UnixMs(self.at.load(Ordering::SeqCst))
    }

    /// Goes with it: a node does not lead whose wall clock steps.
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.at.load(Ordering::SeqCst)) + self.system.monotonic()
    }
}

fn date(year: i32, month: u8, day: u8) -> Date {
    Date::from_calendar_date(year, Month::try_from(month).unwrap(), day).unwrap()
}

/// Its first moment in Vietnam.
fn midnight(date: Date) -> u64 {
    let seconds = date.midnight().assume_offset(offset!(+7)).unix_timestamp();
    u64::try_from(seconds).unwrap() * 1000
}

/// First day of a month and of the one before it.
fn month_before(date: Date) -> Date {
    self::date(date.year(), u8::from(date.month()), 1).previous_day().unwrap().replace_day(1).unwrap()
}

/// A period: its text, and when its figures begin and are due.
#[derive(Debug, Clone)]
struct Slot {
    text: String,
    last: Date,
    begins: u64,
    due: u64,
}

/// Periods of a frequency in 2010 to 2016, counted day by day.
fn slots(frequency: Frequency) -> Vec<Slot> {
    let (mut slots, mut day, end) = (Vec::new(), date(2010, 1, 1), date(2016, 12, 31));
    let months = match frequency {
        Frequency::Monthly => 1,
        Frequency::Quarterly => 3,
        Frequency::HalfYearly => 6,
        Frequency::Yearly => 12,
        Frequency::TwoYearly => 24,
        _ => 0,
    };
    while day <= end {
        let (year, month) = (day.year(), u8::from(day.month()));
        match frequency {
            Frequency::AdHoc => {}
            Frequency::Daily => slots.push(Slot {
                text: format!("{year}-{month:02}-{:02}", day.day()),
                last: day,
                begins: midnight(day),
                due: midnight(day) + 36 * HOUR,
            }),
            Frequency::Weekly if day.weekday() == Weekday::Monday && day + time::Duration::days(6) <= end => {
                let (year, week, _) = day.to_iso_week_date();
                let last = day + time::Duration::days(6);
                let due = midnight(day) + 9 * 24 * HOUR;
                slots.push(Slot { text: format!("{year}-W{week:02}"), last, begins: midnight(day), due });
            }
            Frequency::Weekly => {}
            // periods by months are told by their last day
            _ if day.next_day().unwrap().day() == 1 => {
                let since_2009 = (year - 2009) * 12 + i32::from(month);
                let first = since_2009 - months;
                if since_2009 % months == 0 && first >= 12 {
                    let from = date(2009 + first / 12, u8::try_from(first % 12 + 1).unwrap(), 1);
                    let month_text = |date: Date| format!("{}-{:02}", date.year(), u8::from(date.month()));
                    let text = match months {
                        1 => month_text(day),
                        12 => year.to_string(),
                        _ => format!("{}/{}", month_text(from), month_text(day)),
                    };
                    let begins = midnight(month_before(from).replace_day(15).unwrap());
                    let due = midnight(date(year, month, 26));
                    slots.push(Slot { text, last: day, begins, due });
                }
            }
            _ => {}
        }
        day = day.next_day().unwrap();
    }
    slots
}

/// A record that stands in the log.
struct Accepted {
    key: [String; 3],
    at: u64,
    correction: bool,
}

/// Counts, when the figures begin and are due if a report is expected, and when the first record was accepted.
type Cell = (StatsCounts, Option<(u64, u64)>, u64);

fn count(country: &Country, accepted: &[Accepted], as_of: u64) -> BTreeMap<[String; 3], StatsCounts> {
    let mut cells: BTreeMap<[String; 3], Cell> = BTreeMap::new();
    for regime in country.regimes() {
        for unit in country.reporters(regime) {
            for slot in slots(regime.frequency) {
                if unit.code == MERGED && slot.last > date(2015, 12, 31) {
                    continue;
                }
                let key = [regime.code.clone(), unit.code.clone(), slot.text];
                cells.insert(key, (StatsCounts::default(), Some((slot.begins, slot.due)), u64::MAX));
            }
        }
    }
    for record in accepted.iter().filter(|record| record.at < as_of) {
        let (counts, _, first) = cells.entry(record.key.clone()).or_insert((StatsCounts::default(), None, u64::MAX));
        counts.records += 1;
        counts.superseded += u64::from(record.correction);
        *first = (*first).min(record.at);
    }
    for (counts, expected, first) in cells.values_mut() {
        counts.corrected = u64::from(counts.superseded > 0);
        match expected {
            None => counts.unscheduled = 1,
            Some((begins, due)) if counts.records > 0 || *begins <= as_of => {
                counts.expected = 1;
                let late = counts.records > 0 && *first >= *due;
                (counts.late, counts.on_time) = (u64::from(late), u64::from(counts.records > 0 && !late));
                let missing = counts.records == 0 && *due <= as_of;
                (counts.missing, counts.open) = (u64::from(missing), u64::from(counts.records == 0 && !missing));
            }
            Some(_) => {}
        }
    }
    let cells = cells.into_iter().filter(|(_, (counts, ..))| *counts != StatsCounts::default());
    cells.map(|(key, (counts, ..))| (key, counts)).collect()
}

fn add(sum: &mut StatsCounts, more: &StatsCounts) {
    sum.expected += more.expected;
    sum.on_time += more.on_time;
    sum.late += more.late;
    sum.missing += more.missing;
    sum.open += more.open;
    sum.corrected += more.corrected;
    sum.superseded += more.superseded;
    sum.unscheduled += more.unscheduled;
    sum.records += more.records;
}

fn sum(cells: &BTreeMap<[String; 3], StatsCounts>, keep: [bool; 3]) -> BTreeMap<[String; 3], StatsCounts> {
    let mut sums: BTreeMap<[String; 3], StatsCounts> = BTreeMap::new();
    for (key, counts) in cells {
        let mut key = key.clone();
        key.iter_mut().zip(keep).filter(|(_, keep)| !keep).for_each(|(name, _)| name.clear());
        add(sums.entry(key).or_default(), counts);
    }
    sums
}

/// What happens to a report: a stable draw.
fn fate(n: usize) -> usize {
    n.wrapping_mul(2_654_435_761) >> 7 & 7
}

async fn loaded(world: &World, client: &Store, begun: SubmittedAt) {
    let keeper = Sender::new(&world.signers, "VPCP");
    let load = async |documents: &[Value]| {
        for document in documents {
            submit(client, &entry_at(&keeper, document, None, begun)).await.unwrap();
        }
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample/catalogue");
    for name in ["units.json", "regimes.json"] {
        let documents: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap();
        load(&documents).await;
        let Some(merged) = documents.iter().find(|document| document["code"] == MERGED) else { continue };
        let end = json!({"effective_from": "2016-01-01", "valid_to": "2015-12-31", "successors": ["T08"]});
        load(&[with(merged.clone(), end)]).await;
    }
    let policy: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("policy.json")).unwrap()).unwrap();
    load(&[policy]).await;
}

/// R-D5
#[tokio::test(flavor = "multi_thread")]
async fn statistics_equal_an_independent_count() {
    let country = Country::load();
    let world = World::new(1);
    let at = Arc::new(AtomicU64::new(midnight(date(2009, 12, 1))));
    let system = Seams::system();
    let clock = Arc::new(Standing { system: system.clock.clone(), at: at.clone() });
    let _node = begin(world.parse(&keeper::toml(&world, 1)), &Seams { clock, ..system }).await;
    world.form(1).await;
    let client = world.platform(1).await;
    loaded(&world, &client, SubmittedAt::from_unix_ms(UnixMs(at.load(Ordering::SeqCst)))).await;

    // the plan: when each report comes, and whether a correction follows it
    let mut due: BTreeMap<(String, String), u64> = BTreeMap::new();
    for regime in country.regimes() {
        due.extend(slots(regime.frequency).into_iter().map(|slot| ((regime.code.clone(), slot.text), slot.due)));
    }
    let mut generator = Generator::new(7);
    let duties: usize = country.regimes().iter().map(|regime| country.reporters(regime).len()).sum();
    let mut plan = Vec::new();
    for n in 0..duties * ROUNDS {
        let report = generator.next();
        let due = due.get(&(report.regime.clone(), report.period.clone())).copied().unwrap_or_else(|| {
            let moment = OffsetDateTime::parse(&report.period, &time::format_description::well_known::Rfc3339);
            // two-yearly ones go beyond 2016, ad-hoc ones come within a day
            moment
                .map_or(midnight(date(2019, 1, 1)), |at| u64::try_from(at.unix_timestamp()).unwrap() * 1000 + 24 * HOUR)
        });
        match fate(n) {
            0 => continue,
            1 | 2 => plan.push((due + n as u64 % 3 * 24 * HOUR, n, report, fate(n) == 1)),
            // the very last moment, too
            fate => plan.push((due - if fate == 3 { 1 } else { HOUR }, n, report, fate == 4)),
        }
    }
    plan.sort_by_key(|(at, n, ..)| (*at, *n));

    let mut senders: BTreeMap<String, Sender> = BTreeMap::new();
    let (mut accepted, mut gone) = (Vec::new(), 0);
    for (when, _, report, corrected) in plan {
        // corrections come at once, so that time goes one way
        let mut before: Option<RecordId> = None;
        for correction in [false, true] {
            if correction && !corrected {
                break;
            }
            at.store(when, Ordering::SeqCst);
            let sender =
                senders.entry(report.unit.clone()).or_insert_with(|| Sender::new(&world.signers, &report.unit));
            let draft = Draft {
                regime: report.regime.parse().unwrap(),
                period: report.period.parse().unwrap(),
                series: report.series.clone(),
                supersedes: before,
                submitted_at: SubmittedAt::from_unix_ms(UnixMs(when)),
                ..sender.draft()
            };
            let id = draft.record_id;
            let answer = submit(&client, &sender.sign(draft, &report.payload)).await;
            if report.unit == MERGED && report.period.as_str() >= "2016" {
                gone += 1;
                assert!(answer.is_err(), "{MERGED} is no more");
                break;
            }
            answer.unwrap_or_else(|status| panic!("{} {} {}: {status:?}", report.unit, report.regime, report.period));
            let key = [report.regime.clone(), report.unit.clone(), report.period.clone()];
            accepted.push(Accepted { key, at: when, correction });
            before = Some(id);
        }
    }
    assert!(gone > 0, "a report of the merged province was tried");

    let end = midnight(date(2019, 6, 1));
    at.store(end, Ordering::SeqCst);
    // two-yearly reports of 2017 are of no period that is asked for
    accepted.retain(|record| record.key[2].as_str() < "2017");
    for as_of in [end, midnight(date(2016, 1, 3)) + 12 * HOUR, midnight(date(2016, 3, 26)), midnight(date(2010, 3, 25))]
    {
        let cells = count(&country, &accepted, as_of);
        for (by, keep) in [
            (StatsBy::UnitRegimePeriod, [true; 3]),
            (StatsBy::UnitRegime, [true, true, false]),
            (StatsBy::ByUnit, [false, true, false]),
            (StatsBy::ByRegime, [true, false, false]),
            (StatsBy::Total, [false; 3]),
        ] {
            let request = StatsRequest {
                period_from: "2010".to_owned(),
                period_to: "2016".to_owned(),
                as_of: SubmittedAt::from_unix_ms(UnixMs(as_of)).to_string(),
                by: by.into(),
                page_size: 5_000,
                ..Default::default()
            };
            let told = stats(&client, request).await;
            let told: BTreeMap<_, _> =
                told.into_iter().map(|(key, row): (_, StatsRow)| (key, row.counts.unwrap())).collect();
            let expected = sum(&cells, keep);
            let differs = expected.iter().find(|(key, counts)| told.get(*key) != Some(counts));
            assert_eq!(differs.map(|(key, counts)| (key, *counts, told.get(key))), None, "{by:?} as of {as_of}");
            assert_eq!(told.len(), expected.len(), "{by:?} as of {as_of}");
        }
    }
    // a node whose clock is behind leaves nothing out that stands in the log
    at.store(midnight(date(2010, 1, 1)), Ordering::SeqCst);
    let (from, to) = ("2010".to_owned(), "2016".to_owned());
    let now = StatsRequest { period_from: from, period_to: to, by: StatsBy::Total.into(), ..Default::default() };
    let records: u64 = stats(&client, now).await.values().map(|row| row.counts.unwrap().records).sum();
    assert_eq!(records, accepted.len() as u64);
    let all = sum(&count(&country, &accepted, end), [false; 3]).into_values().next().unwrap();
    println!("{all:?}");
    assert!(
        [all.on_time, all.late, all.missing, all.corrected, all.unscheduled].iter().all(|count| *count > 10),
        "{all:?}"
    );
    assert!(all.expected > 30_000, "{all:?}");
}
