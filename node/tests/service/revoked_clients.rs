//! A certificate of a client or an operator that was stolen: listed, it is shut out while everybody else goes on. // R-C5 R-C7

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use kho_node::serve::Node;
use kho_proto::error::Code;
use kho_proto::pb::v1::{Filter, WatchRequest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::admin_plane::scrape;
use crate::http_client::{Caller, PLATFORM};
use crate::revocation::list_of;
use crate::sender::Sender;
use crate::thin_line::submit;
use crate::world::{Authority, Card, World};

/// What a node does within milliseconds, on a machine that has time for it.
const SOON: Duration = Duration::from_secs(10);
/// Less than a node's patience with who says nothing.
const CUT: Duration = Duration::from_secs(4);
/// How HTTP/2 begins: preface, and settings that say nothing.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const OPERATOR: &[&str] = &["urn:kho:role:operator"];

/// A node whose clients and operators have lists.
struct Scene {
    world: World,
    node: Node,
    sender: Sender,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new(1);
        write(&world, &world.clients, "clients.crl", &[], -1000, 3600);
        write(&world, &world.operators, "operators.crl", &[], -1000, 3600);
        Self::of(world).await
    }

    async fn of(world: World) -> Self {
        let node = world.try_start(world.parse(&world.toml_with_lists())).await.unwrap();
        world.form(1).await;
        let sender = Sender::new(&world.signers, "BYT");
        Scene { world, node, sender }
    }

    /// A connection over HTTP/2 that asks nothing yet; or what is said to who comes.
    async fn try_open(&self, plane: &str, card: &Card) -> std::io::Result<TlsStream<TcpStream>> {
        let mut caller = Caller::on(&self.world, plane, Some(card.clone()));
        caller.h2 = true;
        let mut tls = caller.tls().await;
        tls.write_all(HELLO).await?;
        tls.flush().await?;
        tokio::time::timeout(SOON, tls.read_u8()).await.expect("an answer in time")?;
        Ok(tls)
    }

    async fn open(&self, plane: &str, card: &Card) -> TlsStream<TcpStream> {
        self.try_open(plane, card).await.unwrap()
    }

    async fn is_let_in(&self, plane: &str, card: &Card) {
        drop(self.open(plane, card).await);
    }

    async fn is_shut_out(&self, plane: &str, card: &Card) {
        let told = self.try_open(plane, card).await.expect_err("a refusal").to_string();
        assert_eq!(told, "received fatal alert: CertificateRevoked");
    }

    /// It was cut.
    async fn gone(&self, mut tls: TlsStream<TcpStream>) {
        assert!(tokio::time::timeout(CUT, to_the_end(&mut tls)).await.is_ok(), "it goes on");
    }
}

async fn to_the_end(tls: &mut TlsStream<TcpStream>) {
    while tls.read_u8().await.is_ok() {}
}

impl World {
    fn toml_with_lists(&self) -> String {
        let toml = self.toml(1);
        let client = toml.replace("[tls.client]\n", "[tls.client]\ncrl = \"clients.crl\"\n");
        let both = client.replace("[tls.admin]\n", "[tls.admin]\ncrl = \"operators.crl\"\n");
        assert_eq!(both.matches("crl = ").count(), 2);
        both
    }
}

