//! R-D4: a leader whose clock is off hands over, and far off it proposes nothing; everybody sees the offset. And so with
//! disks below their reserve.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use kho_node::seams::{Clock, Seams};
use kho_node::serve::Node;
use kho_proto::error::Code;
use kho_proto::id::{NodeId, UnixMs};
use kho_proto::pb::admin::v1::{NodeStatusRequest, NodeStatusResponse};
use kho_proto::pb::v1::store_client::StoreClient;
use kho_proto::status::from_status;
use tonic::transport::Channel;

use crate::admin_plane::scrape;
use crate::sender::Sender;
use crate::thin_line::{code, get, submit, verify};
use crate::world::{World, begin};

/// More than any disk has.
const SHORT: &str = "reserve_mib = 1000000000\n";

/// The system's clock, off by as much as the test says.
struct Skewed {
    system: Arc<dyn Clock>,
    ahead_ms: Arc<AtomicI64>,
}

impl Clock for Skewed {
    fn now(&self) -> UnixMs {
        UnixMs(self.system.now().0.saturating_add_signed(self.ahead_ms.load(Ordering::SeqCst)))
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic()
    }
}

struct Scene {
    world: World,
    nodes: Vec<Node>,
    ahead: Vec<Arc<AtomicI64>>,
}

impl Scene {
    async fn new(count: usize) -> Scene {
        let world = World::new(count);
        let (mut nodes, mut ahead) = (Vec::new(), Vec::new());
        for node in 1..=count {
            ahead.push(Arc::new(AtomicI64::new(0)));
            nodes.push(Self::start(&world, node, "", &ahead[node - 1]).await);
        }
        world.form(1).await;
        Scene { world, nodes, ahead }
    }

    async fn start(world: &World, node: usize, disk: &str, ahead_ms: &Arc<AtomicI64>) -> Node {
        let system = Seams::system();
        let clock = Arc::new(Skewed { system: system.clock.clone(), ahead_ms: ahead_ms.clone() });
        let toml = world.toml(node).replace("[disk]\n", &format!("[disk]\n{disk}"));
        begin(world.parse(&toml), &Seams { clock, ..system }).await
    }

    async fn restart(&mut self, node: usize, disk: &str) {
        self.nodes.remove(node - 1).stop().await;
        let started = Self::start(&self.world, node, disk, &self.ahead[node - 1]).await;
        self.nodes.insert(node - 1, started);
    }

