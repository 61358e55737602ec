//! How much each unit may send to this node: records and bytes in a second, with a burst. What is over it is refused before
//! its signature is checked, with the time at which it would be let in.
//!
//! Each is the generic cell rate algorithm (ITU-T I.371): one moment per unit, up to which it has used what it may.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kho_proto::error::{Code, Refusal};
use kho_proto::id::UnitCode;
use parking_lot::Mutex;

use super::metric_definitions::QUOTA_EXCEEDED;
use crate::config::{QuotasConfig, Rates};
use crate::seams::Clock;

/// Units whose use is remembered, at most: a country has some hundreds. Of more than these, those share one account that
/// were not seen lately.
const ACCOUNTS_MAX: usize = 4096;
/// A sender is told to wait no longer than this: until then others may have used less than they may.
const HINT_MAX: Duration = Duration::from_secs(5);

/// So much in a second, and so much at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// 0: no limit.
    pub per_s: u64,
    /// From 1.
    pub burst: u64,
}

impl Rate {
    fn time(self, amount: u64) -> Duration {
        let nanos = u128::from(amount) * 1_000_000_000 / u128::from(self.per_s.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// One unit's use of one rate.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    /// Moment up to which what it has used is earned.
    used: Duration,
    /// Moment up to which turns were promised to refused senders.
    promised: Duration,
}

impl Account {
    /// The moment from which `amount` is let in; what is more than a burst needs a full rest before.
    fn from(&self, now: Duration, rate: Rate, amount: u64) -> Duration {
        if rate.per_s == 0 {
            return Duration::ZERO;
        }
        let cost = rate.time(amount);
        (self.used.max(now) + cost).saturating_sub(rate.time(rate.burst).max(cost))
    }

    fn charge(&mut self, now: Duration, rate: Rate, amount: u64) {
        if rate.per_s > 0 {
            self.used = self.used.max(now) + rate.time(amount);
        }
    }

    /// How long a refused sender should wait: each a turn after the other, so that they don't all come at the same moment.
    fn promise(&mut self, now: Duration, from: Duration, rate: Rate, amount: u64) -> Duration {
        let turn = self.promised.max(from);
        let turn = if turn > now + HINT_MAX { from } else { turn };
        self.promised = turn + rate.time(amount);
        turn.saturating_sub(now).clamp(Duration::from_millis(1), HINT_MAX)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Accounts {
    records: Account,
    bytes: Account,
}

impl Accounts {
    fn rested(&self, now: Duration) -> bool {
        self.records.used <= now && self.bytes.used <= now
    }
}

/// The quotas of all units on this node.
pub struct Quotas {
    clock: Arc<dyn Clock>,
    usual: Rates,
    units: BTreeMap<UnitCode, Rates>,
    /// None: all those for whom there was no room.
    accounts: Mutex<BTreeMap<Option<UnitCode>, Accounts>>,
}

impl Quotas {
    /// As configured.
    pub fn new(config: &QuotasConfig, clock: Arc<dyn Clock>) -> Self {
        Self { clock, usual: config.usual(), units: config.of_units(), accounts: Mutex::default() }
    }

    /// The node's clock.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Charges a record of so many bytes to its unit, or refuses it.
    pub fn charge(&self, unit: &UnitCode, bytes: usize) -> Result<(), Refusal> {
        self.charge_all(unit, 1, bytes)
    }

    /// Charges bytes that are no record of their own, or refuses them.
    pub fn charge_bytes(&self, unit: &UnitCode, bytes: usize) -> Result<(), Refusal> {
        self.charge_all(unit, 0, bytes)
    }

    fn charge_all(&self, unit: &UnitCode, records: u64, bytes: usize) -> Result<(), Refusal> {
        let rates = self.units.get(unit).copied().unwrap_or(self.usual);
        let (now, bytes) = (self.clock.monotonic(), bytes as u64);
        let mut all = self.accounts.lock();
        let accounts = account(&mut all, unit, now);
        let records_from = if records > 0 { accounts.records.from(now, rates.records, records) } else { now };
        let bytes_from = accounts.bytes.from(now, rates.bytes, bytes);
        if records_from <= now && bytes_from <= now {
            accounts.records.charge(now, rates.records, records);
            accounts.bytes.charge(now, rates.bytes, bytes);
            return Ok(());
        }
        let (what, rate, wait) = if records_from > now && records_from >= bytes_from {
            ("records", rates.records, accounts.records.promise(now, records_from, rates.records, records))
        } else {
            ("bytes", rates.bytes, accounts.bytes.promise(now, bytes_from, rates.bytes, bytes))
        };
        metrics::counter!(QUOTA_EXCEEDED, "what" => what).increment(1);
        let mut refusal = Refusal::new(Code::QuotaExceeded, format!("unit {unit} sends more than its quota of {what}"))
            .expected_found(
                format!("at most {} {what} a second on this node, {} at once", rate.per_s, rate.burst),
                "more",
            );
        refusal.retry_after = Some(wait);
        Err(refusal)
    }
}

fn account<'a>(all: &'a mut BTreeMap<Option<UnitCode>, Accounts>, unit: &UnitCode, now: Duration) -> &'a mut Accounts {
    let mut key = Some(unit.clone());
    if all.len() >= ACCOUNTS_MAX && !all.contains_key(&key) {
        // who has rested starts with a full burst, remembered or not
        all.retain(|_, accounts| !accounts.rested(now));
        if all.len() >= ACCOUNTS_MAX {
            key = None;
        }
    }
    all.entry(key).or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use kho_proto::id::UnixMs;

    use super::*;

    /// Milliseconds that the test says.
    #[derive(Default)]
    struct Told(AtomicU64);

    impl Clock for Told {
        fn now(&self) -> UnixMs {
            UnixMs(0)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    struct Scene {
        clock: Arc<Told>,
        quotas: Quotas,
    }

    impl Scene {
        fn new(toml: &str) -> Scene {
            let clock = Arc::new(Told::default());
            Scene { quotas: Quotas::new(&toml::from_str(toml).unwrap(), clock.clone()), clock }
        }

        fn wait(&self, ms: u64) {
            self.clock.0.fetch_add(ms, Ordering::SeqCst);
        }

        /// Milliseconds to wait; 0: let in.
        fn send(&self, unit: &str, bytes: usize) -> u64 {
            match self.quotas.charge(&unit.parse().unwrap(), bytes) {
                Ok(()) => 0,
                Err(refusal) => {
                    assert_eq!(refusal.code, Code::QuotaExceeded);
                    refusal.retry_after.unwrap().as_millis() as u64
                }
            }
        }
    }

    #[test]
    fn a_burst_then_the_rate() {
        let scene = Scene::new("records_per_s = 10\nrecords_burst = 5\nbytes_per_s = 0");
        assert_eq!((0..5).map(|_| scene.send("BYT", 1)).sum::<u64>(), 0);
        // each refused sender has a turn of its own
        assert_eq!((0..3).map(|_| scene.send("BYT", 1)).collect::<Vec<_>>(), [100, 200, 300]);
        assert_eq!(scene.send("BCA", 1), 0, "another unit has its own");
        scene.wait(100);
        assert_eq!(scene.send("BYT", 1), 0, "the first turn");
        assert!(scene.send("BYT", 1) > 0);
        scene.wait(100);
        assert_eq!(scene.send("BYT", 1), 0, "the second");
        scene.wait(60_000);
        assert_eq!((0..5).map(|_| scene.send("BYT", 1)).sum::<u64>(), 0, "after a rest a burst, and no more");
        assert!(scene.send("BYT", 1) > 0);
    }

    #[test]
    fn over_a_minute_the_rate_holds() {
        let scene = Scene::new("records_per_s = 50\nrecords_burst = 10\nbytes_per_s = 0");
        let mut taken = 0;
        for _ in 0..60_000 {
            taken += u64::from(scene.send("BYT", 1) == 0);
            scene.wait(1);
        }
        assert!((3_000..=3_011).contains(&taken), "{taken}");
    }

    #[test]
    fn bytes_have_a_rate_of_their_own_and_the_largest_record_gets_in() {
        let scene = Scene::new("records_per_s = 0\nbytes_per_s = 1000\nbytes_burst = 2000");
        assert_eq!(scene.send("BYT", 1500), 0);
        assert_eq!(scene.send("BYT", 1500), 1000);
        assert_eq!(scene.send("BYT", 500), 0, "a smaller one fits, and the refused one cost nothing");
        scene.wait(2000);
        assert_eq!(scene.send("BYT", 5000), 0, "more than a burst, after a rest");
        assert_eq!(scene.send("BYT", 1), 3001, "and it is paid for");
    }

    #[test]
    fn a_unit_may_have_rates_of_its_own() {
        let scene = Scene::new(
            "records_per_s = 1\nrecords_burst = 1\n[units.BYT]\nrecords_burst = 3\n[units.BCA]\nrecords_per_s = 0",
        );
        let sent = |unit: &str| (0..10).filter(|_| scene.send(unit, 1) == 0).count();
        assert_eq!((sent("BYT"), sent("BCA"), sent("BTC")), (3, 10, 1));
    }

    #[test]
    fn a_hint_is_bounded_and_so_is_what_is_remembered() {
        let scene = Scene::new("records_per_s = 1\nrecords_burst = 1\nbytes_per_s = 0");
        assert_eq!(scene.send("BYT", 1), 0);
        assert!((0..1000).all(|_| (1..=5000).contains(&scene.send("BYT", 1))));
        for n in 0..2 * ACCOUNTS_MAX {
            scene.send(&format!("U{n}"), 1);
        }
        assert!(scene.quotas.accounts.lock().len() <= ACCOUNTS_MAX + 1);
        scene.wait(60_000);
        assert_eq!(scene.send("NEW", 1), 0);
        assert_eq!(scene.quotas.accounts.lock().len(), 1, "the others have rested");
    }
}
