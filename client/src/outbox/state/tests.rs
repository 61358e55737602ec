use std::time::Duration;

use super::*;

fn row(record: u8, series: u8, supersedes: u8) -> Waiting {
    let supersedes = if supersedes == 0 { Bytes::new() } else { vec![supersedes; 16].into() };
    let record_id = vec![record; 16].into();
    Waiting { version: 1, record_id, series: vec![series; 32].into(), supersedes, length: 100, ..Waiting::default() }
}

fn state(rows: &[(u8, u8, u8)]) -> State {
    let mut state = State::default();
    for ((record, series, supersedes), number) in rows.iter().zip(1..) {
        state.change(Change::Add(number, row(*record, *series, *supersedes), Bytes::new())).expect("a row");
    }
    state
}

fn delivered(record: u8) -> Delivered {
    Delivered { version: 1, record_id: vec![record; 16].into(), length: 100, ..Delivered::default() }
}

#[test]
fn one_record_of_a_series_at_a_time_in_the_order_in_which_they_came() {
    let mut state = state(&[(1, 1, 0), (2, 1, 1), (3, 2, 0), (4, 1, 2)]);
    let now = Instant::now();
    assert_eq!(state.plan(now).send, [1, 3]);
    state.change(Change::Deliver(1, delivered(1))).expect("a row");
    assert_eq!(state.plan(now).send, [2, 3]);
    state.change(Change::Deliver(2, delivered(2))).expect("a row");
    assert_eq!(state.plan(now).send, [3, 4]);
}

#[test]
fn what_a_record_supersedes_goes_first_even_from_another_series() {
    let state = state(&[(1, 1, 0), (2, 2, 1)]);
    assert_eq!(state.plan(Instant::now()).send, [1]);
}

/// Two that name each other would wait for ever: the store may judge them.
#[test]
fn a_circle_is_sent() {
    let state = state(&[(1, 1, 2), (2, 2, 1)]);
    assert_eq!(state.plan(Instant::now()).send, [1]);
}

#[test]
fn who_supersedes_a_refused_record_goes_with_it_and_comes_back_with_it() {
    let mut state = state(&[(1, 1, 0), (2, 1, 1), (3, 1, 2), (4, 1, 0)]);
    let now = Instant::now();
    state.change(Change::Refuse(1, row(1, 1, 0))).expect("a row");
    let plan = state.plan(now);
    assert_eq!((plan.send, plan.orphans), (vec![], vec![2]));
    let gone = Waiting { code: "gone".to_owned(), ..row(2, 1, 1) };
    state.change(Change::Refuse(2, gone)).expect("a row");
    assert_eq!(state.plan(now).orphans, [3]);
    let gone = Waiting { code: "gone".to_owned(), ..row(3, 1, 2) };
    state.change(Change::Refuse(3, gone)).expect("a row");
    // of the same series, but it names none of them
    assert_eq!(state.plan(now), Plan { send: vec![4], ..Plan::default() });
    assert_eq!(state.with_successors([1].into(), "gone"), [1, 2, 3].into());
    assert_eq!(state.with_successors([2].into(), "gone"), [2, 3].into());
}

#[test]
fn a_record_in_doubt_goes_with_nobody() {
    let mut state = state(&[(1, 1, 0), (2, 2, 1)]);
    state.change(Change::Refuse(1, row(1, 1, 0))).expect("a row");
    state.change(Change::Wait(2, Waiting { doubt_ms: 5, ..row(2, 2, 1) })).expect("a row");
    assert_eq!(state.plan(Instant::now()), Plan { send: vec![2], ..Plan::default() });
}

/// Of what was given up and may be in, the store knows; of what certainly is not in, everybody.
#[test]
fn what_supersedes_one_that_was_given_up_goes_with_it_unless_that_may_be_in() {
    for (doubt_ms, code, goes_along) in [(5, "outbox-given-up", false), (0, "outbox-given-up", true), (5, "x", true)] {
        let mut state = state(&[(1, 1, 0), (2, 1, 1)]);
        let given_up = Waiting { doubt_ms, code: code.to_owned(), ..row(1, 1, 0) };
        state.change(Change::Refuse(1, given_up)).expect("a row");
        let plan = state.plan(Instant::now());
        let (send, orphans) = if goes_along { (vec![], vec![2]) } else { (vec![2], vec![]) };
        assert_eq!((plan.send, plan.orphans), (send, orphans), "{doubt_ms} {code}");
    }
}

#[test]
fn a_pause_holds_its_series_and_no_other() {
    let mut state = state(&[(1, 1, 0), (2, 1, 1), (3, 2, 0)]);
    let now = Instant::now();
    let later = now + Duration::from_secs(5);
    state.queue.get_mut(&1).expect("it waits").not_before = Some(later);
    assert_eq!(state.plan(now), Plan { send: vec![3], next: Some(later), ..Plan::default() });
    assert_eq!(state.plan(later).send, [1, 3]);
}

#[test]
fn a_round_is_bounded() {
    let mut state = State::default();
    for number in 1..=300u64 {
        let mut row = row(0, 0, 0);
        row.record_id = [number.to_be_bytes(), number.to_be_bytes()].concat().into();
        row.series = number.to_be_bytes().to_vec().into();
        state.change(Change::Add(number, row, Bytes::new())).expect("a row");
    }
    assert_eq!(state.plan(Instant::now()).send.len(), ROUND_RECORDS_MAX);
    state.queue.get_mut(&1).expect("it waits").row.length = ROUND_BYTES_MAX;
    assert_eq!(state.plan(Instant::now()).send, [1], "the largest goes alone");
}

#[test]
fn counts_follow_a_record_through_its_life() {
    let mut state = state(&[(1, 1, 0), (2, 2, 0)]);
    assert_eq!((state.held(), state.held_bytes, state.kept_bytes, state.next), (2, 200, 0, 3));
    state.change(Change::Refuse(1, row(1, 1, 0))).expect("a row");
    state.change(Change::Deliver(2, delivered(2))).expect("a row");
    assert_eq!((state.held(), state.held_bytes, state.kept_bytes), (1, 100, 100));
    let limits = Limits { kept_records_max: 0, ..Limits::default() };
    assert_eq!(state.surplus(&limits), [2]);
    state.change(Change::Forget(2)).expect("a row");
    state.change(Change::Wait(1, row(1, 1, 0))).expect("a row");
    assert_eq!((state.held_bytes, state.kept_bytes, state.ids.len()), (100, 0, 1));
    state.change(Change::Forget(1)).expect("a row");
    assert_eq!((state.held(), state.held_bytes, state.series.len(), state.ids.len()), (0, 0, 0, 0));
}