    /// Makes a node lead.
    async fn lead(&self, node: usize) {
        let start = Instant::now();
        while self.leader() != Some(node) {
            if let Some(leader) = self.leader() {
                let to = Some(NodeId(node as u64));
                self.nodes[leader - 1].consensus().transfer_leader(to).await.ok();
            }
            assert!(start.elapsed() < Duration::from_secs(15), "node {node} does not lead");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Submits until a record is refused with `expected`: nodes hear of each other once a second.
    async fn refuses(&self, client: &StoreClient<Channel>, sender: &Sender, expected: Code) {
        let start = Instant::now();
        loop {
            let found = submit(client, &sender.report()).await.err().map(|status| code(&status));
            if found == Some(expected) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(15), "expected {expected:?}, found {found:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn skew(&self, node: usize, ms: i64) {
        self.ahead[node - 1].store(ms, Ordering::SeqCst);
    }

    fn leader(&self) -> Option<usize> {
        self.nodes.iter().position(|node| node.consensus().is_leader()).map(|at| at + 1)
    }

    async fn led_by_another_than(&self, old: usize) -> usize {
        let start = Instant::now();
        loop {
            match self.leader() {
                Some(leader) if leader != old => return leader,
                _ => assert!(start.elapsed() < Duration::from_secs(15), "node {old} goes on leading"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn status(&self, node: usize) -> NodeStatusResponse {
        self.world.operator(node).await.node_status(NodeStatusRequest {}).await.unwrap().into_inner()
    }

    /// Until a metric has a value. All nodes of a test write the same ones, each once a second.
    async fn shows(&self, metric: &str, expected: RangeInclusive<f64>) {
        let operator = self.world.operators.card(&[], &["urn:kho:role:operator"]);
        let start = Instant::now();
        loop {
            let (_, text) = scrape(&self.world, Some(&operator)).await;
            let found = text.lines().find_map(|line| line.strip_prefix(metric)?.parse::<f64>().ok());
            if found.is_some_and(|found| expected.contains(&found)) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(15), "{metric}: expected {expected:?}, found {found:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Until every node knows both others.
    async fn acquainted(&self) {
        let start = Instant::now();
        for node in 1..=self.nodes.len() {
            while self.status(node).await.clock_peers + 1 < self.nodes.len() as u32 {
                assert!(start.elapsed() < Duration::from_secs(15), "node {node} does not hear of the others' clocks");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_half_a_second_off_hands_over_and_nothing_is_refused() {
    let scene = Scene::new(3).await;
    scene.acquainted().await;
    let leader = scene.leader().unwrap();
    let client = scene.world.platform(leader).await;
    let sender = Sender::new(&scene.world.signers, "BYT");
    submit(&client, &sender.report()).await.unwrap();
    // a little is not enough
    scene.skew(leader, 300);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(scene.leader(), Some(leader));
    scene.skew(leader, -900);
    let other = scene.led_by_another_than(leader).await;
    for _ in 0..5 {
        submit(&client, &sender.report()).await.unwrap();
    }
    let seen = scene.status(leader).await;
    assert!((-1200..=-600).contains(&seen.clock_offset_ms), "{}", seen.clock_offset_ms);
    let seen = scene.status(other).await;
    assert!(seen.clock_offset_ms.abs() < 400, "the others are right: {}", seen.clock_offset_ms);
    assert_eq!(seen.clock_peers, 2);
    scene.shows("kho_clock_offset_seconds ", -1.2..=-0.6).await;
    scene.shows(&format!("kho_clock_peer_offset_seconds{{node=\"{leader}\"}} "), -1.2..=-0.6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_far_off_does_not_lead_and_comes_back() {
    let scene = Scene::new(3).await;
    scene.acquainted().await;
    let leader = scene.leader().unwrap();
    let sender = Sender::new(&scene.world.signers, "BYT");
    scene.skew(leader, 20_000);
    let other = scene.led_by_another_than(leader).await;
    let client = scene.world.platform(leader).await;
    let record = sender.report();
    // any node takes records, and the time-stamp is the leader's
    let receipt = submit(&client, &record).await.unwrap().receipt;
    let key = scene.world.form(1).await;
    let accepted = verify(&key, receipt, &record).leaf.accepted_at.0;
    assert!(accepted.abs_diff(crate::sender::now().0) < 5_000, "{accepted}");
    // asked to lead, it gives it back
    scene.nodes[other - 1].consensus().transfer_leader(Some(NodeId(leader as u64))).await.ok();
    scene.led_by_another_than(leader).await;
    scene.skew(leader, 0);
    // its clock is right again: it leads, and goes on leading. (On a busy machine an election may come between.)
    let start = Instant::now();
    loop {
        scene.lead(leader).await;
        tokio::time::sleep(Duration::from_millis(2500)).await;
        if scene.leader() == Some(leader) {
            break;
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "node {leader} gives leadership back, though its clock is right"
        );
    }
    submit(&client, &sender.report()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_too_many_disks_are_short_nothing_is_proposed_and_reads_go_on() {
    let mut scene = Scene::new(3).await;
    scene.acquainted().await;
    scene.lead(1).await;
    let (client, sender) = (scene.world.platform(1).await, Sender::new(&scene.world.signers, "BYT"));
    let record = sender.report();
    submit(&client, &record).await.unwrap();
    // a third of the disks: the others take records, this one tells its clients to go there
    scene.restart(3, SHORT).await;
    scene.acquainted().await;
    submit(&client, &sender.report()).await.unwrap();
    let third = scene.world.platform(3).await;
    let refusal = from_status(&submit(&third, &sender.report()).await.unwrap_err()).unwrap();
    assert_eq!(refusal.code, Code::DiskReserve);
    assert!(refusal.expected.contains("MiB") && refusal.found.ends_with("MiB"), "{refusal:?}");
    assert!(submit(&third, &record).await.unwrap().duplicate, "what is there is answered");
    assert!(scene.status(3).await.disk_short && !scene.status(1).await.disk_short);

    scene.restart(2, SHORT).await;
    scene.acquainted().await;
    scene.refuses(&client, &sender, Code::DiskReserve).await;
    assert_eq!(get(&client, &record).await.unwrap().record.as_ref(), Some(&record), "reads go on");
    // its clock, too, and nobody whom it could hand over to: it leads on and proposes nothing
    scene.skew(1, 20_000);
    scene.refuses(&client, &sender, Code::ClockOff).await;
    assert_eq!(scene.leader(), Some(1));

    scene.skew(1, 0);
    for node in [2, 3] {
        scene.restart(node, "").await;
    }
    scene.acquainted().await;
    let start = Instant::now();
    while submit(&client, &sender.report()).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "there is room again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Its clock is judged once a second, and steps in between: no record gets the time of the step.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_the_leaders_clock_stamps_nothing() {
    let scene = Scene::new(3).await;
    scene.acquainted().await;
    let leader = scene.leader().unwrap();
    let client = scene.world.platform(leader).await;
    let sender = Sender::new(&scene.world.signers, "BYT");
    submit(&client, &sender.report()).await.unwrap();
    let before = scene.nodes[0].state().tip().last_accepted_at();
    scene.skew(leader, 3_600_000);
    for _ in 0..20 {
        // taken by another leader, or refused: never with the stepped time
        drop(submit(&client, &sender.report()).await);
    }
    let after = scene.nodes.iter().map(|node| node.state().tip().last_accepted_at()).max().unwrap();
    assert!(after.0 < before.0 + 600_000, "accepted at {after:?}, an hour after {before:?}");
}

/// A node that was short before it led gives leadership away as one that becomes short while it leads.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_room_does_not_keep_leadership_that_came_to_it() {
    let mut scene = Scene::new(3).await;
    let short = 3;
    scene.restart(short, SHORT).await;
    scene.acquainted().await;
    // more than a round of its judgement: it has seen itself short as a follower
    tokio::time::sleep(Duration::from_millis(2500)).await;
    scene.lead(short).await;
    let other = scene.led_by_another_than(short).await;
    let sender = Sender::new(&scene.world.signers, "BYT");
    submit(&scene.world.platform(other).await, &sender.report()).await.unwrap();
}
