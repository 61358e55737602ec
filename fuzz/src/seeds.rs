//! The seeds of all corpora, out of the vectors and a few inputs made here. `kho-fuzz --seeds` writes them; a test holds the
//! committed ones to them.

use std::fs;
use std::io;

use kho_proto::error::{Code, Refusal};
use kho_proto::pb::ledger::v1::{self as ledger, Command, InstallCrl, command::Kind};
use kho_proto::pb::peer::v1 as peer;
use kho_proto::pb::v1::{Filter, SignedRecord, SubmitRequest};
use kho_proto::receipt::Receipt;
use kho_proto::status;
use prost::Message;
use serde_json::Value;

use crate::targets::{proof, sealed};
use crate::{corpus, vectors};

/// Target, name, input.
pub type Seed = (&'static str, String, Vec<u8>);

/// Writes all seeds; other inputs of the corpora stay.
pub fn write() -> io::Result<()> {
    for (target, name, bytes) in all() {
        let folder = corpus::folder(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// All seeds.
pub fn all() -> Vec<Seed> {
    [records(), receipts(), notes(), proofs(), published(), locks(), ledger(), raft(), reads(), texts()].concat()
}

fn good(good: bool, name: &str) -> String {
    format!("{}-{name}", if good { "good" } else { "bad" })
}

fn record(fields: &Value) -> SignedRecord {
    let certificates = fields["certificates"].as_array().expect("certificates").iter();
    SignedRecord {
        header: vectors::bytes(&fields["header"]).into(),
        signature_block: vectors::bytes(&fields["signature_block"]).into(),
        payload: vectors::bytes(&fields["payload"]).into(),
        certificates: certificates.map(|der| vectors::bytes(der).into()).collect(),
    }
}

fn records() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let file = vectors::signature();
    for (name, input, _) in vectors::cases(&file) {
        let record = record(&input["record"]);
        let request = SubmitRequest { record: Some(record.clone()) }.encode_to_vec();
        let block = record.signature_block.to_vec();
        let header = record.header.to_vec();
        // the case may be of another time or other roots: what it is here, the target says
        for (target, bytes) in [
            ("submit", request),
            ("record-file", record.encode_to_vec()),
            ("signature-block", block),
            ("header", header),
        ] {
            seeds.push(judged(target, &name, bytes));
        }
        for (place, der) in record.certificates.iter().enumerate() {
            seeds.push(judged("certificate", &format!("{name}-{place}"), der.to_vec()));
        }
    }
    let file = vectors::header();
    for (name, input, output) in vectors::cases(&file) {
        let encoding = output.get("encoding").or_else(|| input.get("encoding")).filter(|value| value.is_string());
        seeds.extend(encoding.map(|encoding| judged("header", &name, vectors::bytes(encoding))));
    }
    seeds.push(judged("certificate", "platform", include_bytes!("../fixtures/platform.der").to_vec()));
    seeds
}

/// Named by what the target says of it now; from then on that is fixed.
fn judged(target: &'static str, name: &str, bytes: Vec<u8>) -> Seed {
    let run = crate::target(target).expect("a target").run;
    (target, good(run(&bytes), name), bytes)
}

fn receipts() -> Vec<Seed> {
    let file = vectors::receipt();
    let cases = vectors::cases(&file).flat_map(|(name, input, _)| {
        let text = vectors::text(&input["tlog_proof"]);
        let wire = Receipt::from_tlog_proof(text).ok().map(|receipt| receipt.to_pb().encode_to_vec());
        let wire = wire.map(|wire| judged("receipt-wire", &name, wire));
        [Some(judged("receipt-text", &name, text.into())), wire]
    });
    cases.flatten().collect()
}

fn notes() -> Vec<Seed> {
    let file = vectors::checkpoint();
    let cases = vectors::cases(&file).flat_map(|(name, input, output)| {
        let notes = [output.get("note"), input.get("note")].into_iter().flatten();
        notes.map(|note| judged("checkpoint", &name, vectors::text(note).into())).collect::<Vec<_>>()
    });
    cases.collect()
}

fn proofs() -> Vec<Seed> {
    let small =
        [(1, 0, 0), (7, 3, 0), (64, 63, 0), (67, 66, 0), (7, 4, 1), (64, 32, 1), (67, 66, 1), (67, 67, 1), (8, 0, 1)];
    let mut seeds: Vec<Seed> = small
        .map(|(size, at, kind): (u8, u8, u8)| {
            let hashes = proof::tree().proof(size.into(), at.into(), kind);
            let bytes = [size, at, kind].into_iter().chain(hashes.iter().flat_map(|hash| *hash.as_bytes())).collect();
            judged("proof", &format!("{at}-of-{size}-kind-{kind}"), bytes)
        })
        .to_vec();
    for kind in [2, 3] {
        seeds.push(judged("proof", &format!("large-{kind}"), [&[0, 0, kind], [0xfe; 66 * 32].as_slice()].concat()));
    }
    seeds
}

fn published() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let file = vectors::tlog();
    for (name, input, output) in vectors::cases(&file) {
        let path = input.get("path").or(output.get("path"));
        seeds.extend(path.map(|path| judged("tile-path", &name, vectors::text(path).into())));
        if let Some(bundle) = input.get("bundle") {
            let width = output["entries"].as_array().map_or(1, Vec::len);
            seeds.push(judged("bundle", &name, [&[width as u8 - 1], vectors::bytes(bundle).as_slice()].concat()));
        }
    }
    for (name, path) in [
        ("newest", "checkpoint"),
        ("leaves", "tile/entries/000.p/1"),
        ("hash", "tile/0/000.p/1"),
        ("largest-index", "tile/0/x018/x446/x744/x073/x709/x551/615"),
        ("beyond-64-bits", "tile/0/x018/x446/x744/x073/x709/x551/616"),
        ("no-digits", "tile/0/x0\u{661}1/000"),
    ] {
        seeds.push(judged("tile-path", name, path.into()));
    }
    seeds
}

fn locks() -> Vec<Seed> {
    let locks = sealed::locks().iter().enumerate();
    locks.map(|(place, (name, _, right))| judged("sealed", name, [&[place as u8], right.as_slice()].concat())).collect()
}

fn ledger() -> Vec<Seed> {
    let entry = vectors::bytes(&vectors::command()["entry"]);
    let other = |version: u8| [&[8, version], &entry[2..]].concat();
    let install = InstallCrl {
        der: b"\x30\x00".as_slice().into(),
        issuer: [7; 32].as_slice().into(),
        this_update_ms: 1_593_568_800_000,
    };
    let list = Command { kind: Some(Kind::InstallCrl(install)) };
    let first = ledger::Entry::decode(entry.as_slice()).expect("the vector is an entry").commands.swap_remove(0);
    let with_list = ledger::Entry { version: 2, epoch: 1, proposed_at_ms: 5, commands: vec![first, list.clone()] };
    let installed = list.encode_to_vec();
    // kind 4 takes an encoded command as it is
    let after_list =
        [&[1, 2, 0, 1, 4, installed.len() as u8], installed.as_slice(), &[3, 1, 0, 1, 99, 1, 0, 0, 5]].concat();
    let history: [(&str, &[u8]); 5] = [
        ("a-list-of-revoked-certificates", &after_list),
        ("one-record", &[1, 2, 0, 1, 0, 9, 3, 1, 0, 1, 99, 1, 0, 0, 5]),
        (
            "revisions-and-snapshots",
            &[
                1, 2, 0, 1, 2, 1, 1, 0, 9, 6, 3, 1, 0, 1, 99, 1, 0, 3, 2, 0, 1, 1, 1, 2, 0, 1, 6, 3, 3, 1, 2, 99, 1, 0,
                0, 1, 6, 3, 2, 0, 1, 1, 1, 2, 3, 4, 0, 1, 2, 1, 3, 0, 7,
            ],
        ),
        ("two-generations", &[1, 2, 0, 1, 2, 0, 2, 0, 1, 6, 3, 5, 0, 2, 99, 2, 0, 6, 3, 5, 0, 2, 99, 2, 1, 0, 3]),
        ("a-changed-byte", &[1, 2, 0, 1, 0, 9, 3, 1, 0, 1, 99, 1, 0, 5, 200, 4, 0, 5]),
    ];
    let mut seeds: Vec<Seed> = history.map(|(name, bytes)| judged("history", name, bytes.to_vec())).to_vec();
    seeds.push(judged("entry", "v1-first-of-a-cluster", entry.clone()));
    seeds.push(judged("entry", "version-0", other(0)));
    seeds.push(judged("entry", "v2-a-list-of-revoked-certificates", with_list.encode_to_vec()));
    seeds.push(judged("entry", "version-3", other(3)));
    seeds
}

fn raft() -> Vec<Seed> {
    let log_id = |index| Some(peer::LogId { term: 7, node_id: 0, index });
    let entry = |version, payload| peer::LogEntry { version, log_id: log_id(300), payload: Some(payload) };
    let address = |n: u64| peer::Member {
        node_id: n,
        peer_address: format!("kho{n}:7102"),
        client_address: format!("kho{n}:7101"),
        admin_address: format!("kho{n}:7103"),
    };
    let membership = peer::Membership {
        configs: vec![peer::Config { voters: vec![1, 2, 3] }, peer::Config { voters: vec![2, 3, 4] }],
        members: (1..=4).map(address).collect(),
    };
    use peer::log_entry::Payload;
    let normal = Payload::Normal(vectors::bytes(&vectors::command()["entry"]).into());
    let entries = [
        ("v1-blank", entry(1, Payload::Blank(peer::Blank {}))),
        ("v1-normal", entry(1, normal.clone())),
        ("v1-membership", entry(1, Payload::Membership(membership.clone()))),
        ("version-0", entry(0, normal.clone())),
        ("version-2", entry(2, normal.clone())),
        ("no-payload", peer::LogEntry { version: 1, log_id: log_id(1), payload: None }),
    ];
    let mut seeds: Vec<Seed> =
        entries.iter().map(|(name, entry)| judged("log-entry", name, entry.encode_to_vec())).collect();

    let meta =
        peer::SnapshotMeta { last_log_id: log_id(300), membership_log_id: log_id(2), membership: Some(membership) };
    let file = |name: &str| peer::SnapshotFile { name: name.to_owned(), length: 4096, digest: vec![7; 32].into() };
    let files = vec![file("000012.sst"), file("CURRENT"), file("MANIFEST-000004")];
    for (name, version, files) in [
        ("v1", 1, files.clone()),
        ("version-0", 0, files.clone()),
        ("version-2", 2, files),
        ("a-way-out", 1, vec![file("../../etc/passwd")]),
        ("a-folder", 1, vec![file("db/CURRENT")]),
        ("twice", 1, vec![file("CURRENT"), file("CURRENT")]),
    ] {
        let manifest = peer::SnapshotManifest { version, meta: Some(meta.clone()), files };
        seeds.push(judged("manifest", name, manifest.encode_to_vec()));
    }

    // the golden bytes of consensus/codec.rs
    for (name, kind, golden) in [
        ("v1-vote", 0, "01e17beec707010301"),
        ("v1-log-id", 1, "01a6ecd12f0102fb2c01"),
        ("v1-no-log-id", 1, "01d202ef8d00"),
        ("v1-membership", 2, "013e664cda010101010101010103613a3103613a3203613a33"),
        ("version-2", 0, "02e17beec707010301"),
        ("a-wrong-checksum", 0, "01e17beec807010301"),
        ("a-body-of-any-length", 129, "ff"),
    ] {
        let bytes = hex::decode(golden).expect("hex");
        seeds.push(judged("raft-metadata", name, [&[kind], bytes.as_slice()].concat()));
    }

    let vote = Some(peer::Vote { term: 7, node_id: 2, committed: true });
    let origin = Some(peer::Origin { epoch: 1, ..peer::Origin::default() });
    let request = peer::AppendRequest {
        origin,
        vote,
        prev_log_id: log_id(299),
        entries: vec![entry(1, normal)],
        leader_commit: log_id(299),
    };
    seeds.push(judged("peer-message", "request", [&[0], request.encode_to_vec().as_slice()].concat()));
    use peer::append_response::Result as Appended;
    for (name, result) in [
        ("matched", Appended::Matched(peer::MaybeLogId { log_id: log_id(300) })),
        ("conflict", Appended::Conflict(peer::LogId { term: 6, node_id: 0, index: 12 })),
        ("higher-vote", Appended::HigherVote(peer::Vote { term: 9, node_id: 1, committed: false })),
    ] {
        let response = peer::AppendResponse { epoch: 1, result: Some(result), partial: false };
        seeds.push(judged("peer-message", name, [&[1], response.encode_to_vec().as_slice()].concat()));
    }
    seeds
}

fn reads() -> Vec<Seed> {
    let mut seeds = Vec::new();
    // version 1, begun at, size, linearizable, age, binding, place
    let token = |version: u8, linearizable: u8, age: u64, place: &[u8]| {
        let (begun, size) = (1_593_568_800_000_u64.to_be_bytes(), 4711_u64.to_be_bytes());
        [&[version][..], &begun, &size, &[linearizable], &age.to_be_bytes(), &[9; 32], place].concat()
    };
    let seq = |kind: u8| [&[kind][..], &4700_u64.to_be_bytes()].concat();
    let index = [&[1][..], &[7; 16], b"2020-06\0", &12_u64.to_be_bytes()].concat();
    for (name, bytes) in [
        ("index", token(1, 1, 0, &index)),
        ("gathered", token(1, 1, 0, &seq(2))),
        ("stale-leaf", token(1, 0, 91, &seq(3))),
        ("revision", token(1, 1, 0, &[4, 0, 0, 0, 3])),
        ("version-2", token(2, 1, 0, &seq(3))),
        ("two-truths", token(1, 2, 0, &seq(3))),
        ("no-place", token(1, 1, 0, &[])),
        ("names", token(1, 1, 0, b"\x05YT-01\0BYT\x002020-06\0")),
        ("inside-a-cell", token(1, 1, 0, b"\x06YT-01\0BYT\x002020-06\0\x004711")),
        ("place-7", token(1, 1, 0, &seq(7))),
        ("a-long-sequence", token(1, 1, 0, &[seq(3), vec![0]].concat())),
        ("too-long", token(1, 1, 0, &[1; 300])),
    ] {
        seeds.push(judged("page-token", name, bytes));
    }
    let text = |text: &str| text.to_owned();
    let full = Filter {
        unit: text("BYT"),
        receiver: text("VPCP"),
        regime: text("YT-01"),
        period_from: text("2020-01"),
        period_to: text("2020-W53"),
        series: Some(text("bệnh viện 1")),
        state: 1,
        accepted_from: text("2020-06-12T08:30:00.000+07:00"),
        submitted_before: text("2020-06-12T08:30:00.250+07:00"),
        ..Filter::default()
    };
    for (name, filter) in [
        ("full", full.clone()),
        ("empty", Filter::default()),
        ("one-period", Filter { period: text("2020-06"), ..Filter::default() }),
        ("two-periods", Filter { period: text("2020-06"), ..full.clone() }),
        ("backwards", Filter { period_from: text("2021"), ..full.clone() }),
        ("no-code", Filter { unit: text("BỘ"), ..full.clone() }),
        ("no-moment", Filter { accepted_from: text("2020"), ..full.clone() }),
        ("no-state", Filter { state: 9, ..full }),
    ] {
        seeds.push(judged("filter", name, filter.encode_to_vec()));
    }
    seeds
}

fn texts() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let file = vectors::report();
    for (name, input, _) in vectors::cases(&file) {
        seeds.extend(input.as_str().map(|document| judged("document", &name, document.into())));
    }
    let receipts = vectors::receipt();
    let key = vectors::cases(&receipts).next().map(|(_, input, _)| vectors::text(&input["verifier_key"]).to_owned());
    let texts = [
        ("day", "2020-06-12"),
        ("week", "2020-W24"),
        ("leap-week", "2020-W53"),
        ("month", "2020-06"),
        ("year", "2020"),
        ("months", "2020-01/2020-03"),
        ("moment", "2020-06-12T08:30:00+07:00"),
        ("time", "2020-06-12T08:30:00.250+07:00"),
        ("code", "YT-01"),
        ("id", "01729d23-8b00-7000-8000-0123456789ab"),
        ("nothing", ""),
    ];
    seeds.extend(texts.map(|(name, text)| judged("text", name, text.into())));
    seeds.extend(key.map(|key| judged("text", "verifier-key", key.into())));
    for code in [Code::SignatureInvalid, Code::OutcomeUnknown, Code::RecordIdConflict] {
        let status = status::to_status(&Refusal::new(code, "a sentence").expected_found("one", "other"));
        seeds.push(judged("status", code.as_str(), [&[status.code() as u8], status.details()].concat()));
    }
    seeds.push(judged("status", "of-another-service", b"\x02not a detail".to_vec()));
    seeds
}
