//! The public log over TLS, as curl, a monitor and an attacker meet it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kho_node::serve::Node;
use kho_proto::checkpoint::VerifierKey;
use kho_proto::digest::Digest;
use kho_proto::leaf::{Leaf, LeafKind};
use kho_proto::merkle::{leaf_hash, root_of};
use kho_proto::tlog::{Bundle, Comparison, Tile, Tiles, compare, tiles_to_compare};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::client::TlsStream;

use crate::sender::Sender;
use crate::thin_line::submit;
use crate::world::{World, tree};

/// An answer, whole.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert!(self.text().starts_with(&format!("{code}: ")), "{}", self.text());
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("content-type"), "text/plain; charset=utf-8");
    }
}

async fn tls(world: &World, node: usize, alpn: &[&str]) -> TlsStream<tokio::net::TcpStream> {
    let tcp = tokio::net::TcpStream::connect(("127.0.0.1", world.port(node, "log"))).await.unwrap();
    secure(world, tcp, alpn).await.unwrap()
}

async fn secure(
    world: &World,
    tcp: tokio::net::TcpStream,
    alpn: &[&str],
) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(world.path("log-ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// One request on a connection of its own, over HTTP/2 or HTTP/1.1.
async fn ask(world: &World, node: usize, h2: bool, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let io = TokioIo::new(tls(world, node, if h2 { &["h2"] } else { &["http/1.1"] }).await);
    let target = if h2 { format!("https://127.0.0.1{path}") } else { path.to_owned() };
    let mut request = Request::builder().method(method).uri(target);
    if !h2 {
        request = request.header("host", "127.0.0.1");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let response = if h2 {
        let (mut send, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        send.send_request(request).await.unwrap()
    } else {
        let (mut send, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        send.send_request(request).await.unwrap()
    };
    let (parts, body) = response.into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

async fn get(world: &World, path: &str) -> Answer {
    ask(world, 1, true, Method::GET, path, &[]).await
}

async fn good(world: &World, path: &str) -> Bytes {
    let answer = get(world, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.body
}

/// One node with so many records.
async fn formed(
    records: usize,
) -> (World, Vec<Node>, VerifierKey, kho_proto::pb::v1::store_client::StoreClient<tonic::transport::Channel>) {
    let (world, nodes, key) = World::formed(1).await;
    let client = world.platform(1).await;
    fill(&world, &client, records).await;
    (world, nodes, key, client)
}

async fn fill(
    world: &World,
    client: &kho_proto::pb::v1::store_client::StoreClient<tonic::transport::Channel>,
    records: usize,
) {
    let sender = Sender::new(&world.signers, "BYT");
    // no more at once than the queue of a test's node takes
    for _ in 0..records.div_ceil(32) {
        let waiting: Vec<_> = (0..32.min(records)).map(|_| sender.report()).collect();
        let sent = waiting.into_iter().map(|record| {
            let client = client.clone();
            async move { submit(&client, &record).await }
        });
        futures::future::try_join_all(sent).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_path_over_both_versions_of_http() {
    let (world, nodes, key, _client) = formed(32).await;
    assert_eq!(tree(&nodes[0]).0, 33);
    for h2 in [true, false] {
        let get = async |path: &str| ask(&world, 1, h2, Method::GET, path, &[]).await;
        let note = get("/checkpoint").await;
        assert_eq!((note.status.as_u16(), note.header("content-type")), (200, "text/plain; charset=utf-8"));
        assert_eq!(note.header("cache-control"), "public, max-age=1");
        let checkpoint = key.open(&note.body).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), tree(&nodes[0]));
        assert_eq!(note.header("etag"), format!("\"33-{}\"", checkpoint.root));

        let bundle = get("/tile/entries/000.p/33").await;
        assert_eq!((bundle.status.as_u16(), bundle.header("content-type")), (200, "application/octet-stream"));
        assert_eq!(bundle.header("cache-control"), "public, max-age=86400, immutable");
        let leaves = Bundle { index: 0, width: 33 }.decode(&bundle.body).unwrap();
        let hashes: Vec<Digest> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        assert_eq!(root_of(&hashes), checkpoint.root, "the leaves are those of the signed tree");
        assert_eq!(Leaf::decode(leaves[0]).unwrap().kind, LeafKind::Genesis);

        let tile = get("/tile/0/000.p/33").await;
        assert_eq!((tile.status.as_u16(), tile.header("content-type")), (200, "application/octet-stream"));
        assert_eq!(tile.header("x-content-type-options"), "nosniff");
        let expected: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
        assert_eq!(tile.body, expected);
        assert_eq!(get("/tile/0/000.p/1").await.body, expected[..32], "that of a smaller tree");

        for absent in [
            "/tile/0/000",
            "/tile/0/000.p/34",
            "/tile/0/001.p/1",
            "/tile/1/000.p/1",
            "/tile/63/000",
            "/tile/entries/000",
            "/tile/entries/x018/x446/x744/x073/x709/x551/615",
        ] {
            let answer = get(absent).await;
            answer.refused(404, "log-tile-absent");
            assert_eq!(answer.header("retry-after"), "1");
        }
        for malformed in [
            "/tile/0/0",
            "/tile/64/000",
            "/tile/0/000.p/256",
            "/tile/0/x000/000",
            "/tile/0/00%30",
            "/tile/entries/",
            "/tile/0/000.p/0",
            "/tile/00/000",
            "/tile/../checkpoint",
        ] {
            get(malformed).await.refused(400, "log-path-malformed");
        }
        for unknown in ["/", "/metrics", "/checkpoint/", "//checkpoint", "/tiles/0/000", "/kho.v1.Store/Get"] {
            get(unknown).await.refused(404, "log-path-unknown");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
            let answer = ask(&world, 1, h2, method, "/checkpoint", &[]).await;
            answer.refused(405, "log-method-not-allowed");
            assert_eq!(answer.header("allow"), "GET, HEAD");
        }
        for (path, status) in [("/checkpoint", 200), ("/tile/0/000.p/33", 200), ("/tile/0/000", 404)] {
            let (whole, head) = (get(path).await, ask(&world, 1, h2, Method::HEAD, path, &[]).await);
            assert_eq!((head.status.as_u16(), head.body.len()), (status, 0), "{path}");
            for name in ["content-length", "content-type", "cache-control", "etag"] {
                assert_eq!(head.header(name), whole.header(name), "{path}: {name}");
            }
            assert_eq!(head.header("content-length"), whole.body.len().to_string());
        }
        let tag = note.header("etag");
        let again = ask(&world, 1, h2, Method::GET, "/checkpoint", &[("if-none-match", tag)]).await;
        assert_eq!((again.status.as_u16(), again.body.len(), again.header("etag")), (304, 0, tag));
        let other = ask(&world, 1, h2, Method::GET, "/checkpoint", &[("if-none-match", "\"32-x\"")]).await;
        assert_eq!(other.body, note.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_tiles_stay_for_ever_and_checkpoints_extend_each_other() {
    let (world, nodes, key, client) = formed(224).await;
    let old = key.open(&good(&world, "/checkpoint").await).unwrap();
    assert_eq!(old.size, 225);
    fill(&world, &client, 96).await;
    let new = key.open(&good(&world, "/checkpoint").await).unwrap();
    assert_eq!((new.size, new.root), tree(&nodes[0]));
    assert_eq!(new.size, 321);
    for path in ["/tile/0/000", "/tile/entries/000"] {
        let answer = get(&world, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("cache-control")),
            (200, "public, max-age=31536000, immutable")
        );
    }
    assert_eq!(good(&world, "/tile/0/000").await[..32 * 225], good(&world, "/tile/0/000.p/225").await[..]);
    assert_eq!(good(&world, "/tile/1/000.p/1").await.len(), 32);
    let bundle = Bundle { index: 1, width: 65 };
    assert_eq!(bundle.decode(&good(&world, "/tile/entries/001.p/65").await).unwrap().len(), 65);

    let mut tiles = Tiles::of_size(new.size);
    for tile in tiles_to_compare(old.size, new.size) {
        let bytes = good(&world, &format!("/{}", kho_proto::tlog::Resource::Tile(tile))).await;
        tiles.insert(tile, &bytes).unwrap();
    }
    assert!(matches!(compare(&tiles, &old, &new), Ok(Comparison::Consistent { .. })));
    assert_eq!(Tile::at(0, 1, new.size), Some(Tile { level: 0, index: 1, width: 65 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_publishes_the_same_and_one_without_keys_no_checkpoint() {
    let world = World::new(3);
    let mut nodes = Vec::new();
    for node in 1..=3 {
        let toml = world.toml(node);
        let toml = if node == 3 { toml.replace("keyring = \"keyring\"\n", "") } else { toml };
        nodes.push(world.try_start(world.parse(&toml)).await.unwrap());
    }
    ask(&world, 1, true, Method::GET, "/checkpoint", &[]).await.refused(503, "not-initialized");
    world.form(1).await;
    submit(&world.platform(1).await, &Sender::new(&world.signers, "BYT").report()).await.unwrap();
    let start = Instant::now();
    while nodes.iter().any(|node| tree(node).0 < 2) {
        assert!(start.elapsed() < Duration::from_secs(10), "the nodes do not catch up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let first = ask(&world, 1, true, Method::GET, "/checkpoint", &[]).await;
    let second = ask(&world, 2, true, Method::GET, "/checkpoint", &[]).await;
    assert_eq!((first.status.as_u16(), &first.body), (200, &second.body), "signatures are deterministic");
    assert_eq!(first.header("etag"), second.header("etag"));
    let third = ask(&world, 3, true, Method::GET, "/checkpoint", &[]).await;
    third.refused(503, "keys-missing");
    assert_eq!(third.header("retry-after"), "1");
    let tile = ask(&world, 3, true, Method::GET, "/tile/0/000.p/2", &[]).await;
    assert_eq!(tile.body, ask(&world, 1, true, Method::GET, "/tile/0/000.p/2", &[]).await.body, "tiles need no keys");
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_nothing_is_published() {
    let world = World::new(1);
    let toml = world.toml(1);
    let start = toml.find("[tls.log]").unwrap();
    let end = start + toml[start..].find("[signers]").unwrap();
    let without = format!("{}{}", &toml[..start], &toml[end..]);
    let without = without.replace(&format!("log = \"127.0.0.1:{}\"\n", world.port(1, "log")), "");
    let node = world.try_start(world.parse(&without)).await.unwrap();
    world.form(1).await;
    let refused = tokio::net::TcpStream::connect(("127.0.0.1", world.port(1, "log"))).await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    node.stop().await;
}

/// Nothing that its readers do may cost other planes anything, and nobody holds a place for ever.
#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end_and_too_many_connections() {
    let world = World::new(1);
    let few = world.toml(1).replace("[limits]\n", "[limits]\nlog_connections = 4\n");
    let node = world.try_start(world.parse(&few)).await.unwrap();
    world.form(1).await;

    let mut long = tls(&world, 1, &["http/1.1"]).await;
    let mut asked = "GET /checkpoint HTTP/1.1\r\nhost: x\r\n".to_owned();
    asked += &format!("x-long: {}\r\n\r\n", "x".repeat(20 << 10));
    // it may be cut before all is written
    let _written = long.write_all(asked.as_bytes()).await;
    let mut answer = Vec::new();
    let _cut = long.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));

    let mut slow = tls(&world, 1, &["http/1.1"]).await;
    slow.write_all(b"GET /checkpoint HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    let start = Instant::now();
    let mut answer = Vec::new();
    let _cut = slow.read_to_end(&mut answer).await;
    assert!(start.elapsed() < Duration::from_secs(9), "headers that never end hold the connection");

    // the places of the two are free a moment after their ends
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(tls(&world, 1, &["h2"]).await);
    }
    let mut tcp = tokio::net::TcpStream::connect(("127.0.0.1", world.port(1, "log"))).await.unwrap();
    assert_eq!(tcp.read(&mut [0; 1]).await.unwrap_or(0), 0, "the fifth is closed at once");
    submit(&world.platform(1).await, &Sender::new(&world.signers, "BYT").report()).await.unwrap();
    drop(held);
    let start = Instant::now();
    loop {
        let mut tcp = tokio::net::TcpStream::connect(("127.0.0.1", world.port(1, "log"))).await.unwrap();
        let closed = tokio::time::timeout(Duration::from_millis(100), tcp.read(&mut [0; 1])).await.is_ok();
        if !closed {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "places are not given back");
    }
    let note = good(&world, "/checkpoint").await;
    assert!(note.starts_with(kho_proto::id::ClusterId::to_string(&crate::world::CLUSTER).as_bytes()));
    node.stop().await;
}

/// Nobody is asked who they are, so one address has a share, as one certificate has elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn one_address_does_not_take_all_places() {
    /// The least there is (`SHARE_MIN`); a quarter of these places would be five.
    const SHARE: usize = 16;
    let world = World::new(1);
    let few = world.toml(1).replace("[limits]\n", "[limits]\nlog_connections = 20\n");
    let node = world.try_start(world.parse(&few)).await.unwrap();
    world.form(1).await;
    let from = async |source: &str| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
        let to = format!("127.0.0.1:{}", world.port(1, "log")).parse().unwrap();
        secure(&world, socket.connect(to).await.unwrap(), &["http/1.1"]).await
    };
    // answered, and kept open
    let serves = async |io: &mut TlsStream<tokio::net::TcpStream>| {
        // it may be cut before it is written
        let _written = io.write_all(b"GET /checkpoint HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut status = [0; 15];
        let answered = tokio::time::timeout(Duration::from_secs(5), io.read_exact(&mut status)).await;
        answered.expect("an answer or an end").is_ok_and(|_| status == *b"HTTP/1.1 200 OK")
    };
    let mut held = Vec::new();
    for number in 0..SHARE {
        let mut io = from("127.0.0.1").await.unwrap();
        assert!(serves(&mut io).await, "connection {number}");
        held.push(io);
    }
    let kept = match from("127.0.0.1").await {
        Ok(mut io) => serves(&mut io).await,
        Err(_closed) => false,
    };
    assert!(!kept, "more than its share");
    assert!(serves(&mut from("127.0.0.2").await.unwrap()).await, "the others' places are free");
    drop(held);
    node.stop().await;
}

/// Readers that take nothing hold a little each, keep nobody else from reading, and are cut.
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_take_nothing_hold_a_bounded_part() {
    const READERS: usize = 24;
    const REQUESTS: usize = 32;
    /// Of each (`CONNECTION_ANSWERS_MAX`).
    const ANSWERED: usize = 6;
    let (world, _nodes, _, client) = formed(256).await;
    let bundle = good(&world, "/tile/entries/000").await.len();
    assert!(READERS * REQUESTS * bundle > 32 << 20, "more than the room of all");
    let (answered, mut answers) = tokio::sync::mpsc::channel(READERS * REQUESTS);
    let mut connections = Vec::new();
    for _ in 0..READERS {
        let io = TokioIo::new(tls(&world, 1, &["h2"]).await);
        let mut handshake = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        handshake.initial_stream_window_size(0);
        let (send, connection) = handshake.handshake(io).await.unwrap();
        connections.push(tokio::spawn(connection));
        for _ in 0..REQUESTS {
            let (mut send, answered) = (send.clone(), answered.clone());
            tokio::spawn(async move {
                send.ready().await?;
                let request =
                    Request::get("https://127.0.0.1/tile/entries/000").body(Full::<Bytes>::default()).unwrap();
                // an answer that is kept and not taken
                drop(answered.send(send.send_request(request).await?).await);
                hyper::Result::Ok(())
            });
        }
    }
    drop(answered);
    let mut held = Vec::new();
    while held.len() < READERS * ANSWERED {
        let answer = tokio::time::timeout(Duration::from_secs(10), answers.recv()).await;
        held.push(answer.unwrap_or_else(|_| panic!("{} answers", held.len())).unwrap());
    }
    assert!(held.iter().all(|answer| answer.status() == 200));
    let more = tokio::time::timeout(Duration::from_secs(1), answers.recv()).await;
    assert!(more.is_err(), "no reader has more than {ANSWERED} answers that it does not take");
    good(&world, "/tile/entries/000").await;
    good(&world, "/checkpoint").await;
    submit(&client, &Sender::new(&world.signers, "BYT").report()).await.unwrap();
    let ends = tokio::time::timeout(Duration::from_secs(30), futures::future::join_all(connections)).await;
    assert_eq!(ends.expect("who takes nothing is cut").len(), READERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_kind_and_status() {
    let (world, _nodes, _, _client) = formed(0).await;
    good(&world, "/checkpoint").await;
    get(&world, "/tile/0/000").await.refused(404, "log-tile-absent");
    get(&world, "/tile/0/0").await.refused(400, "log-path-malformed");
    let operator = world.operators.card(&[], &["urn:kho:role:operator"]);
    let (_, text) = crate::admin_plane::scrape(&world, Some(&operator)).await;
    for line in [
        "kho_log_requests_total{kind=\"checkpoint\",status=\"200\"}",
        "kho_log_requests_total{kind=\"tile\",status=\"404\"}",
        "kho_log_requests_total{kind=\"other\",status=\"400\"}",
        "kho_connections{plane=\"log\"}",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    let status = world.operator(1).await.node_status(kho_proto::pb::admin::v1::NodeStatusRequest {}).await;
    assert_eq!(status.unwrap().into_inner().log_address, format!("127.0.0.1:{}", world.port(1, "log")));
}
