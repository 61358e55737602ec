//! Several sites, and clients that are put together.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod fake;

use std::time::{Duration, Instant};

use fake::{Act, Fake, config, log, refuse, signed, signed_as, timing};
use kho_client::{Client, Config, ConfigError, NODES_MAX, SubmitError, Timing};
use kho_proto::error::Code;
use kho_proto::id::NodeId;

fn two_sites(first: &[&Fake], second: &[&Fake]) -> Client {
    let addresses = |nodes: &[&Fake]| nodes.iter().map(|node| node.address.clone()).collect::<Vec<_>>();
    Client::new(Config { further_sites: vec![addresses(second)], ..config(first) }).unwrap()
}

#[tokio::test]
async fn the_next_site_is_asked_only_when_no_node_of_the_first_answers() {
    let standby = Fake::node(9, 9, &[Act::Accept]).await;
    let (gone, well) = (Fake::absent().await, Fake::node(2, 2, &[Act::Accept]).await);
    let client = two_sites(&[&gone, &well], &[&standby]);
    for n in 0..5 {
        assert_eq!(client.submit(&signed_as(n).await).await.unwrap().node, NodeId(2));
        assert_eq!(client.get(signed().await.record_id()).await.unwrap().node, NodeId(2));
    }
    assert_eq!(standby.requests(), 0);

    let (one, two) = (Fake::absent().await, Fake::node(2, 0, &[refuse(Code::NoLeader)]).await);
    let client = two_sites(&[&one, &two], &[&standby]);
    assert_eq!(client.submit(&signed().await).await.unwrap().node, NodeId(9));
    assert_eq!(client.get(signed().await.record_id()).await.unwrap().node, NodeId(9));
    let (sender, mut results) = client.submit_stream();
    sender.send(signed().await).await.unwrap();
    assert_eq!(results.next().await.unwrap().answer.unwrap().node, NodeId(9));
}

#[tokio::test]
async fn a_deadline_is_one_calls() {
    let node = Fake::node(1, 1, &[Act::Hang]).await;
    let client = fake::client(&[&node]);
    let start = Instant::now();
    let error = client.within(Duration::from_millis(150)).submit(&signed().await).await.unwrap_err();
    let short = start.elapsed();
    assert!(matches!(error, SubmitError::Unknown { attempts: 1, .. }), "{error}");
    assert!(short < timing().deadline / 2, "{short:?}");
    let start = Instant::now();
    client.submit(&signed_as(1).await).await.unwrap_err();
    assert!(start.elapsed() > timing().deadline - timing().attempt, "the client's own is as it was");
}

/// An attempt as long as the call left no time for anybody else.
#[tokio::test]
async fn a_short_call_has_time_for_the_node_after_one_that_hangs() {
    let (hangs, well) = (Fake::node(1, 1, &[Act::Hang]).await, Fake::node(2, 2, &[Act::Accept]).await);
    let short = Duration::from_secs(1);
    let client = Client::new(Config { timing: Timing::default(), ..config(&[&hangs, &well]) }).unwrap();
    assert_eq!(client.within(short).submit(&signed().await).await.unwrap().node, NodeId(2));
    let built = Client::builder().site([&hangs.address, &well.address]).without_tls();
    let built = built.log_key(log().verifier_key().clone()).deadline(short).build().unwrap();
    assert_eq!(built.submit(&signed().await).await.unwrap().node, NodeId(2));
}

#[tokio::test]
async fn a_builder_tells_all_mistakes_at_once() {
    let error = Client::builder()
        .site(["kho1", "kho2:7101", "kho2:7101"])
        .site(Vec::<String>::new())
        .log_key_text("no key")
        .timing(Timing { deadline: Duration::ZERO, hedge: Some(Duration::ZERO), ..Timing::default() })
        .build()
        .err()
        .unwrap();
    assert_eq!(error.code(), Code::ConfigInvalid);
    let ConfigError::Invalid { problems } = &error else { panic!("{error}") };
    let told: Vec<_> = problems.iter().map(|problem| (problem.field, problem.found.as_str())).collect();
    let expected = [
        ("tls", "none"),
        ("log_key", "\"no key\""),
        ("further_sites", "none"),
        ("nodes", "\"kho1\""),
        ("nodes", "\"kho2:7101\" twice"),
        ("timing.deadline", "0 ms"),
        ("timing.hedge", "0 ms"),
    ];
    assert_eq!(told, expected);
    assert!(error.to_string().contains("tls: expected certificate, key and trusted roots, found none; log_key:"));

    let error = Client::builder().build().err().unwrap().to_string();
    for field in ["tls:", "log_key:", "nodes:"] {
        assert!(error.contains(field), "{error}");
    }
    let many = (0..=NODES_MAX).map(|n| format!("kho:{n}"));
    let key = log().verifier_key().clone();
    let both = Client::builder().site(many).without_tls().log_key(key).receipts_unchecked().build();
    let both = both.err().unwrap().to_string();
    assert!(both.contains("at most 16 nodes, found 17") && both.contains("found both"), "{both}");
    // a file that is not there keeps its own code where nothing else is wrong
    let builder = || Client::builder().site(["kho:1"]).log_key_text(&log().verifier_key().to_string());
    let missing = builder().tls_files("/nowhere/a", "/nowhere/b", "/nowhere/c").build().err().unwrap();
    assert!(matches!(missing, ConfigError::Channel(_)), "{missing}");
    assert_eq!(missing.code(), Code::TlsFileInvalid);
    builder().without_tls().build().unwrap();
}

#[tokio::test]
async fn a_built_client_submits() {
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    let text = format!("{}\n\n{}\n", log().verifier_key(), fake::log::log_of(2, 9).verifier_key());
    let client = Client::builder().site([&node.address]).without_tls().log_key_text(&text).timing(timing());
    let done = client.build().unwrap().submit(&signed().await).await.unwrap();
    assert_eq!(done.checkpoint.unwrap().size, fake::log::SIZE);
}
