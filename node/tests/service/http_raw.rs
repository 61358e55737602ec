//! HTTP/1.1 byte by byte, as an attacker, a broken proxy and a slow link write it.

use std::time::{Duration, Instant};

use kho_proto::error::Code;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::http_client::{Caller, PLATFORM};
use crate::http_records::submission;
use crate::sender::Sender;
use crate::world::{World, tree};

const HEALTH: &str = "GET /v1/health HTTP/1.1\r\nhost: kho\r\n\r\n";

/// All that comes until the node closes, or for so long.
async fn rest(stream: &mut TlsStream<TcpStream>, wait: Duration) -> (String, bool) {
    let mut read = Vec::new();
    let begun = Instant::now();
    loop {
        let left = wait.saturating_sub(begun.elapsed());
        match tokio::time::timeout(left, stream.read_buf(&mut read)).await {
            Ok(Ok(0) | Err(_)) => return (String::from_utf8_lossy(&read).into_owned(), true),
            Ok(Ok(_)) => {}
            Err(_elapsed) => return (String::from_utf8_lossy(&read).into_owned(), false),
        }
    }
}

async fn sent(caller: &Caller, bytes: impl AsRef<[u8]>, wait: Duration) -> (String, bool) {
    let mut stream = caller.tls().await;
    // an error: refused before all of it was read, which the answer shows
    drop(stream.write_all(bytes.as_ref()).await);
    drop(stream.flush().await);
    rest(&mut stream, wait).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_one_length() {
    let (world, nodes, _) = World::formed(1).await;
    let (caller, sender) = (Caller::new(&world, PLATFORM), Sender::new(&world.signers, "BYT"));
    let before = tree(&nodes[0]);
    let body = submission(&sender.report()).to_string();
    let length = body.len();
    // a reader that believes the other length sees a second request in the body
    let smuggled = format!("0\r\n\r\n{HEALTH}");
    let post = |headers: &str, body: &str| {
        format!("POST /v1/records HTTP/1.1\r\nhost: kho\r\ncontent-type: application/json\r\n{headers}\r\n\r\n{body}")
    };
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let wait = Duration::from_secs(3);
    let both = [
        post(&format!("content-length: {}\r\ntransfer-encoding: chunked", smuggled.len()), &smuggled),
        post(&format!("transfer-encoding: chunked\r\ncontent-length: {}", smuggled.len()), &smuggled),
        post("transfer-encoding: chunked", &chunked),
        format!("GET /v1/health HTTP/1.1\r\nhost: kho\r\ntransfer-encoding: chunked\r\n\r\n{smuggled}"),
        format!("GET /nowhere HTTP/1.1\r\nhost: kho\r\ntransfer-encoding: chunked\r\n\r\n{smuggled}"),
    ];
    for request in both {
        let (answer, closed) = sent(&caller, &request, wait).await;
        assert!(answer.starts_with("HTTP/1.1 411 ") && closed, "{request}\n-> {answer}");
        assert!(answer.contains(Code::HttpLengthRequired.as_str()), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "what was smuggled is not answered: {answer}");
    }
    let malformed = [
        post(&format!("content-length: {length}\r\ncontent-length: {}", length - 1), &body),
        post(&format!("content-length: +{length}"), &body),
        post(&format!("content-length: {length}, {length}0"), &body),
        post("content-length: -1", &body),
        post("content-length: 18446744073709551616", &body),
        post(&format!("content-length : {length}"), &body),
        post(&format!("content-length: {length}\r\ntransfer-encoding: xchunked"), &body),
        post(&format!("content-length: {length}\r\nx: a\r\n b: c"), &body),
        "GET /v1/health HTTP/1.1\r\nhost: kho\r\nx: a\0b\r\n\r\n".to_owned(),
        "GET  /v1/health HTTP/1.1\r\nhost: kho\r\n\r\n".to_owned(),
    ];
    for request in malformed {
        let (answer, closed) = sent(&caller, &request, wait).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && closed, "{request}\n-> {answer}");
    }
    assert_eq!(tree(&nodes[0]), before);
    // the same length twice is one length
    let twice = post(&format!("content-length: {length}\r\ncontent-length: {length}\r\nconnection: close"), &body);
    let (answer, closed) = sent(&caller, &twice, wait).await;
    assert!(answer.starts_with("HTTP/1.1 201 ") && closed, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_bounded_and_a_connection_serves_many_requests() {
    let (world, _nodes, _) = World::formed(1).await;
    let mut caller = Caller::new(&world, PLATFORM);
    let wait = Duration::from_secs(3);
    for large in [
        format!("GET /v1/health HTTP/1.1\r\nhost: kho\r\nx: {}\r\n\r\n", "a".repeat(17 << 10)),
        format!("GET /v1/{} HTTP/1.1\r\nhost: kho\r\n\r\n", "a".repeat(17 << 10)),
        format!("GET /v1/health HTTP/1.1\r\nhost: kho\r\n{}\r\n", "x: a\r\n".repeat(200)),
    ] {
        let (answer, closed) = sent(&caller, &large, wait).await;
        assert!(answer.starts_with("HTTP/1.1 431 ") && closed, "{answer}");
    }
    let mut stream = caller.tls().await;
    for request in [HEALTH, "GET /nowhere HTTP/1.1\r\nhost: kho\r\n\r\n", HEALTH] {
        stream.write_all(request.as_bytes()).await.unwrap();
        let (answer, closed) = rest(&mut stream, Duration::from_millis(300)).await;
        assert!(answer.starts_with("HTTP/1.1 ") && !closed, "{answer}");
    }
    stream.write_all(format!("{HEALTH}{HEALTH}").as_bytes()).await.unwrap();
    let (answers, _) = rest(&mut stream, Duration::from_millis(300)).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "one after the other: {answers}");

    caller.h2 = true;
    let large = "a".repeat(17 << 10);
    let refused = caller.ask(http::Method::GET, "/v1/health", &[("x", &large)], "").await;
    assert_eq!(refused.status, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slow_are_cut_and_their_bytes_are_bounded() {
    let (world, _nodes, _) = World::formed(1).await;
    let caller = Caller::new(&world, PLATFORM);
    let begun = Instant::now();
    let (answer, closed) = sent(&caller, "GET /v1/health HTTP/1.1\r\nhost: k", Duration::from_secs(9)).await;
    assert!(closed && !answer.contains("200"), "half a head, after {:?}: {answer}", begun.elapsed());

    // bodies that stop short of their length, one more than the node takes at once
    let head = format!(
        "POST /v1/headers HTTP/1.1\r\nhost: k\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        16 << 20
    );
    let slow = [head.as_bytes(), &vec![b' '; (16 << 20) - 1]].concat();
    let answers = futures::future::join_all((0..7).map(|_| sent(&caller, &slow, Duration::from_secs(40)))).await;
    let (mut idle, mut overloaded) = (0, 0);
    for (answer, closed) in answers {
        assert!(closed, "{answer}");
        if answer.starts_with("HTTP/1.1 408 ") {
            assert!(answer.contains(Code::StreamIdle.as_str()), "{answer}");
            idle += 1;
        } else {
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"code\":\"overloaded\""), "{answer}");
            assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
            overloaded += 1;
        }
    }
    assert!(idle > 0 && overloaded > 0, "{idle} idle, {overloaded} refused");
    let (answer, _) = sent(&caller, HEALTH, Duration::from_millis(500)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_begins_is_cut() {
    let (world, _nodes, _) = World::formed(1).await;
    let mut caller = Caller::new(&world, PLATFORM);
    for h2 in [false, true] {
        caller.h2 = h2;
        // TLS and nothing else, and less than tells which HTTP it will be
        let waited = ["", "PRI * HTTP/2.0"].map(|begun| sent(&caller, begun, Duration::from_secs(9)));
        for (answer, closed) in futures::future::join_all(waited).await {
            assert!(closed && !answer.contains("200"), "h2 {h2}: {answer}");
        }
    }
    // a connection that has said what it is may rest
    caller.h2 = false;
    let mut stream = caller.tls().await;
    for _ in 0..2 {
        stream.write_all(HEALTH.as_bytes()).await.unwrap();
        let (answer, closed) = rest(&mut stream, Duration::from_millis(500)).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && !closed, "{answer}");
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_reports_hold_no_room_of_others_answers() {
    // more than the room of a plane has answers
    const SLOW: usize = 40;
    let (world, _nodes, _) = World::formed(1).await;
    let caller = Caller::new(&world, PLATFORM);
    let head =
        "POST /v1/headers HTTP/1.1\r\nhost: k\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut stream = caller.tls().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let asked = caller.ask(http::Method::GET, "/v1/records", &[], "");
    let answer = tokio::time::timeout(Duration::from_secs(3), asked).await.expect("a list is answered");
    answer.good(200);
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_counts_for_http_too_and_nobody_is_cut_off() {
    let (world, nodes, _) = World::formed(1).await;
    let caller = Caller::new(&world, PLATFORM);
    let mut old = caller.tls().await;
    let shown = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let card = world.clients.card(&["127.0.0.1"], &[]);
    world.write("client1.pem", &card.certificate);
    world.write("client1.key", &card.key);
    nodes[0].reload_certificates();
    let new = caller.tls().await;
    assert_ne!(shown(&old), shown(&new));
    old.write_all(HEALTH.as_bytes()).await.unwrap();
    let (answer, closed) = rest(&mut old, Duration::from_millis(500)).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !closed, "{answer}");
    // another authority for clients: those of the old one may come no more
    let others = crate::world::Authority::new("others");
    world.write("client-ca.pem", &others.issuer.pem());
    nodes[0].reload_certificates();
    let mut late = caller.tls().await;
    drop(late.write_all(HEALTH.as_bytes()).await);
    let (answer, closed) = rest(&mut late, Duration::from_secs(3)).await;
    assert!(answer.is_empty() && closed, "{answer}");
}
