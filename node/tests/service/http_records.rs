//! HTTP and JSON beside gRPC: what goes in by one comes out by the other, byte for byte.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use kho_proto::error::Code;
use kho_proto::header::Header;
use kho_proto::pb::v1::{Filter, Order, SignedRecord};
use kho_proto::receipt::Receipt;
use kho_proto::record::to_file;
use kho_proto::signature::SignatureBlock;
use serde_json::{Value, json};

use crate::http_client::{Caller, PLATFORM};
use crate::reads::{Country, all};
use crate::sender::Sender;
use crate::thin_line::{get, id_of, submit};
use crate::world::{World, tree};

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

pub fn submission(record: &SignedRecord) -> Value {
    json!({
        "header": b64(&record.header),
        "signature_block": b64(&record.signature_block),
        "payload": b64(&record.payload),
        "certificates": record.certificates.iter().map(b64).collect::<Vec<_>>(),
    })
}

/// With the signature apart, and in the other alphabet.
fn taken_apart(record: &SignedRecord) -> Value {
    let url = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let block = SignatureBlock::decode(&record.signature_block).unwrap();
    json!({
        "algorithm": block.algorithm.as_str(),
        "signature": url(&block.signature),
        "header": url(&record.header),
        "payload": url(&record.payload),
        "certificates": record.certificates.iter().map(|der| url(der)).collect::<Vec<_>>(),
    })
}

