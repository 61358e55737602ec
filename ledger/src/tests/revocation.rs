//! Lists of revoked certificates: the newest of each authority counts, and records judged by others are refused.

use kho_proto::error::Code;
use kho_proto::id::Seq;
use kho_proto::pb::ledger::v1::{Command, InstallCrl, command::Kind};

use super::build::*;
use crate::bounds::{CRL_LENGTH_MAX, ENTRY_VERSIONS};
use crate::{Outcome, Tip, crl_heads, entry_version, rewind};

fn judged_by(version: u64, record: Record) -> Command {
    record.with(|submit| submit.crl_version = version).command()
}

fn code(outcome: Outcome) -> Option<Code> {
    match outcome {
        Outcome::Refused(refusal) => Some(refusal.code),
        _ => None,
    }
}

fn heads(ledger: &Ledger) -> Vec<(u64, Vec<u8>)> {
    crl_heads(&ledger.rows).expect("sound").into_iter().map(|row| (row.version, row.der.to_vec())).collect()
}

#[test]
fn the_newest_list_of_each_authority_counts() {
    let mut ledger = Ledger::formed(&["BYT"]);
    assert_eq!((ledger.tip.crl_version(), heads(&ledger)), (0, vec![]));
    for command in [install_crl(1, 10), install_crl(2, 5), install_crl(1, 11)] {
        assert_eq!(ledger.one_of_its_version(command), Outcome::Done);
    }
    let expect = vec![(3, b"list 11 of 1".to_vec()), (2, b"list 5 of 2".to_vec())];
    assert_eq!((ledger.tip.crl_version(), heads(&ledger)), (3, expect.clone()));
    let before = ledger.clone();
    assert_eq!(ledger.one_of_its_version(install_crl(1, 11)), Outcome::Done, "the same again");
    assert_eq!(code(ledger.one_of_its_version(install_crl(1, 10))), Some(Code::CrlNotNewer));
    let mut other = install_crl(1, 11);
    if let Some(Kind::InstallCrl(install)) = &mut other.kind {
        install.der = (&b"another list of that moment"[..]).into();
    }
    assert_eq!(code(ledger.one_of_its_version(other)), Some(Code::CrlNotNewer));
    assert_eq!((&ledger.rows, &ledger.tip), (&before.rows, &before.tip));
    assert_eq!(Tip::load(&ledger.rows).expect("sound"), ledger.tip);
}

#[test]
fn a_record_must_have_been_judged_by_the_lists_that_count() {
    let mut ledger = Ledger::formed(&["BYT"]);
    assert_eq!(accepted(&ledger.one(record(1, "BYT").command())), Some(Seq(1)));
    ledger.one_of_its_version(install_crl(1, 10));
    for (n, version) in [(2, 0), (3, 2)] {
        let outcome = ledger.one_of_its_version(judged_by(version, record(n, "BYT")));
        assert_eq!(code(outcome), Some(Code::VerdictOutdated), "{version}");
    }
    assert_eq!(accepted(&ledger.one_of_its_version(judged_by(1, record(2, "BYT")))), Some(Seq(2)));
    // what is there keeps its receipt, whatever was revoked since
    assert_eq!(ledger.one(record(1, "BYT").command()), Outcome::Duplicate { seq: Seq(1) });
}

/// What an older build could not read means nothing in an older entry, on newer builds too.
#[test]
fn an_older_entry_holds_neither_lists_nor_versions_of_them() {
    let mut ledger = Ledger::formed(&["BYT"]);
    assert_eq!(code(ledger.one(install_crl(1, 10))), Some(Code::RequestMalformed));
    assert_eq!(accepted(&ledger.one(judged_by(7, record(1, "BYT")))), Some(Seq(1)));
    assert_eq!(heads(&ledger), vec![]);
    let needed = [install_crl(1, 1), judged_by(1, record(1, "BYT")), judged_by(0, record(1, "BYT")), genesis()];
    assert_eq!(needed.map(|command| entry_version(&command)), [2, 2, 1, 1]);
    assert_eq!(ENTRY_VERSIONS, 1..=2);
}

#[test]
fn fields_have_bounds() {
    let mut ledger = Ledger::formed(&["BYT"]);
    let mut broken = |change: fn(&mut InstallCrl)| {
        let mut command = install_crl(1, 10);
        if let Some(Kind::InstallCrl(install)) = &mut command.kind {
            change(install);
        }
        assert_eq!(code(ledger.one_of_its_version(command)), Some(Code::RequestMalformed));
    };
    broken(|install| install.der.clear());
    broken(|install| install.der = vec![0; CRL_LENGTH_MAX + 1].into());
    broken(|install| install.issuer.truncate(31));
    broken(|install| install.this_update_ms = u64::MAX);
    let unformed = Ledger::empty().one_of_its_version(install_crl(1, 10));
    assert_eq!(code(unformed), Some(Code::NotInitialized));
}

#[test]
fn rewinding_takes_lists_along() {
    let mut ledger = Ledger::formed(&["BYT"]);
    ledger.one_of_its_version(install_crl(1, 10));
    ledger.one_of_its_version(judged_by(1, record(1, "BYT")));
    ledger.one_of_its_version(install_crl(1, 11));
    for (size, expect) in [(2, vec![(1, b"list 10 of 1".to_vec())]), (1, vec![])] {
        let changes = rewind(&ledger.rows, &ledger.tip, size).expect("sound");
        ledger.rows.write(&changes);
        ledger.tip = Tip::load(&ledger.rows).expect("sound");
        assert_eq!((heads(&ledger), ledger.tip.crl_version()), (expect.clone(), expect.len() as u64));
    }
}
