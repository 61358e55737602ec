//! Bad input over HTTP: each with its status and code, and the tree as it was.

use bytes::Bytes;
use http::Method;
use kho_proto::error::Code;
use kho_proto::header::PAYLOAD_LENGTH_MAX;
use kho_proto::id::RecordId;
use serde_json::json;

use crate::http_client::{Caller, JSON, PLATFORM};
use crate::http_records::{b64, submission};
use crate::sender::Sender;
use crate::thin_line::{id_of, submit};
use crate::world::{World, tree};

const RECORDS: &str = "/v1/records";
const HEADERS: &str = "/v1/headers";

fn report(more: &str) -> String {
    format!(r#"{{"unit":"BYT","regime":"YT-01","period":"2020-06"{more}}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_break_a_rule() {
    let (world, nodes, _) = World::formed(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let record = sender.report();
    submit(&world.platform(1).await, &record).await.unwrap();
    let id = id_of(&record);
    let mut caller = Caller::new(&world, PLATFORM);
    let before = tree(&nodes[0]);

    let absent = format!("/v1/records/{}", RecordId::new_v7(1, &[7; 10]));
    let gets = [
        ("/", 404, Code::HttpPathUnknown),
        ("/v2/records", 404, Code::HttpPathUnknown),
        ("/v1/records/", 404, Code::HttpPathUnknown),
        ("/kho.v1.Store/Get", 404, Code::HttpPathUnknown),
        ("/metrics", 404, Code::HttpPathUnknown),
        (HEADERS, 405, Code::HttpMethodNotAllowed),
        ("/v1/records/abc", 400, Code::RequestMalformed),
        (&format!("/v1/records/{}", id.to_string().to_uppercase()), 400, Code::RequestMalformed),
        (&absent, 404, Code::RecordUnknown),
        (&format!("{absent}/receipt"), 404, Code::RecordUnknown),
        (&format!("{absent}/history"), 404, Code::RecordUnknown),
        (&format!("/v1/records/{id}?x=1"), 400, Code::RequestMalformed),
        ("/v1/records?unti=BYT", 400, Code::RequestMalformed),
        ("/v1/records?unit=BYT&unit=BCA", 400, Code::RequestMalformed),
        ("/v1/records?unit=", 400, Code::RequestMalformed),
        ("/v1/records?unit=%FF", 400, Code::RequestMalformed),
        ("/v1/records?unit=-", 400, Code::RequestMalformed),
        ("/v1/records?period=2020-13", 400, Code::PeriodInvalid),
        ("/v1/records?accepted_from=2020-01-01T00:00:00.000+07:00", 400, Code::RequestMalformed),
        ("/v1/records?state=old", 400, Code::RequestMalformed),
        ("/v1/records?order=period", 400, Code::RequestMalformed),
        ("/v1/records?page_size=0", 400, Code::RequestMalformed),
        ("/v1/records?page_size=1001", 400, Code::RequestMalformed),
        ("/v1/records?stale=yes", 400, Code::RequestMalformed),
        ("/v1/records?page_token=!", 400, Code::PageTokenInvalid),
        ("/v1/records?page_token=AAAA", 400, Code::PageTokenInvalid),
        ("/v1/records/count?order=newest", 400, Code::RequestMalformed),
        ("/v1/series?unit=BYT", 400, Code::RequestMalformed),
        ("/v1/health?x", 400, Code::RequestMalformed),
    ];
    for (n, (path, status, code)) in gets.into_iter().enumerate() {
        caller.h2 = n % 2 == 0;
        caller.get(path).await.refused(status, code);
    }
    let refused = caller.ask(Method::DELETE, RECORDS, &[], "").await;
    refused.refused(405, Code::HttpMethodNotAllowed);
    assert_eq!(refused.header("allow"), "POST,GET,HEAD");
    for (path, accept) in
        [(RECORDS, "text/html"), (&format!("/v1/records/{id}"), "text/plain"), ("/openapi.json", "image/*")]
    {
        caller.get_as(path, accept).await.refused(406, Code::HttpNotAcceptable);
    }

    let good = submission(&sender.report()).to_string();
    let posts: Vec<(&str, &str, Bytes, u16, Code)> = vec![
        (RECORDS, "text/plain", good.clone().into(), 415, Code::HttpMediaTypeUnsupported),
        (RECORDS, "", good.clone().into(), 415, Code::HttpMediaTypeUnsupported),
        (HEADERS, "application/octet-stream", report(r#","text":"x""#).into(), 415, Code::HttpMediaTypeUnsupported),
        (RECORDS, JSON.1, "".into(), 400, Code::RequestMalformed),
        (RECORDS, JSON.1, "{".into(), 400, Code::RequestMalformed),
        (RECORDS, JSON.1, "null".into(), 400, Code::RequestMalformed),
        (RECORDS, JSON.1, format!("\u{feff}{good}").into(), 400, Code::RequestMalformed),
        (RECORDS, JSON.1, format!("{good}{good}").into(), 400, Code::RequestMalformed),
        (RECORDS, JSON.1, good.replacen('{', r#"{"header":"AA==","#, 1).into(), 400, Code::RequestMalformed),
        (RECORDS, JSON.1, good.replacen('{', r#"{"extra":1,"#, 1).into(), 400, Code::RequestMalformed),
        (RECORDS, JSON.1, Bytes::from_static(b"{\"header\":\"\xc3\x28\"}"), 400, Code::RequestMalformed),
        (RECORDS, JSON.1, "[".repeat(100_000).into(), 400, Code::RequestMalformed),
        (RECORDS, JSON.1, good.replace("\"header\":\"", "\"header\":\"!").into(), 400, Code::RequestMalformed),
        (
            RECORDS,
            JSON.1,
            json!({"header": "", "payload": "", "certificates": [], "signature_block": ""}).to_string().into(),
            400,
            Code::HeaderFieldInvalid,
        ),
        (RECORDS, "application/octet-stream", "\u{1}".into(), 400, Code::RequestMalformed),
        (RECORDS, "multipart/form-data", good.clone().into(), 400, Code::RequestMalformed),
        (RECORDS, "multipart/form-data; boundary=b", good.clone().into(), 400, Code::RequestMalformed),
        (RECORDS, "multipart/form-data; boundary=b", parts(&["x"]), 400, Code::RequestMalformed),
        (RECORDS, "multipart/form-data; boundary=b", parts(&["header", "header"]), 400, Code::RequestMalformed),
        (RECORDS, "multipart/form-data; boundary=b", parts(&["certificates"; 17]), 400, Code::RequestMalformed),
        (RECORDS, "multipart/form-data; boundary=b", parts(&["header", "payload"]), 400, Code::RequestMalformed),
        (HEADERS, JSON.1, report("").into(), 400, Code::ReportInvalid),
        (HEADERS, JSON.1, report(r#","text":"a","text":"b""#).into(), 400, Code::ReportInvalid),
        (HEADERS, JSON.1, report(r#","figures":{"a":1,"a":2}"#).into(), 400, Code::ReportInvalid),
        (HEADERS, JSON.1, report(r#","figures":123456789012345678901234567890"#).into(), 400, Code::ReportInvalid),
        (HEADERS, JSON.1, report(r#","figures":1e999"#).into(), 400, Code::ReportInvalid),
        (
            HEADERS,
            JSON.1,
            report(&format!(r#","figures":{}{}"#, "[".repeat(200), "]".repeat(200))).into(),
            400,
            Code::ReportInvalid,
        ),
        (HEADERS, JSON.1, report(r#","figures":1,"unknown":2"#).into(), 400, Code::ReportInvalid),
        (HEADERS, JSON.1, report(r#","text":"a""#).replace("2020-06", "2020-6").into(), 400, Code::PeriodInvalid),
        (
            HEADERS,
            JSON.1,
            report(&format!(r#","text":"a","series":"{}""#, "x".repeat(257))).into(),
            400,
            Code::HeaderFieldInvalid,
        ),
        (HEADERS, JSON.1, report(",\"text\":\"a\",\"series\":\"a\u{309}\"").into(), 400, Code::ReportInvalid),
        (
            HEADERS,
            JSON.1,
            report(&format!(r#","text":"{}""#, "x".repeat(PAYLOAD_LENGTH_MAX + 1))).into(),
            413,
            Code::PayloadTooLarge,
        ),
        (HEADERS, JSON.1, vec![b' '; (16 << 20) + 1].into(), 413, Code::PayloadTooLarge),
        (RECORDS, JSON.1, vec![b' '; 6 << 20].into(), 413, Code::PayloadTooLarge),
        (RECORDS, "application/octet-stream", vec![0; 5 << 20].into(), 413, Code::PayloadTooLarge),
    ];
    for (n, (path, content_type, body, status, code)) in posts.into_iter().enumerate() {
        // a body that is refused by its length is still being sent when the answer comes: HTTP/2 has a word for that
        caller.h2 = status == 413 || n % 2 == 0;
        caller.post(path, content_type, body).await.refused(status, code);
    }
    assert_eq!(tree(&nodes[0]), before, "nothing has changed");

    // what is wrong with the record itself is said as by gRPC
    caller.h2 = false;
    let mut other = submission(&sender.report());
    other["payload"] = b64("another").into();
    caller.post_json(RECORDS, &other).await.refused(400, Code::PayloadLengthMismatch);
    let mut conflict = sender.draft();
    conflict.record_id = id;
    let problem = caller.post_json(RECORDS, &submission(&sender.sign(conflict, b"{}"))).await;
    let problem = problem.refused(409, Code::RecordIdConflict);
    assert!(problem["evidence_leaf"].as_str().unwrap().len() > 200, "{problem}");
    caller.post_json(RECORDS, &submission(&sender.report())).await.good(201);
}

fn parts(names: &[&str]) -> Bytes {
    let part = |name: &&str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\nx\r\n");
    format!("{}--b--\r\n", names.iter().map(part).collect::<String>()).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_what_they_see_by_grpc() {
    let (world, nodes, _) = World::formed(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let record = sender.report();
    submit(&world.platform(1).await, &record).await.unwrap();
    let path = format!("/v1/records/{}", id_of(&record));
    let before = tree(&nodes[0]);
    let with = |uris: &[&str]| Caller::new(&world, uris);

    with(&["urn:kho:role:reader", "urn:kho:unit:BYT"]).get(&path).await.good(200);
    let other = with(&["urn:kho:role:reader", "urn:kho:unit:BCA"]);
    other.get(&path).await.refused(404, Code::RecordUnknown);
    assert_eq!(other.get(RECORDS).await.good(200)["entries"], json!([]));
    let submitter = with(&["urn:kho:role:submitter", "urn:kho:unit:BCA"]);
    submitter.get(&path).await.refused(403, Code::RoleNotPermitted);
    submitter.get(RECORDS).await.refused(403, Code::RoleNotPermitted);
    submitter.post_json(RECORDS, &submission(&sender.report())).await.refused(403, Code::UnitNotPermitted);
    submitter.post(HEADERS, JSON.1, report(r#","text":"x""#)).await.refused(403, Code::UnitNotPermitted);
    other.post_json(RECORDS, &submission(&sender.report())).await.refused(403, Code::RoleNotPermitted);
    other.post(HEADERS, JSON.1, report(r#","text":"x""#)).await.refused(403, Code::RoleNotPermitted);

    let auditor = with(&["urn:kho:role:auditor"]);
    let entries = auditor.get(RECORDS).await.good(200)["entries"].clone();
    let names: Vec<_> = entries[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["sequence", "record_id", "accepted_at", "leaf"], "no names");
    auditor.get("/v1/records?unit=BYT").await.refused(403, Code::RoleNotPermitted);
    auditor.get(&path).await.refused(403, Code::RoleNotPermitted);

    for h2 in [false, true] {
        let mut nobody = Caller::of(&world, None);
        nobody.h2 = h2;
        for path in [&path, "/openapi.json", "/v1/health", "/nowhere"] {
            nobody.get(path).await.refused(403, Code::ClientCertificateMissing);
        }
        with(&["urn:kho:unit:BYT"]).get(&path).await.refused(403, Code::IdentityMissing);
    }
    assert_eq!(tree(&nodes[0]), before);
    let health = with(&["urn:kho:role:reader", "urn:kho:unit:BYT"]).get("/v1/health").await.good(200);
    assert_eq!((&health["status"], &health["leader_id"]), (&json!("serving"), &json!(1)));
    let document = with(&["urn:kho:role:reader", "urn:kho:unit:BYT"]).get("/openapi.json").await;
    assert_eq!(document.body, kho_node::web::openapi());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_come_again_is_told_when() {
    let world = World::new(1);
    let config = world.parse(&format!("{}[quotas]\nrecords_per_s = 1\nrecords_burst = 2\n", world.toml(1)));
    let _node = world.try_start(config).await.unwrap();
    let (caller, sender) = (Caller::new(&world, PLATFORM), Sender::new(&world.signers, "BYT"));
    // not formed yet: no leader, no receipts
    let health = caller.get("/v1/health").await;
    health.refused(503, Code::NoLeader);
    assert_eq!(health.header("retry-after"), "1");
    let early = caller.post_json(RECORDS, &submission(&sender.report())).await;
    assert_eq!((early.status.as_u16(), early.header("retry-after")), (503, "1"), "{early:?}");

    world.form(1).await;
    let mut refused = 0;
    for _ in 0..6 {
        let answer = caller.post_json(RECORDS, &submission(&sender.report())).await;
        if answer.status != 201 {
            let problem = answer.refused(429, Code::QuotaExceeded);
            let wait = problem["retry_after_ms"].as_u64().unwrap();
            assert_eq!(answer.header("retry-after"), wait.div_ceil(1000).max(1).to_string());
            refused += 1;
        }
    }
    assert!(refused >= 2, "{refused}");
}
