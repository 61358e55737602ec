//! Lists against a model that filters everything.

use std::ops::ControlFlow;

use bytes::Bytes;
use kho_proto::id::{Seq, Token, UnixMs};
use kho_proto::pb::ledger::v1::Command;
use kho_proto::period::PeriodRange;
use proptest::prelude::*;

use super::build::*;
use crate::row::RecordRow;
use crate::select::{
    Audience, Budget, Candidate, Cursor, Eyes, GATHER_KEYS_MAX, Look, Order, Periods, Query, State, count,
    first_accepted_from, revisions, select, sent_pair, superseded,
};
use crate::{Direction, ReadError, read};

const UNITS: &[&str] = &["BYT", "BCT", "T01"];
const REGIMES: &[&str] = &["A", "B"];
const PERIODS: &[&str] =
    &["2019-12", "2020-01", "2020-01-15", "2020-W01", "2020-W03", "2020-01/2020-03", "2020", "2021"];

/// Which record: places in the tables above, who receives it, and whether it revises the one before it in its series.
#[derive(Debug, Clone)]
struct Sent {
    unit: usize,
    regime: usize,
    period: usize,
    receivers: u8,
    series: u8,
    wait: u64,
}

fn sent() -> impl Strategy<Value = Sent> {
    (0..UNITS.len(), 0..REGIMES.len(), 0..PERIODS.len(), 0..8u8, 0..3u8, 0..3u64).prop_map(
        |(unit, regime, period, receivers, series, wait)| Sent { unit, regime, period, receivers, series, wait },
    )
}

fn receiver(unit: &str) -> Token {
    token(&format!("{unit} receives"))
}

fn copy(token: Token) -> Bytes {
    Bytes::copy_from_slice(token.as_ref())
}

/// A ledger with these records, and what stands in it, in order of sequence numbers.
#[derive(Clone)]
struct World {
    ledger: Ledger,
    now: u64,
    next: u64,
}

impl World {
    fn new() -> Self {
        Self { ledger: Ledger::formed(UNITS), now: 2_000_000_000_000, next: 0 }
    }

    fn add(&mut self, sent: &Sent) {
        let (unit, regime, period) = (UNITS[sent.unit], REGIMES[sent.regime], PERIODS[sent.period]);
        let series = token(&format!("{unit} {regime} {period} {}", sent.series));
        let head = read::series_head(&self.ledger.rows, &series).expect("sound");
        let receivers = UNITS.iter().enumerate().filter(|(n, _)| sent.receivers >> n & 1 == 1);
        let record = record(self.next, unit).with(|submit| {
            submit.regime_token = copy(token(regime));
            submit.period = period.to_owned();
            submit.series_token = copy(series);
            submit.receiver_tokens = receivers.map(|(_, unit)| copy(receiver(unit))).collect();
            submit.supersedes = head.map_or_else(Bytes::new, |head| Bytes::copy_from_slice(head.record_id.as_ref()));
        });
        self.next += 1;
        self.now += sent.wait;
        let commands: Vec<Command> = vec![record.command()];
        let effects = self.ledger.apply_entry(&entry_of(self.now, commands));
        assert!(accepted(&effects.outcomes[0]).is_some(), "{:?}", effects.outcomes);
    }

    fn of(all: &[Sent]) -> Self {
        let mut world = Self::new();
        all.iter().for_each(|sent| world.add(sent));
        world
    }

    fn rows(&self) -> Vec<RecordRow> {
        let row = |seq| {
            let leaf = read::leaf(&self.ledger.rows, Seq(seq)).expect("sound").expect("there");
            read::record_row(&self.ledger.rows, &leaf.record_id).expect("sound").expect("there")
        };
        (1..self.ledger.tip.size()).map(row).collect()
    }
}

/// What is asked, before there is a world to ask it of.
#[derive(Debug, Clone)]
struct Ask {
    eyes: Option<u8>,
    unit: Option<usize>,
    receiver: Option<usize>,
    regime: Option<usize>,
    periods: u8,
    state: u8,
    order: u8,
    cut: (u64, u64),
}

