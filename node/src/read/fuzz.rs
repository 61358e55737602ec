//! Narrow doors for `fuzz/`: what a caller may send with a list or a watch.

use bytes::Bytes;
use kho_ledger::memory::Memory;
use kho_ledger::select::Order;
use kho_proto::certificate::Sans;
use kho_proto::pb::v1 as pb;
use kho_proto::tokens::{PageKey, TokenKey};
use prost::Message;

use super::caller::Caller;
use super::filter::Filter;
use super::page::Page;
use crate::identity::Identity;

/// Bytes before the tag of a page token, which is put behind them: nobody else can. Whether they are taken for one; what is
/// encodes to the same bytes. Without a good tag nothing is.
pub fn page_token(bytes: &[u8]) -> bool {
    let key = PageKey::new([7; 32]);
    assert_eq!(Page::decode(&key, bytes), None, "a tag was forged");
    let signed = [bytes, &key.tag(bytes)].concat();
    let Some(page) = Page::decode(&key, &signed) else { return false };
    assert_eq!(page.encode(&key), signed, "one token, one text");
    true
}

/// A filter off the wire: checked, and put in tokens, for a reader of all units, one of a single unit, and an auditor. Whether
/// a reader may ask it.
pub fn filter(bytes: &[u8]) -> bool {
    let Ok(filter) = pb::Filter::decode(Bytes::copy_from_slice(bytes)) else { return false };
    let reader = |units: &[&str], all_units| {
        let units = units.iter().map(|unit| unit.parse().expect("a code")).collect();
        let sans = Sans { units, all_units, roles: vec!["reader".to_owned()], node: None };
        Caller::of(&Identity::of_sans(sans, kho_proto::digest::Digest::ZERO)).expect("a reader")
    };
    let (tokens, rows) = (TokenKey::new([1; 32]), Memory::new());
    let taken = [reader(&[], true), reader(&["BYT"], false), Caller::Auditor].map(|caller| {
        let checked = Filter::of(&filter, &caller).ok()?;
        let query = checked.query(&rows, &caller, &tokens, 0, Order::Newest).expect("there is nothing to read");
        assert!(query.sequences.is_empty(), "of an empty log");
        Some(checked)
    });
    let [all, own, auditor] = taken.map(|checked| checked.is_some());
    assert!(all == own && all >= auditor, "an auditor may ask for what a reader may not");
    all
}