fn write(world: &World, authority: &Authority, name: &str, revoked: &[&Card], made: i64, renewed: i64) {
    let der = |card: &&Card| CertificateDer::from_pem_slice(card.certificate.as_bytes()).unwrap();
    let ders: Vec<_> = revoked.iter().map(der).collect();
    let ders: Vec<_> = ders.iter().map(AsRef::as_ref).collect();
    std::fs::write(world.path(name), list_of(authority, &ders, made, renewed)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_certificate_is_shut_out_and_nobody_else_notices() {
    let scene = Scene::new().await;
    let Scene { world, node, sender } = &scene;
    let (stolen, good) = (world.clients.card(&[], PLATFORM), world.clients.card(&[], PLATFORM));
    let (thief, client) = (world.store_of(1, Some(&stolen)).await, world.store_of(1, Some(&good)).await);
    submit(&thief, &sender.report()).await.unwrap();
    let request = WatchRequest { filter: Some(Filter::default()), from: Some(1) };
    let mut watch = thief.clone().watch(request).await.unwrap().into_inner();
    let idle = scene.open("client", &stolen).await;
    let (submitted, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let others = async {
        while !stop.load(Ordering::Relaxed) {
            submit(&client, &sender.report()).await.expect("a request of somebody else");
            submitted.fetch_add(1, Ordering::Relaxed);
        }
    };
    let more = async |count: usize| {
        let enough = submitted.load(Ordering::Relaxed) + count;
        while submitted.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let theft = async {
        more(5).await;
        write(world, &world.clients, "clients.crl", &[&stolen], -500, 3600);
        node.reload_certificates();
        scene.gone(idle).await;
        let watched = async { while let Ok(Some(_)) = watch.message().await {} };
        assert!(tokio::time::timeout(CUT, watched).await.is_ok(), "a watch goes on");
        for _ in 0..3 {
            scene.is_shut_out("client", &stolen).await;
        }
        scene.is_let_in("client", &good).await;
        more(5).await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(others, theft);
    let operator = world.operators.card(&[], OPERATOR);
    let (_, metrics) = scrape(world, Some(&operator)).await;
    for name in [
        "kho_connections_rejected_total{plane=\"client\",reason=\"revoked\"}",
        "kho_tls_crl_next_update_seconds{plane=\"client\"}",
        "kho_tls_crl_revoked{plane=\"client\"}",
    ] {
        assert!(metrics.contains(name), "{name} is missing in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_certificate_of_an_operator_is_shut_out() {
    let scene = Scene::new().await;
    let Scene { world, node, .. } = &scene;
    let (stolen, good) = (world.operators.card(&[], OPERATOR), world.operators.card(&[], OPERATOR));
    let (of_thief, mut of_good) = (scene.open("admin", &stolen).await, scene.open("admin", &good).await);
    write(world, &world.operators, "operators.crl", &[&stolen], -500, 3600);
    node.reload_certificates();
    scene.gone(of_thief).await;
    scene.is_shut_out("admin", &stolen).await;
    scene.is_let_in("admin", &good).await;
    let quiet = tokio::time::timeout(Duration::from_millis(200), to_the_end(&mut of_good)).await;
    assert!(quiet.is_err(), "the other's connection stays");
}

/// Neither what is no list, nor another's, nor an older one opens the door again.
#[tokio::test(flavor = "multi_thread")]
async fn lists_that_do_not_load_change_nothing() {
    let scene = Scene::new().await;
    let Scene { world, node, .. } = &scene;
    let (stolen, good) = (world.clients.card(&[], PLATFORM), world.clients.card(&[], PLATFORM));
    scene.is_let_in("client", &stolen).await;
    write(world, &world.clients, "clients.crl", &[&stolen], -500, 3600);
    node.reload_certificates();
    let file = std::fs::read(world.path("clients.crl")).unwrap();
    let strangers = || write(world, &world.signers, "clients.crl", &[], -400, 3600);
    let older = || write(world, &world.clients, "clients.crl", &[], -700, 3600);
    let bytes = |bytes: &[u8]| std::fs::write(world.path("clients.crl"), bytes).unwrap();
    let wrong: [&dyn Fn(); 5] = [&|| bytes(b""), &|| bytes(b"no list"), &|| bytes(&file[..200]), &strangers, &older];
    for write_wrong in wrong {
        write_wrong();
        node.reload_certificates();
        scene.is_shut_out("client", &stolen).await;
        scene.is_let_in("client", &good).await;
    }
    write(world, &world.clients, "clients.crl", &[], -300, 3600);
    node.reload_certificates();
    scene.is_let_in("client", &stolen).await;
}

/// An authority that is late must not shut out a country: what it took back stays so, and that it is late is measured.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_list_still_counts_and_stops_nobody_else() {
    let world = World::new(1);
    let (stolen, good) = (world.clients.card(&[], PLATFORM), world.clients.card(&[], PLATFORM));
    write(&world, &world.clients, "clients.crl", &[&stolen], -100, -50);
    write(&world, &world.operators, "operators.crl", &[], -100, -50);
    let scene = Scene::of(world).await;
    scene.is_shut_out("client", &stolen).await;
    let client = scene.world.store_of(1, Some(&good)).await;
    submit(&client, &scene.sender.report()).await.unwrap();
    // one that is as late, and knows more
    write(&scene.world, &scene.world.clients, "clients.crl", &[&stolen, &good], -90, -50);
    scene.node.reload_certificates();
    scene.is_shut_out("client", &good).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_start_without_its_lists() {
    let world = World::new(1);
    write(&world, &world.clients, "clients.crl", &[], -100, 3600);
    let refused = async || {
        let config = world.parse(&world.toml_with_lists());
        let error = world.try_start(config).await.err().expect("a refusal");
        (error.code(), error.to_string())
    };
    let (code, text) = refused().await;
    assert!(code == Code::TlsFileInvalid && text.contains("operators.crl"), "{text}");
    write(&world, &world.clients, "operators.crl", &[], -100, 3600);
    let (code, text) = refused().await;
    assert!(code == Code::TlsFileInvalid && text.contains("a trusted authority"), "{text}");
}