fn ask() -> impl Strategy<Value = Ask> {
    let unit = || prop::option::weighted(0.4, 0..UNITS.len());
    let regime = prop::option::weighted(0.5, 0..REGIMES.len());
    (prop::option::weighted(0.6, 0..8u8), unit(), unit(), regime, 0..6u8, 0..3u8, 0..4u8, (0..4u64, 0..4u64)).prop_map(
        |(eyes, unit, receiver, regime, periods, state, order, cut)| Ask {
            eyes,
            unit,
            receiver,
            regime,
            periods,
            state,
            order,
            cut,
        },
    )
}

impl Ask {
    fn query(&self, size: u64) -> Query {
        let eyes = |set: u8| {
            let seen = UNITS.iter().enumerate().filter(|(n, _)| set >> n & 1 == 1);
            seen.map(|(_, unit)| Eyes { unit: token(unit), receiver: receiver(unit) }).collect()
        };
        let range = |from: &str, to: &str| {
            let (from, to) = (from.parse().expect("a period"), to.parse().expect("a period"));
            Periods::Within(PeriodRange::new(Some(&from), Some(&to)).expect("a range"))
        };
        let sided = self.unit.is_some() || self.receiver.is_some() || self.eyes.is_some();
        Query {
            audience: self.eyes.map_or(Audience::All, |set| Audience::These(eyes(set))),
            unit: self.unit.map(|unit| token(UNITS[unit])),
            receiver: self.receiver.map(|unit| receiver(UNITS[unit])),
            regime: self.regime.map(|regime| token(REGIMES[regime])),
            periods: match self.periods {
                0 => Periods::One("2020-01".to_owned()),
                1 => Periods::One("2020".to_owned()),
                2 => range("2020-01", "2020-01"),
                3 => range("2020-W01", "2020-03"),
                _ => Periods::Any,
            },
            state: [State::Any, State::Latest, State::Superseded][usize::from(self.state)],
            sequences: self.cut.0.min(size)..size.saturating_sub(self.cut.1),
            size,
            order: match self.order {
                0 => Order::Newest,
                1 => Order::Oldest,
                2 if sided => Order::Index,
                3 if sided => Order::IndexDescending,
                _ => Order::Newest,
            },
        }
    }
}

/// The list by looking at everything.
fn naive(query: &Query, rows: &[RecordRow]) -> Vec<u64> {
    let rows: Vec<&RecordRow> = rows.iter().filter(|row| row.seq.0 < query.size).collect();
    let superseded =
        |row: &RecordRow| rows.iter().any(|other| other.series_token == row.series_token && other.seq > row.seq);
    let mut found: Vec<&&RecordRow> = rows
        .iter()
        .filter(|row| {
            let seen = match &query.audience {
                Audience::All => true,
                Audience::These(eyes) => {
                    eyes.iter().any(|eye| eye.unit == row.unit_token || row.receiver_tokens.contains(&eye.receiver))
                }
            };
            let period = match &query.periods {
                Periods::Any => true,
                Periods::One(one) => *one == row.period,
                Periods::Within(range) => range.contains(&row.period.parse().expect("a period")),
            };
            let state = match query.state {
                State::Any => true,
                State::Latest => !superseded(row),
                State::Superseded => superseded(row),
            };
            seen && period
                && state
                && query.unit.is_none_or(|unit| unit == row.unit_token)
                && query.receiver.is_none_or(|unit| row.receiver_tokens.contains(&unit))
                && query.regime.is_none_or(|regime| regime == row.regime_token)
                && query.sequences.contains(&row.seq.0)
        })
        .collect();
    let by_index = |row: &&&RecordRow| (row.regime_token, format!("{}\0", row.period), row.seq);
    match query.order {
        Order::Newest => found.sort_by_key(|row| std::cmp::Reverse(row.seq)),
        Order::Oldest => found.sort_by_key(|row| row.seq),
        Order::Index => found.sort_by_key(by_index),
        Order::IndexDescending => found.sort_by_key(|row| std::cmp::Reverse(by_index(row))),
    }
    found.iter().map(|row| row.seq.0).collect()
}