/// As `curl -F` sends it, certificates in PEM.
fn parts(record: &SignedRecord) -> Vec<u8> {
    let block = SignatureBlock::decode(&record.signature_block).unwrap();
    let pem: String = record.certificates.iter().map(|der| pem(der)).collect();
    let mut body = Vec::new();
    for (name, bytes) in [
        ("header", record.header.as_ref()),
        ("algorithm", block.algorithm.as_str().as_bytes()),
        ("signature", &block.signature),
        ("payload", &record.payload),
        ("certificates", pem.as_bytes()),
    ] {
        let head = format!("--limit\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--limit--\r\n");
    body
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", b64(der))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_by_http_comes_out_by_grpc_and_the_other_way_round() {
    let (world, _nodes, key) = World::formed(1).await;
    let (client, sender) = (world.platform(1).await, Sender::new(&world.signers, "BYT"));
    let mut caller = Caller::new(&world, PLATFORM);
    for (n, h2) in [(0, false), (1, true), (2, false), (3, true)] {
        caller.h2 = h2;
        let record = sender.report();
        let id = id_of(&record).to_string();
        let send = async || match n {
            0 => caller.post_json("/v1/records", &submission(&record)).await,
            1 => caller.post_json("/v1/records", &taken_apart(&record)).await,
            2 => caller.post("/v1/records", "multipart/form-data; boundary=limit", parts(&record)).await,
            _ => caller.post("/v1/records", "application/octet-stream", to_file(&record)).await,
        };
        let first = send().await;
        let answer = first.good(201);
        assert_eq!(first.header("location"), format!("/v1/records/{id}"));
        assert_eq!((&answer["record_id"], &answer["duplicate"]), (&json!(id), &json!(false)));

        // the same record again, by either way: the first receipt
        let again = send().await.good(200);
        assert_eq!((&again["duplicate"], &again["receipt"]), (&json!(true), &answer["receipt"]));
        let by_grpc = submit(&client, &record).await.unwrap();
        assert!(by_grpc.duplicate);
        let receipt = Receipt::from_pb(by_grpc.receipt.as_ref().unwrap()).unwrap();
        receipt.verify_record(&key, &record).unwrap();
        let json_receipt = &answer["receipt"];
        assert_eq!(json_receipt["sequence"], receipt.sequence.0);
        assert_eq!(json_receipt["leaf"], b64(receipt.leaf.encode()));
        assert_eq!(json_receipt["checkpoint"], String::from_utf8_lossy(&receipt.checkpoint).as_ref());
        assert_eq!(json_receipt["inclusion"], json!(receipt.inclusion.iter().map(b64).collect::<Vec<_>>()));
        assert_eq!(json_receipt["state"], "accepted");
        assert!(json_receipt["accepted_at"].as_str().unwrap().ends_with("+07:00"));

        assert_eq!(get(&client, &record).await.unwrap().record.as_ref(), Some(&record), "as it was sent");
        let found = caller.get(&format!("/v1/records/{id}")).await.good(200);
        assert_eq!(&found["receipt"], json_receipt);
        for (name, value) in submission(&record).as_object().unwrap() {
            assert_eq!(&found["record"][name], value, "{name}");
        }
        let header = Header::decode(&record.header).unwrap();
        let fields = &found["record"]["fields"];
        assert_eq!(fields["series"], header.series);
        assert_eq!(fields["submitted_at"], header.submitted_at.to_string());
        let raw = caller.get_as(&format!("/v1/records/{id}"), "application/octet-stream").await;
        assert_eq!((raw.status.as_u16(), &raw.body[..]), (200, &to_file(&record)[..]));
        assert_eq!(raw.header("content-disposition"), format!("attachment; filename=\"{id}.record\""));

        let path = format!("/v1/records/{id}/receipt");
        assert_eq!(&caller.get(&path).await.good(200), json_receipt);
        let proof = caller.get_as(&path, "text/plain").await;
        assert_eq!(proof.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(std::str::from_utf8(&proof.body).unwrap(), receipt.to_tlog_proof());
        let head = caller.ask(Method::HEAD, &path, &[], "").await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_the_node_prepares_is_signed_by_the_sender() {
    let (world, nodes, _) = World::formed(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let caller = Caller::new(&world, &["urn:kho:role:submitter", "urn:kho:role:reader", "urn:kho:unit:BYT"]);
    let before = tree(&nodes[0]);
    let report = json!({
        "unit": "BYT", "regime": "YT-01", "period": "2020-W24", "series": "b\u{1ec7}nh vi\u{1ec7}n", "receivers": ["VPCP", "TTCP"],
        "figures": { "so_ca_mac": 12, "a": 1.50 },
    });
    let prepared = caller.post_json("/v1/headers", &report).await.good(200);
    assert_eq!(tree(&nodes[0]), before, "nothing is stored");
    let bytes = |name: &str| STANDARD.decode(prepared[name].as_str().unwrap()).unwrap();
    let (header, signed, payload) = (bytes("header"), bytes("signed_bytes"), bytes("payload"));
    assert_eq!(payload, br#"{"a":1.5,"so_ca_mac":12}"#);
    assert_eq!(signed, kho_proto::dsse::signed_bytes(&header));
    let read = Header::decode(&header).unwrap();
    read.check_payload(&payload).unwrap();
    assert_eq!(read.series, "b\u{1ec7}nh vi\u{1ec7}n");
    let fields = &prepared["fields"];
    assert_eq!((&fields["receivers"], &fields["period"]), (&json!(["TTCP", "VPCP"]), &json!("2020-W24")));
    assert_eq!((&fields["series"], &fields["unit"]), (&json!(read.series), &json!("BYT")));

    let submission = json!({
        "header": prepared["header"], "payload": prepared["payload"], "algorithm": "ed25519",
        "signature": b64(sender.signature(&signed)), "certificates": sender.chain.iter().map(b64).collect::<Vec<_>>(),
    });
    let taken = caller.post_json("/v1/records", &submission).await.good(201);
    assert_eq!(taken["record_id"], prepared["record_id"]);
    // found by its own bytes, and not by those that only look like them
    let list = async |series: &str| {
        let query = format!("/v1/records?unit=BYT&series={}", URL.replace_all(series));
        caller.get(&query).await.good(200)["entries"].as_array().unwrap().len()
    };
    let apart = "b\u{1ec7}nh vie\u{323}\u{302}n";
    assert_eq!((list("b\u{1ec7}nh vi\u{1ec7}n").await, list(apart).await), (1, 0));
    // with its letters apart it would be another series: refused and not rewritten, so that its sender may compare all bytes
    let mut report = report;
    report["series"] = json!(apart);
    caller.post_json("/v1/headers", &report).await.refused(400, Code::ReportInvalid);
    // a header that was made elsewhere is what its unit has signed
    let made = sender.sign(kho_proto::record::Draft { series: apart.to_owned(), ..sender.draft() }, b"x");
    caller.post_json("/v1/records", &crate::http_records::submission(&made)).await.good(201);
}

/// Percent-encodes.
struct Url;
const URL: Url = Url;

impl Url {
    fn replace_all(&self, text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_counts_and_histories_are_those_of_grpc() {
    let (world, _nodes, _) = World::formed(1).await;
    let client = world.platform(1).await;
    let country = Country::fill(&world, &client).await;
    let mut caller = Caller::new(&world, PLATFORM);
    let encoded = URL.replace_all("đối tượng 3");
    let cases = [
        ("", Filter::default(), Order::Newest),
        ("order=oldest", Filter::default(), Order::Oldest),
        ("unit=BYT", Filter { unit: "BYT".into(), ..Filter::default() }, Order::Newest),
        ("receiver=VPCP", Filter { receiver: "VPCP".into(), ..Filter::default() }, Order::Newest),
        (
            "regime=YT-01&unit=BYT&order=period",
            Filter { regime: "YT-01".into(), unit: "BYT".into(), ..Filter::default() },
            Order::Period,
        ),
        ("period=2020-01/2020-03", Filter { period: "2020-01/2020-03".into(), ..Filter::default() }, Order::Newest),
        (
            "period_from=2020-01&period_to=2020-03",
            Filter { period_from: "2020-01".into(), period_to: "2020-03".into(), ..Filter::default() },
            Order::Newest,
        ),
        ("state=superseded", Filter { state: 2, ..Filter::default() }, Order::Newest),
        (
            "accepted_from=2020-01-01T00:00:00.000%2B07:00",
            Filter { accepted_from: "2020-01-01T00:00:00.000+07:00".into(), ..Filter::default() },
            Order::Newest,
        ),
        (
            &format!("series={encoded}"),
            Filter { series: Some("đối tượng 3".into()), ..Filter::default() },
            Order::Newest,
        ),
    ];
    let mut seen = 0;
    for (n, (query, filter, order)) in cases.into_iter().enumerate() {
        caller.h2 = n % 2 == 0;
        let expect = all(&client, filter.clone(), order).await;
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let page = caller.get(&format!("/v1/records?{query}&page_size=4{token}")).await.good(200);
            let entries = page["entries"].as_array().unwrap();
            assert!(entries.len() <= 4 && page["freshness"]["linearizable"] == true);
            found.extend(entries.iter().cloned());
            match page.get("next_page_token") {
                Some(next) => token = format!("&page_token={}", next.as_str().unwrap()),
                None => break,
            }
        }
        assert_eq!(found.len(), expect.len(), "{query}");
        for (found, expect) in found.iter().zip(&expect) {
            let id = kho_proto::id::RecordId::try_from(&expect.record_id[..]).unwrap().to_string();
            assert_eq!((&found["sequence"], &found["record_id"]), (&json!(expect.sequence), &json!(id)));
            assert_eq!((&found["series"], &found["period"]), (&json!(expect.series), &json!(expect.period)));
            assert_eq!(
                (&found["revision"], &found["payload_length"]),
                (&json!(expect.revision), &json!(expect.payload_length))
            );
            assert_eq!(
                (&found["accepted_at"], &found["receivers"]),
                (&json!(expect.accepted_at), &json!(expect.receivers))
            );
            let state = expect.state().as_str_name().to_lowercase();
            assert_eq!(found["state"], state);
        }
        seen += found.len();
        if !query.contains("order") {
            let count = caller.get(&format!("/v1/records/count?{query}")).await.good(200);
            assert_eq!(count["count"], expect.len(), "{query}");
            assert!(count.get("next_page_token").is_none());
        }
    }
    assert!(seen > 60, "{seen}: the filters let something through");

    let (draft, latest) = country.records.iter().rev().find(|(draft, _)| draft.series == "đối tượng 3").unwrap();
    let id = id_of(latest);
    let history = caller.get(&format!("/v1/records/{id}/history?order=oldest")).await.good(200);
    let revisions: Vec<_> = history["revisions"].as_array().unwrap().iter().map(|entry| &entry["revision"]).collect();
    assert_eq!(revisions, [1, 2, 3]);
    let path =
        format!("/v1/series?unit={}&regime={}&period={}&series={encoded}", draft.unit, draft.regime, draft.period);
    let by_names = caller.get(&path).await.good(200);
    assert_eq!(by_names["revisions"][0]["record_id"], id.to_string(), "newest first");
    assert_eq!(by_names["revisions"].as_array().unwrap().len(), 3);
}
