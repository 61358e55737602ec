//! RabbitMQ: a quorum queue on three nodes, each message persistent and confirmed to its publisher.

mod connection;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use amqprs::FieldTable;
use amqprs::channel::{QueueDeclareArguments, QueueDeleteArguments};
use anyhow::{Context, Result};
use kho::bench::process::Group;
use kho::bench::round::{Loaded, Work};
use rustix::process::Signal;

use self::connection::{RabbitConnection, open};
use crate::daemon::{Daemon, Start, run};
use crate::system::{Bodies, NODES, System};
use crate::words;

/// Where Debian puts the scripts. Its wrappers in `/usr/sbin` would change to a user and a directory of their own.
const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";
/// A node that starts has this long, in seconds.
const READY_SECONDS: &str = "60";

/// Three RabbitMQ nodes, and the name service through which they find each other.
pub struct RabbitMq {
    dir: PathBuf,
    /// Of clients and of the other nodes.
    ports: Vec<(u16, u16)>,
    names: u16,
    nodes: Vec<Option<Daemon>>,
    /// Last: the nodes need it until they have ended.
    _name_service: Daemon,
    queues: u64,
    next: Arc<AtomicU64>,
}

impl RabbitMq {
    fn name(node: usize) -> String {
        format!("kho{node}@localhost")
    }