/// Page after page, each of at most `page` records and so much work; `between` runs after each.
fn paged(world: &mut World, query: &Query, page: usize, work: u64, mut between: impl FnMut(&mut World)) -> Vec<u64> {
    let (mut all, mut after): (Vec<u64>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let mut taken = Vec::new();
        let mut visit = |candidate: Candidate, _: &mut Budget<'_>| {
            taken.push(candidate.row.seq.0);
            Ok::<_, ReadError>(if taken.len() == page { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        let mut budget = Budget::new(work, || false);
        let next = select(&world.ledger.rows, query, after.as_ref(), &mut budget, &mut visit).expect("sound");
        assert!(taken.len() <= page);
        assert!(next.is_none() || next != after, "a step must get on");
        all.extend(taken);
        between(world);
        match next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

fn counted(world: &World, query: &Query, work: u64, looked_at: bool) -> u64 {
    let (mut all, mut after) = (0, None);
    loop {
        let mut budget = Budget::new(work, || false);
        let mut accept = |_: Candidate, _: &mut Budget<'_>| Ok::<_, ReadError>(true);
        let accept: Option<&mut Look<'_, bool, ReadError>> = if looked_at { Some(&mut accept) } else { None };
        let (part, next) = count(&world.ledger.rows, query, after.as_ref(), &mut budget, accept).expect("sound");
        all += part;
        match next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_list_is_what_a_filter_over_everything_finds(
        all in prop::collection::vec(sent(), 0..40), asks in prop::collection::vec(ask(), 1..8),
        page in 1..7usize, work in 0..60u64,
    ) {
        let mut world = World::of(&all);
        let rows = world.rows();
        for ask in asks {
            let query = ask.query(world.ledger.tip.size());
            let expect = naive(&query, &rows);
            prop_assert_eq!(&paged(&mut world, &query, page, work, |_| {}), &expect, "{:?}", &query);
            prop_assert_eq!(counted(&world, &query, work, false), expect.len() as u64, "{:?}", &query);
            prop_assert_eq!(counted(&world, &query, work, true), expect.len() as u64, "{:?}", &query);
        }
    }

    /// R-E3: the whole list is of the moment of its first page, whatever comes in and is superseded meanwhile.
    #[test]
    fn pages_are_stable_under_writes(
        all in prop::collection::vec(sent(), 1..30), more in prop::collection::vec(sent(), 1..20), ask in ask(),
        page in 1..4usize, work in 0..40u64,
    ) {
        let mut world = World::of(&all);
        let query = ask.query(world.ledger.tip.size());
        let expect = naive(&query, &world.rows());
        let mut more = more.iter();
        let found = paged(&mut world, &query, page, work, |world| more.by_ref().take(2).for_each(|sent| world.add(sent)));
        prop_assert_eq!(found, expect);
    }

    #[test]
    fn the_history_of_a_series_is_its_records(all in prop::collection::vec(sent(), 1..30), at in any::<prop::sample::Index>(), size in any::<prop::sample::Index>()) {
        let world = World::of(&all);
        let rows = world.rows();
        let size = size.index(rows.len() + 2) as u64;
        let series = rows[at.index(rows.len())].series_token;
        let expect: Vec<_> = rows.iter().filter(|row| row.series_token == series && row.seq.0 < size).map(|row| (row.revision, row.seq)).collect();
        for (direction, cut) in [(Direction::Forward, 2), (Direction::Backward, 2), (Direction::Forward, 99)] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let mut page = Vec::new();
                revisions::<ReadError>(&world.ledger.rows, &series, size, direction, after, &mut |row| {
                    page.push((row.revision, row.seq));
                    Ok(if page.len() == cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                }).expect("sound");
                let Some(last) = page.last() else { break };
                after = Some(last.0);
                found.extend(page);
            }
            if direction == Direction::Backward {
                found.reverse();
            }
            prop_assert_eq!(&found, &expect);
        }
        for row in &rows {
            let later = rows.iter().any(|other| other.series_token == row.series_token && other.revision > row.revision && other.seq.0 < size);
            prop_assert_eq!(superseded(&world.ledger.rows, row, size).expect("sound"), later);
        }
    }

    #[test]
    fn each_pair_that_something_was_sent_under_is_found_once(all in prop::collection::vec(sent(), 0..40)) {
        let world = World::of(&all);
        let rows = world.rows();
        for unit in [None, Some(token("BCT"))] {
            let mut expect: Vec<_> = rows.iter().map(|row| (row.unit_token, row.regime_token)).collect();
            expect.retain(|(of, _)| unit.is_none_or(|unit| *of == unit));
            expect.sort();
            expect.dedup();
            let (mut found, mut after) = (Vec::new(), None);
            while let Some(pair) = sent_pair(&world.ledger.rows, unit.as_ref(), after.as_ref()).expect("sound") {
                found.push(pair);
                prop_assert!(found.len() <= expect.len(), "it does not come to an end: {found:?}");
                after = Some(pair);
            }
            prop_assert_eq!(found, expect);
        }
    }

    #[test]
    fn times_of_acceptance_are_found_by_bisection(all in prop::collection::vec(sent(), 0..30), offset in 0..40u64, size in any::<prop::sample::Index>()) {
        let world = World::of(&all);
        let size = size.index(world.ledger.tip.size() as usize + 1) as u64;
        let at = UnixMs(2_000_000_000_000 + offset - 5);
        let leaves = (0..size).map(|seq| read::leaf(&world.ledger.rows, Seq(seq)).expect("sound").expect("there"));
        let expect = leaves.take_while(|leaf| leaf.accepted_at < at).count() as u64;
        prop_assert_eq!(first_accepted_from(&world.ledger.rows, size, at).expect("sound"), Seq(expect));
    }
}

/// A unit with more records than are gathered is found leaf by leaf, and the pages of both ways fit together.
#[test]
fn a_unit_with_very_many_records_is_found_leaf_by_leaf() {
    let mut world = World::new();
    let records = GATHER_KEYS_MAX as u64 + 10;
    let one = |n| record(n, if n % 1000 == 0 { "BCT" } else { "BYT" }).command();
    world.ledger.apply((0..10).map(one).collect());
    let query = |world: &World, order| Query {
        unit: Some(token("BYT")),
        order,
        ..Ask { eyes: None, unit: None, receiver: None, regime: None, periods: 9, state: 0, order: 0, cut: (0, 0) }
            .query(world.ledger.tip.size())
    };
    // a list that begins while there are few, and goes on when there are too many
    let early = query(&world, Order::Oldest);
    let found = paged(&mut world, &early, 4, 1_000_000, |world| {
        if world.ledger.tip.size() < records {
            for start in (10..records).step_by(10_000) {
                world.ledger.apply((start..(start + 10_000).min(records)).map(one).collect());
            }
        }
    });
    assert_eq!(found, (2..=10).collect::<Vec<_>>());
    let query = query(&world, Order::Newest);
    let expect: Vec<u64> = (0..records).rev().filter(|n| n % 1000 != 0).map(|n| n + 1).collect();
    assert_eq!(paged(&mut world, &query, 20_000, 1_000_000, |_| {}), expect);
    assert_eq!(counted(&world, &query, 1_000, false), expect.len() as u64);
}

/// The time of a step is looked at, and every step comes to a record at least.
#[test]
fn a_step_ends_in_time_and_gets_on() {
    let mut world = World::new();
    world.ledger.apply((0..500).map(|n| record(n, "BYT").command()).collect());
    let ask = Ask { eyes: None, unit: None, receiver: None, regime: None, periods: 9, state: 0, order: 1, cut: (0, 0) };
    let query = ask.query(world.ledger.tip.size());
    let (mut steps, mut found, mut after) = (0, 0, None);
    loop {
        let mut budget = Budget::new(u64::MAX, || true);
        let mut visit = |_: Candidate, _: &mut Budget<'_>| {
            found += 1;
            Ok::<_, ReadError>(ControlFlow::Continue(()))
        };
        after = select(&world.ledger.rows, &query, after.as_ref(), &mut budget, &mut visit).expect("sound");
        steps += 1;
        if after.is_none() {
            break;
        }
    }
    assert!(found == 500 && steps > 10, "{found} records in {steps} steps");
}
