use kho_proto::error::{Code, Refusal};

use super::*;
use view::{object, table};

fn answers() -> Vec<Answer> {
    let status = NodeStatusResponse {
        node_id: 1,
        role: "leader".to_owned(),
        committed: 9,
        applied: 7,
        keyed: true,
        clock_offset_ms: -12,
        clock_peers: 2,
        disk_short: true,
        log_address: "127.0.0.1:7110".to_owned(),
        ..Default::default()
    };
    let why = "connection refused".to_owned();
    let error = admin::Error::Unreachable { address: "127.0.0.1:2".to_owned(), why };
    let refusal = Box::new(Refusal::new(Code::RoleNotPermitted, "expected role operator"));
    let refused = admin::Error::Refused { address: "127.0.0.1:3".to_owned(), refusal };
    let answer = |port, said| Answer { address: format!("127.0.0.1:{port}"), said, configured: port != 3 };
    vec![answer(1, Ok(status)), answer(2, Err(error)), answer(3, Err(refused))]
}

fn voters(ports: &[u64]) -> Vec<PeerStatus> {
    let voter = |port: &u64| PeerStatus {
        node_id: *port,
        admin_address: format!("127.0.0.1:{port}"),
        voter: true,
        ..PeerStatus::default()
    };
    ports.iter().map(voter).collect()
}

#[test]
fn the_table_tells_unreachable_nodes_from_those_that_refuse() {
    let text = table(&answers(), &voters(&[1, 2, 3]), 9).to_string();
    let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap().to_owned();
    assert!(line("127.0.0.1:1 ").contains("leader"), "{text}");
    assert!(line("127.0.0.1:1 ").contains("127.0.0.1:7110"), "{text}");
    assert!(line("127.0.0.1:1 ").contains("-12 ms"), "{text}");
    assert!(line("127.0.0.1:1 ").contains("(short)"), "{text}");
    assert!(line("127.0.0.1:2").contains("unreachable"), "{text}");
    assert!(line("127.0.0.1:3 +").contains("role-not-permitted"), "only the cluster knows it: {text}");
    assert!(line("127.0.0.1:2").contains(" 2 "), "whoever answers knows who listens there: {text}");
}

#[test]
fn json_counts_the_lag() {
    let answers = answers();
    assert_eq!(object(&answers[0], &[], 9)["lag"], 2);
    assert_eq!(object(&answers[0], &[], 9)["clock_offset_ms"], -12);
    assert_eq!(object(&answers[0], &[], 9)["log_address"], "127.0.0.1:7110");
    assert_eq!(object(&answers[1], &[], 9)["reachable"], false);
    assert_eq!(object(&answers[2], &[], 9)["code"], "role-not-permitted");
}

#[test]
fn a_lost_majority_is_told_in_words() {
    let quorum = |ports: &[u64]| Quorum::of(&answers(), &voters(ports));
    let told = |ports: &[u64]| quorum(ports).warnings(&[], crate::lang::Lang::En).join("\n");
    // 1 leads, 2 is gone, 3 refuses and is there; 4 and 5 were not even asked
    assert_eq!(told(&[1, 2, 3]), "");
    assert!(quorum(&[1, 2, 3]).reachable());
    let three_of_five = told(&[1, 2, 3, 4, 5]);
    assert!(three_of_five.contains("2 of 5") && three_of_five.contains("3 are needed"), "{three_of_five}");
    assert_eq!(quorum(&[1, 2, 3, 4, 5]).object()["reachable"], false);
    assert!(told(&[1, 2]).contains("1 of 2"), "half is no majority");
    // a majority without a leader, and nodes without a cluster
    let mut answers = answers();
    let of = |answers: &[Answer], ports| Quorum::of(answers, &voters(ports)).warnings(&[4], crate::lang::Lang::En);
    answers[0].said.as_mut().unwrap().role = "candidate".to_owned();
    let told = of(&answers, &[1, 2, 3]);
    assert!(told.len() == 2 && told[0].contains("leads") && told[1].contains("kho cluster replace 4"), "{told:?}");
    answers[0].said.as_mut().unwrap().role = "uninitialized".to_owned();
    assert!(of(&answers, &[])[0].contains("kho cluster init"));
}

#[test]
fn csv_has_every_field_of_json() {
    let answers = answers();
    let mut fields = std::collections::BTreeSet::new();
    for answer in &answers {
        fields.extend(object(answer, &[], 9).as_object().unwrap().keys().cloned());
    }
    assert_eq!(fields, view::FIELDS.iter().map(|field| (*field).to_owned()).collect());
}
