//! etcd as Debian packages it, plain HTTP/2, every write synced (its default).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kho::bench::process::Group;
use kho::bench::round::{Loaded, Work};
use kho::bench::{Connection, Done};
use rustix::process::Signal;
use tonic::transport::{Channel, Endpoint};

use crate::daemon::{Daemon, Start};
use crate::etcdserverpb::kv_client::KvClient;
use crate::etcdserverpb::maintenance_client::MaintenanceClient;
use crate::etcdserverpb::{PutRequest, StatusRequest};
use crate::system::{Bodies, NODES, System};
use crate::words;

/// A cluster that starts, elects or catches up has this long.
const READY_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_secs(2);

/// Three etcd processes.
pub struct Etcd {
    dir: PathBuf,
    /// Client and peer port of each.
    ports: Vec<(u16, u16)>,
    nodes: Vec<Option<Daemon>>,
    next: Arc<AtomicU64>,
}

/// A connection to one of them.
pub struct EtcdConnection {
    client: KvClient<Channel>,
    next: Arc<AtomicU64>,
    bodies: Bodies,
}

impl Connection for EtcdConnection {
    async fn call(&self) -> Result<Done, String> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let request = PutRequest { key: format!("kho/{number:012}").into(), value: self.bodies.body(number) };
        self.client.clone().put(request).await.map_err(|status| status.to_string())?;
        Ok(Done::Records(1))
    }
}

impl Etcd {
    fn start(&mut self, node: usize) -> Result<()> {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let peers: Vec<String> =
            self.ports.iter().enumerate().map(|(n, (_, peer))| format!("node{n}={}", url(*peer))).collect();
        let (client, peer) = (url(self.ports[node].0), url(self.ports[node].1));
        let mut command = words!["etcd", "--name", format!("node{node}"), "--logger", "zap"];
        command.extend(words!["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.extend(words!["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.extend(words!["--initial-cluster", peers.join(","), "--initial-cluster-state", "new"]);
        command.extend(words!["--data-dir", self.dir.join(format!("node{node}"))]);
        let log = self.dir.join(format!("node{node}.log"));
        let start = Start { user: None, command, environment: Vec::new(), log: &log };
        self.nodes[node] = Some(Daemon::start(&start)?);
        Ok(())
    }

    fn channel(&self, node: usize) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.ports[node].0))?;
        Ok(endpoint.tcp_nodelay(true).connect_timeout(TIMEOUT).connect_lazy())
    }

    fn connection(&self, node: usize, work: &Work) -> Result<EtcdConnection> {
        let (client, bodies) = (KvClient::new(self.channel(node)?), Bodies::new(work.size));
        Ok(EtcdConnection { client, next: self.next.clone(), bodies })
    }

    /// Member id, leader's member id and applied index, as a node says.
    async fn status(&self, node: usize) -> Result<(u64, u64, u64)> {
        let mut client = MaintenanceClient::new(self.channel(node)?);
        let status = tokio::time::timeout(TIMEOUT, client.status(StatusRequest {})).await??.into_inner();
        Ok((status.header.map_or(0, |header| header.member_id), status.leader, status.raft_index))
    }

    /// Waits until all running nodes name the same leader and have the same index.
    async fn ready(&self) -> Result<usize> {
        let start = Instant::now();
        while start.elapsed() < READY_LIMIT {
            let mut seen = Vec::new();
            for node in (0..NODES).filter(|node| self.nodes[*node].is_some()) {
                if let Ok((member, leader, index)) = self.status(node).await {
                    seen.push((node, member, leader, index));
                }
            }
            let running = self.nodes.iter().flatten().count();
            let agreed = seen.len() == running && seen.iter().all(|one| one.2 == seen[0].2 && one.3 == seen[0].3);
            if let Some(leader) = seen.iter().find(|one| agreed && one.1 == one.2) {
                return Ok(leader.0);
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("etcd: no agreed leader after {READY_LIMIT:?}; logs are in {}", self.dir.display())
    }

    fn take(&mut self, node: usize) -> Result<Daemon> {
        self.nodes[node].take().context("a running node")
    }
}

impl Loaded for Etcd {
    type Connection = EtcdConnection;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn prepare(&mut self, _work: &Work, _records: usize) -> Result<()> {
        Ok(()) // a key and a value need no signing
    }

    async fn connect(&mut self, work: &Work) -> Result<Vec<EtcdConnection>> {
        (0..work.connections).map(|n| self.connection(n % NODES, work)).collect()
    }

    fn groups(&self) -> Vec<Group> {
        let group = |(n, node): (usize, &Daemon)| Group { name: format!("node {n}"), pid: node.pid(), alone: true };
        self.nodes.iter().flatten().enumerate().map(group).collect()
    }
}

impl System for Etcd {
    const NAME: &'static str = "etcd";
    const DURABILITY: &'static str = "Acknowledged when a majority of three has synced the log (fdatasync). Debian's etcd \
                                      with its defaults (a share of the cores by GOMAXPROCS made it slower), plain HTTP/2.";
    const FAILOVER: &'static str = "its own election";

    async fn launch(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let ports: Vec<_> = kho::dev::free_ports(2 * NODES)?.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let nodes = (0..NODES).map(|_| None).collect();
        let mut etcd = Self { dir: dir.to_owned(), ports, nodes, next: Arc::default() };
        (0..NODES).try_for_each(|node| etcd.start(node))?;
        etcd.ready().await?;
        Ok(etcd)
    }

    async fn sender(&mut self, work: &Work, _place: usize) -> Result<Vec<EtcdConnection>> {
        (0..NODES).map(|node| self.connection(node, work)).collect()
    }

    /// Under load indexes differ from node to node: asks which one names itself.
    async fn leader(&mut self) -> Result<usize> {
        for node in 0..NODES {
            if let Ok((member, leader, _)) = self.status(node).await
                && member == leader
            {
                return Ok(node);
            }
        }
        bail!("etcd: no leader")
    }

    fn kill(&mut self, node: usize) -> Result<()> {
        self.take(node)?.kill()
    }

    async fn terminate(&mut self, node: usize) -> Result<()> {
        self.take(node)?.end(Signal::TERM).await
    }

    async fn restart(&mut self, node: usize) -> Result<()> {
        self.start(node)?;
        self.ready().await.map(drop)
    }

    async fn stop(mut self) -> Result<()> {
        (0..NODES).filter_map(|node| self.nodes[node].take()).try_for_each(Daemon::kill)
    }
}
