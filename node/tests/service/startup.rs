//! What a node refuses to start with, and that it leaves everything as it was.

use std::os::unix::fs::PermissionsExt;

use kho_node::keys::keyring;
use kho_node::seams::Seams;
use kho_proto::error::Code;
use kho_proto::id::ClusterId;

use crate::sender::Sender;
use crate::thin_line::{code, submit};
use crate::world::{CLUSTER, World, flip, tree};

async fn refused(world: &World, toml: &str) -> Code {
    match world.try_start(world.parse(toml)).await {
        Ok(_) => panic!("the node started"),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            error.code()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_keyring() {
    let world = World::new(1);
    let toml = world.toml(1);
    let path = world.path("keyring");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(refused(&world, &toml).await, Code::KeyringPermissions);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    flip(&path, 100);
    assert_eq!(refused(&world, &toml).await, Code::KeyringCorrupt);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(refused(&world, &toml).await, Code::KeyringUnreadable);
    keyring::create(&path, ClusterId([9; 16]), &*Seams::system().entropy).unwrap();
    assert_eq!(refused(&world, &toml).await, Code::KeyringOtherCluster);
    assert_eq!(std::fs::read_dir(world.path("data1")).unwrap().count(), 1, "nothing was made beside the identity");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_keyring_than_the_data_was_sealed_with() {
    let (world, mut nodes, _) = World::formed(1).await;
    nodes.remove(0).stop().await;
    std::fs::remove_file(world.path("keyring")).unwrap();
    keyring::create(&world.path("keyring"), CLUSTER, &*Seams::system().entropy).unwrap();
    assert_eq!(refused(&world, &world.toml(1)).await, Code::KeyringFingerprintMismatch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_cluster_with_another_keyring_stops() {
    let world = World::new(3);
    let first = world.start(1).await;
    let second = world.start(2).await;
    keyring::create(&world.path("other"), CLUSTER, &*Seams::system().entropy).unwrap();
    // The two make the genesis between them, so that the third is the odd one out.
    world.form(1).await;
    let key = Sender::new(&world.signers, "BYT");
    submit(&world.platform(1).await, &key.report()).await.unwrap();
    let toml = world.toml(3).replace("keyring = \"keyring\"", "keyring = \"other\"");
    let mut third = world.try_start(world.parse(&toml)).await.unwrap();
    let error = tokio::time::timeout(std::time::Duration::from_secs(10), third.failed()).await.unwrap();
    assert_eq!(error.code(), Code::KeyringFingerprintMismatch);
    let refusal = submit(&world.platform(3).await, &key.report()).await.unwrap_err();
    assert_eq!(code(&refusal), Code::KeyringFingerprintMismatch, "and it seals nothing");
    submit(&world.platform(1).await, &key.report()).await.unwrap();
    for node in [first, second] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_of_another_cluster_or_node_or_process() {
    let (world, mut nodes, _) = World::formed(1).await;
    let running = refused_port_free(&world).await;
    assert_eq!(running, Code::DataDirLocked);
    nodes.remove(0).stop().await;
    let toml = world.toml(1);
    let other_node = toml.replace("node_id = 1", "node_id = 2").replace("id = 1\n", "id = 2\n");
    assert_eq!(refused(&world, &other_node).await, Code::DataDirOtherNode);
    let other_cluster = toml.replace(&CLUSTER.to_string(), "0192f0c1-0000-7000-8000-000000000001");
    let other_cluster = other_cluster.replace("keyring = \"keyring\"\n", "");
    assert_eq!(refused(&world, &other_cluster).await, Code::DataDirOtherCluster);
    let node = world.start(1).await;
    assert_eq!(tree(&node).0, 1, "the data is as it was");
    node.stop().await;
}

/// The same data directory under other ports, while the first node runs.
async fn refused_port_free(world: &World) -> Code {
    refused(world, &world.toml(1)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use() {
    let world = World::new(1);
    let _taken = std::net::TcpListener::bind(("127.0.0.1", world.port(1, "admin"))).unwrap();
    assert_eq!(refused(&world, &world.toml(1)).await, Code::PortInUse);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_none_or_anothers() {
    let world = World::new(3);
    let toml = world.toml(1);
    assert_eq!(refused(&world, &toml.replace("client1.pem", "nowhere.pem")).await, Code::TlsFileInvalid);
    let second = toml.replace("peer1.", "peer2.");
    assert_eq!(refused(&world, &second).await, Code::TlsFileInvalid);
    world.write("empty.pem", "");
    assert_eq!(refused(&world, &toml.replace("signers-ca.pem", "empty.pem")).await, Code::TlsFileInvalid);
}

/// However much of it is gone: a node that took part and has no log any more may have voted, and forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_took_part_and_has_no_log() {
    for lost in ["logs", "logs/1", "logs/1/raft"] {
        let (world, mut nodes, _) = World::formed(1).await;
        nodes.remove(0).stop().await;
        std::fs::remove_dir_all(world.path("data1").join(lost)).unwrap();
        for attempt in 0..2 {
            assert_eq!(refused(&world, &world.toml(1)).await, Code::DataDirDamaged, "{lost}, attempt {attempt}");
        }
    }
}
