//! Breaches planted into what nodes and clients tell of a cluster. Those of whole histories: `tests/mutated_histories.rs`.

use std::collections::BTreeMap;

use super::super::fail_stop::{self, Failed, STORAGE_FAILED};
use super::super::live::{self, Healed};
use super::super::{log, one_leader};
use crate::history::{Kind, Operation, Outcome};
use crate::observation::{Entry, Observation, Vote};

fn entry(index: u64) -> Entry {
    Entry { term: 2, index }
}

fn node(node: u64, at: u64) -> Observation {
    let leader = 1;
    let role = if node == leader { "leader" } else { "follower" };
    Observation {
        asked_us: at,
        answered_us: at + 1,
        node,
        role: role.to_owned(),
        term: 2,
        vote: Vote { term: 2, node: leader, committed: true },
        leader,
        last: 9,
        committed: entry(8),
        applied: entry(7),
        snapshot: entry(5),
        purged: entry(4),
        tree_size: 6,
        matched: if node == leader { BTreeMap::from([(1, 9), (2, 8), (3, 7)]) } else { BTreeMap::new() },
        ..Observation::default()
    }
}

fn write(node: u64, from: u64, to: u64) -> Operation {
    Operation {
        kind: Kind::Submit,
        record_id: "a".to_owned(),
        digest: String::new(),
        invoked_us: from,
        returned_us: to,
        outcome: Outcome::Ok,
        node,
        epoch: 1,
        position: 1,
        found: None,
        duplicate: false,
        checkpoint: None,
        detail: String::new(),
    }
}

#[test]
fn a_restart_may_forget_what_was_in_memory_and_nothing_else() {
    let before = node(2, 1);
    let volatile = Observation { life: 1, term: 2, committed: entry(6), applied: entry(5), tree_size: 4, ..node(2, 2) };
    assert_eq!(log::judge(&[before.clone(), volatile.clone()]), []);
    assert_eq!(log::judge(&[before.clone(), Observation { life: 0, ..volatile }]).len(), 3);
    let anew = Observation { life: 1, states: 1, snapshot: entry(4), ..before.clone() };
    assert_eq!(log::judge(&[before.clone(), anew]), [], "its snapshots went with its state");
    for durable in [
        Observation { life: 1, vote: Vote { term: 1, ..before.vote }, ..before.clone() },
        Observation { life: 1, snapshot: entry(4), ..before.clone() },
        Observation { life: 1, purged: entry(3), ..before.clone() },
        Observation { life: 1, states: 1, purged: entry(3), ..before.clone() },
    ] {
        assert_eq!(log::judge(&[before.clone(), durable]).len(), 1);
    }
}

#[test]
fn a_vote_that_lost_may_be_given_up_for_the_winner() {
    let vote = |node, committed| Observation { vote: Vote { term: 2, node, committed }, ..super::cluster::node(2, 1) };
    let judge = |before, now| log::judge(&[before, now]).len();
    assert_eq!(judge(vote(2, false), vote(1, true)), 0);
    assert_eq!(judge(vote(1, false), vote(1, true)), 0);
    assert_eq!(judge(vote(2, false), vote(1, false)), 1, "two candidates");
    assert_eq!(judge(vote(1, true), vote(2, true)), 1, "two winners");
    assert_eq!(judge(vote(1, true), vote(1, false)), 1);
}

#[test]
fn while_voters_change_no_majority_is_counted() {
    let minority = Observation { matched: BTreeMap::from([(1, 9), (2, 7), (3, 7)]), ..node(1, 1) };
    assert_eq!(one_leader::judge(std::slice::from_ref(&minority)).len(), 1);
    assert_eq!(one_leader::judge(&[Observation { joint: true, ..minority }]), []);
}

#[test]
fn what_was_confirmed_counts_from_when_it_was_said_and_in_its_term() {
    let short = Observation { last: 7, ..node(2, 5) };
    assert_eq!(one_leader::judge(&[node(1, 1), short.clone()]).len(), 1);
    assert_eq!(one_leader::judge(&[node(1, 6), short.clone()]), [], "asked before the leader said so");
    assert_eq!(one_leader::judge(&[node(1, 1), Observation { term: 3, leader: 3, ..short }]), [], "a later leader");
}

#[test]
fn nobody_is_told_of_a_record_without_a_majority() {
    let judge = |one| one_leader::without_majority(10, 20, &[one]).len();
    assert_eq!(judge(write(1, 10, 20)), 1);
    assert_eq!(judge(write(1, 9, 20)) + judge(write(1, 10, 21)), 0, "may be of before or after");
    assert_eq!(judge(Operation { duplicate: true, ..write(1, 10, 20) }), 0, "was accepted before");
}

#[test]
fn a_healed_cluster_lives() {
    let healed = Healed { running: 2, nodes: vec![node(1, 1), node(2, 1)], tried: vec![Ok(())] };
    assert_eq!(live::judge(&healed), []);
    let behind = Observation { applied: entry(6), ..node(2, 1) };
    for sick in [
        Healed { running: 3, ..healed.clone() },
        Healed { nodes: vec![node(1, 1), behind], ..healed.clone() },
        Healed { nodes: vec![node(1, 1), Observation { leader: 0, ..node(2, 1) }], ..healed.clone() },
        Healed { nodes: vec![node(2, 1), node(3, 1)], ..healed.clone() },
        Healed { tried: vec![Err("a write failed".to_owned())], ..healed.clone() },
        Healed { tried: Vec::new(), ..healed },
    ] {
        assert_eq!(live::judge(&sick).len(), 1, "{sick:?}");
    }
}

#[test]
fn a_failed_node_ends_with_its_code_and_is_silent() {
    let failed = Failed { node: 1, code: Some(STORAGE_FAILED), ended_us: 10, restarted_us: 20 };
    let before = write(1, 9, 15);
    assert_eq!(fail_stop::judge(&failed, &[before, write(2, 10, 20), write(1, 20, 30)]), []);
    assert_eq!(fail_stop::judge(&failed, &[write(1, 11, 12)]).len(), 1);
    assert_eq!(fail_stop::judge(&Failed { code: None, ..failed }, &[]).len(), 1);
    assert_eq!(fail_stop::judge(&Failed { code: Some(0), ..failed }, &[]).len(), 1);
}