    fn environment(&self, node: usize) -> Vec<(String, OsString)> {
        let (client, peer) = self.ports[node];
        let here = |name: &str| self.dir.join(name).into_os_string();
        let values: [(&str, OsString); 14] = [
            ("HOME", self.dir.clone().into()),
            ("ERL_EPMD_PORT", self.names.to_string().into()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODENAME", Self::name(node).into()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODE_PORT", client.to_string().into()),
            ("RABBITMQ_DIST_PORT", peer.to_string().into()),
            ("RABBITMQ_MNESIA_BASE", here(&format!("node{node}"))),
            ("RABBITMQ_LOG_BASE", here(&format!("log{node}"))),
            ("RABBITMQ_CONFIG_FILE", here("rabbitmq")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", here("plugins")),
            // not the machine's own settings
            ("RABBITMQ_CONF_ENV_FILE", here("environment")),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", here("none")),
            // the script becomes the node, without a shell in between
            ("RUNNING_UNDER_SYSTEMD", "1".into()),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn start(&mut self, node: usize) -> Result<()> {
        let (log, command) = (self.dir.join(format!("node{node}.log")), words![format!("{SCRIPTS}/rabbitmq-server")]);
        let start = Start { user: None, command, environment: self.environment(node), log: &log };
        self.nodes[node] = Some(Daemon::start(&start)?);
        Ok(())
    }

    /// Waits until all three are in the cluster, as one of them says.
    fn ready(&self, asked: usize) -> Result<()> {
        let mut command = words![format!("{SCRIPTS}/rabbitmqctl"), "--node", Self::name(asked)];
        command.extend(words!["--timeout", READY_SECONDS, "await_online_nodes", NODES.to_string()]);
        run(&Start { user: None, command, environment: self.environment(asked), log: &self.dir.join("tools.log") })
    }

    /// A node that takes connections.
    async fn listens(&mut self, node: usize) -> Result<()> {
        const POLL: Duration = Duration::from_millis(200);
        const LIMIT: u32 = 300;
        let mut last = None;
        for _ in 0..LIMIT {
            match open(self.ports[node].0).await {
                Ok(_) => return Ok(()),
                Err(error) => last = Some(error),
            }
            if let Some(status) = self.nodes[node].as_mut().context("a running node")?.ended()? {
                anyhow::bail!("RabbitMQ, node {node}: {status}; its log is in {}", self.dir.display());
            }
            tokio::time::sleep(POLL).await;
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no answer")).context(format!("RabbitMQ, node {node}")))
    }

    fn queue(&self) -> String {
        format!("records{}", self.queues)
    }

    fn connection(&self, node: usize, work: &Work) -> RabbitConnection {
        RabbitConnection::new(self.ports[node].0, self.queue(), self.next.clone(), Bodies::new(work.size))
    }

    fn take(&mut self, node: usize) -> Result<Daemon> {
        self.nodes[node].take().context("a running node")
    }
}

impl Loaded for RabbitMq {
    type Connection = RabbitConnection;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    /// A new queue, whose leader is the first node: it is declared there.
    async fn prepare(&mut self, _work: &Work, _records: usize) -> Result<()> {
        let (connection, channel) = open(self.ports[0].0).await?;
        if self.queues > 0 {
            channel.queue_delete(QueueDeleteArguments::new(&self.queue())).await?;
        }
        self.queues += 1;
        let mut quorum = FieldTable::new();
        quorum.insert("x-queue-type".try_into()?, "quorum".into());
        let declare = QueueDeclareArguments::durable_client_named(&self.queue()).arguments(quorum).finish();
        channel.queue_declare(declare).await?;
        channel.close().await?;
        connection.close().await?;
        Ok(())
    }

    async fn connect(&mut self, work: &Work) -> Result<Vec<RabbitConnection>> {
        let connections: Vec<_> = (0..work.connections).map(|n| self.connection(n % NODES, work)).collect();
        for connection in &connections {
            connection.ready().await.context("RabbitMQ")?;
        }
        Ok(connections)
    }

    fn groups(&self) -> Vec<Group> {
        let nodes = self.nodes.iter().enumerate().filter_map(|(n, node)| Some((n, node.as_ref()?)));
        nodes.map(|(n, node)| Group { name: format!("node {n}"), pid: node.pid(), alone: false }).collect()
    }
}

impl System for RabbitMq {
    const NAME: &'static str = "rabbitmq";
    const DURABILITY: &'static str = "Confirmed to the publisher when a majority of the quorum queue's three members has synced \
                                      its log (fdatasync). One queue, persistent messages, publisher confirms, nobody consumes; \
                                      Debian's rabbitmq-server with its defaults, no TLS.";
    const FAILOVER: &'static str = "the quorum queue's own election";

    async fn launch(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let free = kho::dev::free_ports(2 * NODES + 1)?;
        let ports: Vec<_> = free[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let nodes: String = (0..NODES)
            .map(|node| format!("cluster_formation.classic_config.nodes.{} = {}\n", node + 1, Self::name(node)))
            .collect();
        std::fs::write(
            dir.join("rabbitmq.conf"),
            format!("cluster_formation.peer_discovery_backend = classic_config\n{nodes}"),
        )?;
        std::fs::write(dir.join("plugins"), "[].\n")?;
        std::fs::write(dir.join("environment"), "")?;
        // what lets nodes and tools talk to each other; of this cluster only
        let cookie = dir.join(".erlang.cookie");
        std::fs::write(&cookie, "KHOBENCH")?;
        std::fs::set_permissions(&cookie, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let command = words!["epmd", "-address", "127.0.0.1", "-port", free[0].to_string()];
        let log = dir.join("epmd.log");
        let name_service = Daemon::start(&Start { user: None, command, environment: Vec::new(), log: &log })?;
        let mut rabbit = Self {
            dir: dir.to_owned(),
            ports,
            names: free[0],
            nodes: (0..NODES).map(|_| None).collect(),
            _name_service: name_service,
            queues: 0,
            next: Arc::default(),
        };
        for node in 0..NODES {
            rabbit.start(node)?;
        }
        for node in 0..NODES {
            rabbit.listens(node).await?;
        }
        rabbit.ready(0)?;
        Ok(rabbit)
    }

    async fn sender(&mut self, work: &Work, _place: usize) -> Result<Vec<RabbitConnection>> {
        Ok((0..NODES).map(|node| self.connection(node, work)).collect())
    }

    /// The node at which the queue was declared: each fault has a new queue.
    async fn leader(&mut self) -> Result<usize> {
        Ok(0)
    }

    fn kill(&mut self, node: usize) -> Result<()> {
        self.take(node)?.kill()
    }

    async fn terminate(&mut self, node: usize) -> Result<()> {
        self.take(node)?.end(Signal::TERM).await
    }

    async fn restart(&mut self, node: usize) -> Result<()> {
        self.start(node)?;
        self.listens(node).await?;
        self.ready((node + 1) % NODES)
    }

    async fn stop(mut self) -> Result<()> {
        (0..NODES).filter_map(|node| self.nodes[node].take()).try_for_each(Daemon::kill)
    }
}
