//! Certificates that their authority takes back, and roots that come and go, while the cluster serves. // R-C1

use std::time::Duration;

use bytes::Bytes;
use kho_node::serve::Node;
use kho_proto::error::Code;
use kho_proto::id::UnixMs;
use kho_proto::pb::admin::v1::{InstallCrlRequest, ListCrlsRequest};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::sender::{Sender, now, request};
use crate::thin_line::{code, get, submit, verify};
use crate::world::{Authority, World, begin};

fn at(now: UnixMs, seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp((now.0 / 1000) as i64 + seconds).unwrap()
}

/// A list made so many seconds from now, to be renewed so many from now.
fn list(authority: &Authority, revoked: &[&Sender], made: i64, renewed: i64) -> Bytes {
    list_of(authority, &revoked.iter().map(|sender| &sender.chain[0][..]).collect::<Vec<_>>(), made, renewed)
}

/// The same of any certificates.
pub fn list_of(authority: &Authority, revoked: &[&[u8]], made: i64, renewed: i64) -> Bytes {
    let revoked = revoked.iter().map(|der| {
        let (_, certificate) = X509Certificate::from_der(der).unwrap();
        RevokedCertParams {
            serial_number: SerialNumber::from_slice(certificate.raw_serial()),
            revocation_time: at(now(), -60),
            reason_code: None,
            invalidity_date: None,
        }
    });
    let list = CertificateRevocationListParams {
        this_update: at(now(), made),
        next_update: at(now(), renewed),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Bytes::copy_from_slice(list.signed_by(&authority.issuer).unwrap().der())
}

async fn install(world: &World, node: usize, der: Bytes) -> Result<(), tonic::Status> {
    let request = InstallCrlRequest { der, issuers: Vec::new() };
    world.operator(node).await.install_crl(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_is_taken_back_between_two_records_is_refused_by_every_node() {
    let (world, nodes, key) = World::formed(3).await;
    let (bad, good) = (Sender::new(&world.signers, "BYT"), Sender::new(&world.signers, "BYT"));
    let mut clients = Vec::new();
    for node in 1..=3 {
        clients.push(world.platform(node).await);
    }
    // every node has judged the signer good, and remembers it
    let mut before = Vec::new();
    for client in &clients {
        let record = bad.report();
        let receipt = submit(client, &record).await.unwrap().receipt;
        verify(&key, receipt.clone(), &record);
        before.push((record, receipt));
    }
    install(&world, 2, list(&world.signers, &[&bad], -10, 3600)).await.unwrap();
    for client in &clients {
        // also where the certificate is only named, and the store has it
        let mut named = bad.report();
        named.certificates.clear();
        for record in [bad.report(), named] {
            let refused = submit(client, &record).await.unwrap_err();
            assert_eq!(code(&refused), Code::CertificateRevoked, "{refused}");
        }
        let record = good.report();
        verify(&key, submit(client, &record).await.unwrap().receipt, &record);
        // what was accepted stays, with its receipt
        for (record, receipt) in &before {
            let again = submit(client, record).await.unwrap();
            assert!(again.duplicate && again.receipt == *receipt);
            assert_eq!(get(client, record).await.unwrap().receipt, *receipt);
        }
    }
    let listed = world.operator(1).await.list_crls(ListCrlsRequest {}).await.unwrap().into_inner();
    assert_eq!((listed.version, listed.crls.len(), listed.crls[0].revoked, listed.crls[0].expired), (1, 1, 1, false));
    drop(nodes);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_survive_restarts_and_snapshots_and_their_order() {
    let (world, mut nodes, _) = World::formed(3).await;
    let sender = Sender::new(&world.signers, "BYT");
    let client = world.platform(1).await;
    submit(&client, &sender.report()).await.unwrap();
    let old = list(&world.signers, &[], -100, 3600);
    install(&world, 1, old.clone()).await.unwrap();
    install(&world, 1, old.clone()).await.expect("the same again");
    let new = list(&world.signers, &[&sender], -50, 3600);
    install(&world, 3, new).await.unwrap();
    assert_eq!(code(&install(&world, 2, old).await.unwrap_err()), Code::CrlNotNewer);
    for node in std::mem::take(&mut nodes) {
        assert!(node.consensus().snapshot_now().await || node.state().tip().crl_version() == 2);
        node.stop().await;
    }
    for node in 1..=3 {
        nodes.push(world.start(node).await);
    }
    let client = world.platform(2).await;
    assert_eq!(code(&submit(&client, &sender.report()).await.unwrap_err()), Code::CertificateRevoked);
    assert!(nodes.iter().all(|node: &Node| node.state().tip().crl_version() == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_strangers_and_broken_ones_change_nothing() {
    let (world, nodes, _) = World::formed(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let refused = |der: Bytes| async { code(&install(&world, 1, der).await.unwrap_err()) };
    let good = list(&world.signers, &[&sender], -10, 3600);
    assert_eq!(refused(list(&world.clients, &[&sender], -10, 3600)).await, Code::CrlUntrusted);
    assert_eq!(refused(good.slice(1..)).await, Code::CrlMalformed);
    assert_eq!(refused(Bytes::new()).await, Code::CrlMalformed);
    // one of tomorrow would keep out those of today
    assert_eq!(refused(list(&world.signers, &[], 86_400, 90_000)).await, Code::CrlMalformed);
    assert_eq!(nodes[0].state().tip().crl_version(), 0);
    let auditor = world.operators.card(&[], &["urn:kho:role:auditor"]);
    let channel = world.channel(1, "admin", Some(&auditor)).await;
    let mut auditor = kho_proto::pb::admin::v1::admin_client::AdminClient::new(channel);
    let request = InstallCrlRequest { der: good, issuers: Vec::new() };
    assert_eq!(code(&auditor.install_crl(request).await.unwrap_err()), Code::RoleNotPermitted);
    submit(&world.platform(1).await, &sender.report()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_does_not_answer_may_not_know_lists() {
    let (world, mut nodes, _) = World::formed(3).await;
    nodes.pop().unwrap().stop().await;
    let refused = install(&world, 1, list(&world.signers, &[], -10, 3600)).await.unwrap_err();
    assert_eq!(code(&refused), Code::MembersOutdated, "{refused}");
    assert!(nodes.iter().all(|node| node.state().tip().crl_version() == 0));
}

/// Once lists are in use, every member knows them: a machine that is down must not keep a stolen key alive. // R-C1
#[tokio::test(flavor = "multi_thread")]
async fn a_later_list_does_not_wait_for_a_member_that_is_down() {
    let (world, mut nodes, _) = World::formed(3).await;
    let sender = Sender::new(&world.signers, "BYT");
    install(&world, 1, list(&world.signers, &[], -100, 3600)).await.unwrap();
    let leader = nodes[0].consensus().status().leader.expect("a leader").0 as usize;
    let (down, up) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    nodes.remove(down - 1).stop().await;
    install(&world, up, list(&world.signers, &[&sender], -50, 3600)).await.unwrap();
    let refused = submit(&world.platform(up).await, &sender.report()).await.unwrap_err();
    assert_eq!(code(&refused), Code::CertificateRevoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_authorities_are_flagged_or_refused_as_configured() {
    let world = World::new(1);
    let toml = world.toml(1);
    let node = world.try_start(world.parse(&toml)).await.unwrap();
    world.form(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    install(&world, 1, list(&world.signers, &[], -100, -50)).await.unwrap();
    let listed = world.operator(1).await.list_crls(ListCrlsRequest {}).await.unwrap().into_inner();
    assert!(listed.crls[0].expired);
    submit(&world.platform(1).await, &sender.report()).await.expect("accepted by default");
    node.stop().await;

    let strict = toml.replace("[signers]\n", "[signers]\nexpired_crl = \"refuse\"\nmissing_crl = \"refuse\"\n");
    assert_ne!(strict, toml);
    let node = begin(world.parse(&strict), &kho_node::seams::Seams::system()).await;
    let client = world.platform(1).await;
    assert_eq!(code(&submit(&client, &sender.report()).await.unwrap_err()), Code::CrlExpired);
    // a verdict holds no longer than the list that it was made by
    install(&world, 1, list(&world.signers, &[], -10, 2)).await.unwrap();
    submit(&client, &sender.report()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(code(&submit(&client, &sender.report()).await.unwrap_err()), Code::CrlExpired);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signers_roots_come_and_go_while_the_node_serves() {
    let (world, nodes, key) = World::formed(1).await;
    let other = Authority::new("other signers");
    let (old, new) = (Sender::new(&world.signers, "BYT"), Sender::new(&other, "BYT"));
    let client = world.platform(1).await;
    let take = |sender: &Sender| {
        let record = sender.report();
        let mut client = client.clone();
        async move { client.submit(request(record)).await.map_err(|refused| code(&refused)).map(drop) }
    };
    assert_eq!((take(&old).await, take(&new).await), (Ok(()), Err(Code::CertificateUntrusted)));
    world.write("signers-ca.pem", &format!("{}{}", world.signers.issuer.pem(), other.issuer.pem()));
    nodes[0].reload_certificates();
    assert_eq!((take(&old).await, take(&new).await), (Ok(()), Ok(())));
    world.write("signers-ca.pem", &other.issuer.pem());
    nodes[0].reload_certificates();
    assert_eq!((take(&old).await, take(&new).await), (Err(Code::CertificateUntrusted), Ok(())));
    world.write("signers-ca.pem", "no certificate");
    nodes[0].reload_certificates();
    assert_eq!(take(&new).await, Ok(()), "a broken file leaves the old roots");
    let record = new.report();
    verify(&key, submit(&client, &record).await.unwrap().receipt, &record);
}
