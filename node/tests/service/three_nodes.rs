//! Three nodes: any takes records in, any reads, and a leader that stops hands over.

use std::time::{Duration, Instant};

use kho_node::serve::Node;
use kho_proto::error::Code;
use kho_proto::id::NodeId;
use kho_proto::pb::admin::v1::{NodeStatusRequest, TreeRootRequest};

use crate::sender::Sender;
use crate::thin_line::{code, get, submit, verify};
use crate::world::{World, tree};

async fn leader_of(nodes: &[Node]) -> NodeId {
    let mut leader = nodes[0].consensus().watch_leader();
    let seen = tokio::time::timeout(Duration::from_secs(10), leader.wait_for(Option::is_some)).await;
    seen.unwrap().unwrap().unwrap()
}

async fn all_reach(nodes: &[Node], size: u64) {
    let start = Instant::now();
    while nodes.iter().any(|node| tree(node).0 < size) {
        assert!(start.elapsed() < Duration::from_secs(10), "the nodes do not catch up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_takes_records_and_reads_what_was_acknowledged() {
    let (world, nodes, key) = World::formed(3).await;
    let mut clients = Vec::new();
    for node in 1..=3 {
        clients.push(world.platform(node).await);
    }
    let mut records = Vec::new();
    for n in 0..12 {
        let sender = Sender::new(&world.signers, &format!("T{:02}", n % 4));
        let record = sender.report();
        let response = submit(&clients[n % 3], &record).await.unwrap();
        verify(&key, response.receipt.clone(), &record);
        // Linearizable: at once, from another node.
        let found = get(&clients[(n + 1) % 3], &record).await.unwrap();
        assert_eq!((found.record.as_ref(), &found.receipt), (Some(&record), &response.receipt));
        records.push((record, response.receipt));
    }
    for (record, receipt) in &records {
        for client in &clients {
            let again = submit(client, record).await.unwrap();
            assert!(again.duplicate);
            assert_eq!(&again.receipt, receipt, "the same bytes from every node");
        }
    }
    all_reach(&nodes, 13).await;
    assert_eq!(tree(&nodes[0]), tree(&nodes[1]));
    assert_eq!(tree(&nodes[0]), tree(&nodes[2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stops_hands_over_and_writes_go_on() {
    let (world, mut nodes, key) = World::formed(3).await;
    let sender = Sender::new(&world.signers, "BYT");
    let leader = leader_of(&nodes).await;
    let at = usize::try_from(leader.0).unwrap() - 1;
    let other = (at + 1) % 3 + 1;
    let client = world.platform(other).await;
    submit(&client, &sender.report()).await.unwrap();
    let stopped = nodes.remove(at);
    let stopping = tokio::spawn(stopped.stop());
    let mut slowest = Duration::ZERO;
    for _ in 0..200 {
        let record = sender.report();
        let start = Instant::now();
        let response = submit(&client, &record).await.unwrap();
        slowest = slowest.max(start.elapsed());
        verify(&key, response.receipt, &record);
    }
    stopping.await.unwrap();
    assert_ne!(leader_of(&nodes).await, leader);
    assert!(slowest < Duration::from_secs(1), "a gap of {slowest:?}");
    let back = world.start(at + 1).await;
    let size = tree(&nodes[0]).0;
    nodes.push(back);
    all_reach(&nodes, size).await;
    assert_eq!(tree(&nodes[0]), tree(&nodes[2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_nothing_is_acknowledged() {
    let (world, mut nodes, _) = World::formed(3).await;
    let sender = Sender::new(&world.signers, "BYT");
    let client = world.platform(3).await;
    let record = sender.report();
    submit(&client, &record).await.unwrap();
    nodes.remove(0).stop().await;
    nodes.remove(0).stop().await;
    let refused = code(&submit(&client, &sender.report()).await.unwrap_err());
    assert!([Code::NoLeader, Code::OutcomeUnknown].contains(&refused), "{refused:?}");
    assert_eq!(code(&get(&client, &record).await.unwrap_err()), Code::NoLeader);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_keyring_replicates_and_leads_nobody() {
    let world = World::new(3);
    let mut nodes = Vec::new();
    for node in 1..=3 {
        let toml = world.toml(node);
        let toml = if node == 3 { toml.replace("keyring = \"keyring\"\n", "") } else { toml };
        nodes.push(world.try_start(world.parse(&toml)).await.unwrap());
    }
    world.form(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let client = world.platform(1).await;
    submit(&client, &sender.report()).await.unwrap();
    let unkeyed = world.platform(3).await;
    assert_eq!(code(&submit(&unkeyed, &sender.report()).await.unwrap_err()), Code::KeysMissing);
    all_reach(&nodes, 2).await;
    let status = world.operator(3).await.node_status(NodeStatusRequest {}).await.unwrap().into_inner();
    assert!(!status.keyed);
    assert_eq!(status.tree_size, 2);
    let root = world.operator(1).await.tree_root(TreeRootRequest { size: 2 }).await.unwrap().into_inner().root;
    assert_eq!(status.tree_root, root);
}
