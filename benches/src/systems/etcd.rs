//! etcd as Debian packages it, plain HTTP/2, every write synced (its default).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use rustix::process::{Pid, Signal};
use tonic::transport::{Channel, Endpoint};

use crate::etcdserverpb::kv_client::KvClient;
use crate::etcdserverpb::maintenance_client::MaintenanceClient;
use crate::etcdserverpb::{PutRequest, StatusRequest};
use crate::system::{Connection, NODES, PAYLOAD_BYTES, System};

/// A cluster that starts, elects or catches up has this long.
const READY_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_secs(2);

/// Three etcd processes.
pub struct Etcd {
    dir: PathBuf,
    /// Client and peer port of each.
    ports: Vec<(u16, u16)>,
    children: Vec<Option<Child>>,
    next: Arc<AtomicU64>,
}

/// A connection to one of them.
pub struct EtcdConnection {
    client: KvClient<Channel>,
    next: Arc<AtomicU64>,
    value: Bytes,
}

impl Connection for EtcdConnection {
    async fn send(&mut self) -> Result<(), String> {
        let key = format!("kho/{:012}", self.next.fetch_add(1, Ordering::Relaxed));
        let request = PutRequest { key: key.into(), value: self.value.clone() };
        self.client.put(request).await.map(drop).map_err(|status| status.to_string())
    }
}

impl Etcd {
    fn start(&mut self, node: usize) -> Result<()> {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let peers: Vec<String> =
            self.ports.iter().enumerate().map(|(n, (_, peer))| format!("node{n}={}", url(*peer))).collect();
        let (client, peer) = (url(self.ports[node].0), url(self.ports[node].1));
        let log = File::options().create(true).append(true).open(self.dir.join(format!("node{node}.log")))?;
        // it must not outlive this process, however that ends
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "etcd"])
            .args(["--name", &format!("node{node}"), "--logger", "zap"])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &peers.join(","), "--initial-cluster-state", "new"])
            .arg("--data-dir")
            .arg(self.dir.join(format!("node{node}")))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("etcd: scripts/setup bench installs it")?;
        self.children[node] = Some(child);
        Ok(())
    }

    fn channel(&self, node: usize) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.ports[node].0))?;
        Ok(endpoint.tcp_nodelay(true).connect_timeout(TIMEOUT).connect_lazy())
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
            for node in (0..NODES).filter(|node| self.children[*node].is_some()) {
                if let Ok((member, leader, index)) = self.status(node).await {
                    seen.push((node, member, leader, index));
                }
            }
            let running = self.children.iter().flatten().count();
            let agreed = seen.len() == running && seen.iter().all(|one| one.2 == seen[0].2 && one.3 == seen[0].3);
            if let Some(leader) = seen.iter().find(|one| agreed && one.1 == one.2) {
                return Ok(leader.0);
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("etcd: no agreed leader after {READY_LIMIT:?}; logs are in {}", self.dir.display())
    }

    fn signal(&self, node: usize, signal: Signal) -> Result<()> {
        let child = self.children[node].as_ref().context("a running node")?;
        let pid = Pid::from_raw(i32::try_from(child.id())?).context("a process id")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for child in self.children.iter_mut().flatten() {
            // it may have ended by itself
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl System for Etcd {
    const NAME: &'static str = "etcd";
    type Connection = EtcdConnection;

    async fn launch(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let ports: Vec<_> = kho::dev::free_ports(2 * NODES)?.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let children = (0..NODES).map(|_| None).collect();
        let mut etcd = Self { dir: dir.to_owned(), ports, children, next: Arc::default() };
        (0..NODES).try_for_each(|node| etcd.start(node))?;
        etcd.ready().await?;
        Ok(etcd)
    }

    async fn prepare(&mut self, _records: usize) -> Result<()> {
        Ok(()) // a key and a value need no signing
    }

    fn connect(&self, node: usize) -> Result<EtcdConnection> {
        let value = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
        Ok(EtcdConnection { client: KvClient::new(self.channel(node)?), next: self.next.clone(), value })
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
        let mut child = self.children[node].take().context("a running node")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    async fn terminate(&mut self, node: usize) -> Result<()> {
        self.signal(node, Signal::TERM)?;
        let mut child = self.children[node].take().context("a running node")?;
        tokio::task::spawn_blocking(move || child.wait()).await??;
        Ok(())
    }

    async fn restart(&mut self, node: usize) -> Result<()> {
        self.start(node)?;
        self.ready().await.map(drop)
    }

    fn processes(&self) -> Vec<u32> {
        self.children.iter().flatten().map(Child::id).collect()
    }

    async fn stop(mut self) -> Result<()> {
        for node in 0..NODES {
            if self.children[node].is_some() {
                self.kill(node)?;
            }
        }
        Ok(())
    }
}
