use super::*;

fn id(term: u64, index: u64) -> LogId {
    LogId { term, index }
}

/// Ten entries of term 1, three of term 2 in place of two that were cut off, purged up to 4, a vote.
fn account() -> Account {
    let mut account = Account::default();
    let steps = [
        Step::Append { first: id(1, 1), count: 10, committed: id(1, 6) },
        Step::Truncate { last: id(1, 8) },
        Step::Vote { vote: Vote { term: 2, node: 3 } },
        Step::Append { first: id(2, 9), count: 3, committed: id(1, 7) },
        Step::Purge { upto: id(1, 4) },
    ];
    steps.iter().for_each(|step| account.take(step));
    account
}

fn found() -> Found {
    let entries = (5..=11).map(|index| Seen { id: id(if index < 9 { 1 } else { 2 }, index), intact: true }).collect();
    Found { meta: Meta { purged: 4, vote: Vote { term: 2, node: 3 }, committed: 7 }, entries }
}

fn judge(change: impl FnOnce(&mut Found)) -> Result<(), Breach> {
    let mut found = found();
    change(&mut found);
    account().judge(None, &found)
}

#[test]
fn all_that_was_acknowledged_is_right_and_is_where_the_next_life_begins() {
    assert_eq!(judge(|_| {}), Ok(()));
    assert_eq!(Account::of(&found()), account());
    assert_eq!((account().last(), account().id(9)), (11, Some(id(2, 9))));
}

#[test]
fn a_lost_entry_is_caught() {
    assert_eq!(judge(|found| _ = found.entries.pop()), Err(Breach::Lost { expected: 11, found: 10 }));
    assert_eq!(judge(|found| found.entries.clear()), Err(Breach::Lost { expected: 11, found: 4 }));
}

#[test]
fn a_hole_is_caught() {
    assert_eq!(judge(|found| _ = found.entries.remove(3)), Err(Breach::Hole { expected: 8, found: 9 }));
    assert_eq!(judge(|found| _ = found.entries.remove(0)), Err(Breach::Hole { expected: 5, found: 6 }));
    let purged = Seen { id: id(1, 4), intact: true };
    assert_eq!(judge(|found| found.entries.insert(0, purged)), Err(Breach::Hole { expected: 5, found: 4 }));
}

#[test]
fn an_entry_from_beyond_a_truncation_is_caught() {
    let cut_off = |index| Seen { id: id(1, index), intact: true };
    assert_eq!(
        judge(|found| found.entries[4] = cut_off(9)),
        Err(Breach::OtherTerm { index: 9, expected: 2, found: 1 })
    );
    assert_eq!(judge(|found| found.entries.push(cut_off(12))), Err(Breach::Beyond { last: 11, found: 12 }));
}

#[test]
fn other_bytes_and_what_went_back_beside_the_entries_are_caught() {
    assert_eq!(judge(|found| found.entries[2].intact = false), Err(Breach::Bytes { index: 7 }));
    let vote = Vote { term: 1, node: 1 };
    assert_eq!(
        judge(|found| found.meta.vote = vote),
        Err(Breach::Vote { expected: Vote { term: 2, node: 3 }, found: vote })
    );
    assert_eq!(judge(|found| found.meta.purged = 3), Err(Breach::Purged { expected: 4, found: 3 }));
    assert_eq!(judge(|found| found.meta.committed = 6), Err(Breach::Committed { least: 7, most: 7, found: 6 }));
    assert_eq!(judge(|found| found.meta.committed = 12), Err(Breach::Committed { least: 7, most: 7, found: 12 }));
}

#[test]
fn what_was_under_way_may_have_come_to_anything_but_not_to_something_else() {
    let account = account();
    let judge = |step: Step, change: &dyn Fn(&mut Found)| {
        let mut found = found();
        change(&mut found);
        account.judge(Some(&step), &found)
    };
    let append = Step::Append { first: id(2, 12), count: 2, committed: id(2, 10) };
    let add = |found: &mut Found, count: u64| {
        found.entries.extend((12..12 + count).map(|index| Seen { id: id(2, index), intact: true }));
    };
    for count in 0..=2 {
        assert_eq!(judge(append, &|found| add(found, count)), Ok(()));
    }
    assert_eq!(judge(append, &|found| (add(found, 2), found.meta.committed = 10).1), Ok(()));
    assert_eq!(judge(append, &|found| add(found, 3)), Err(Breach::Beyond { last: 13, found: 14 }));
    assert_eq!(judge(append, &|found| _ = found.entries.pop()), Err(Breach::Lost { expected: 11, found: 10 }));

    let truncate = Step::Truncate { last: id(1, 8) };
    assert_eq!(judge(truncate, &|_| {}), Ok(()));
    assert_eq!(judge(truncate, &|found| found.entries.truncate(4)), Ok(()));
    assert_eq!(
        judge(truncate, &|found| found.entries.truncate(5)),
        Err(Breach::Lost { expected: 11, found: 9 }),
        "neither before nor after it"
    );

    let purge = Step::Purge { upto: id(1, 6) };
    assert_eq!(judge(purge, &|_| {}), Ok(()));
    let purged = |found: &mut Found| (found.meta.purged = 6, found.entries.drain(..2).count()).0;
    assert_eq!(judge(purge, &purged), Ok(()));
    assert_eq!(
        judge(purge, &|found| _ = found.entries.drain(..2)),
        Err(Breach::Hole { expected: 5, found: 7 }),
        "the entries went before the mark"
    );

    let vote = Vote { term: 4, node: 1 };
    assert_eq!(judge(Step::Vote { vote }, &|found| found.meta.vote = vote), Ok(()));
}
