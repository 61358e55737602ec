//! RabbitMQ: a quorum queue on three nodes, each message persistent and confirmed to its publisher.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amqprs::channel::{
    BasicPublishArguments, Channel, ConfirmSelectArguments, QueueDeclareArguments, QueueDeleteArguments,
};
use amqprs::connection::{Connection as Amqp, OpenConnectionArguments};
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, FieldTable, Nack, Return};
use anyhow::{Context, Result};
use async_trait::async_trait;
use kho::bench::process::Group;
use kho::bench::round::{Loaded, Work};
use kho::bench::{Connection, Done};
use rustix::process::Signal;
use tokio::sync::{Mutex, oneshot};

use crate::daemon::{Daemon, Start, run};
use crate::system::{Bodies, NODES, System};
use crate::words;

/// Where Debian puts the scripts. Its wrappers in `/usr/sbin` would change to a user and a directory of their own.
const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";
/// A node that starts has this long, in seconds.
const READY_SECONDS: &str = "60";
const TIMEOUT: Duration = Duration::from_secs(2);

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

type Waiting = Arc<parking_lot::Mutex<BTreeMap<u64, oneshot::Sender<bool>>>>;

/// Hands confirms to those who wait for them.
struct Confirms(Waiting);

impl Confirms {
    fn settle(&self, tag: u64, upto: bool, taken: bool) {
        let mut waiting = self.0.lock();
        let settled = if upto {
            let later = waiting.split_off(&(tag + 1));
            std::mem::replace(&mut *waiting, later)
        } else {
            waiting.remove_entry(&tag).into_iter().collect()
        };
        drop(waiting);
        for waiter in settled.into_values() {
            // one that gave up waiting is not there any more
            let _ = waiter.send(taken);
        }
    }
}

#[async_trait]
impl amqprs::callbacks::ChannelCallback for Confirms {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> Result<(), amqprs::error::Error> {
        self.0.lock().clear();
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.settle(ack.delivery_tag(), ack.mutiple(), true);
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        self.settle(nack.delivery_tag(), nack.multiple(), false);
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {}
}

/// An open connection; dropping it closes it.
struct Open {
    connection: Amqp,
    channel: Channel,
    /// Number of the last message on this channel.
    last: u64,
    waiting: Waiting,
}

/// A connection to a node; made when it is first used, and again after it failed.
pub struct RabbitConnection {
    port: u16,
    queue: String,
    open: Mutex<Option<Open>>,
    next: Arc<AtomicU64>,
    bodies: Bodies,
}

async fn open(port: u16) -> Result<(Amqp, Channel)> {
    let arguments = OpenConnectionArguments::new("127.0.0.1", port, "guest", "guest");
    let connection = tokio::time::timeout(TIMEOUT, Amqp::open(&arguments)).await??;
    let channel = connection.open_channel(None).await?;
    Ok((connection, channel))
}

impl RabbitConnection {
    async fn ready(&self) -> Result<()> {
        let mut place = self.open.lock().await;
        if place.as_ref().is_none_or(|open| !open.connection.is_open() || !open.channel.is_open()) {
            *place = None;
            let (connection, channel) = open(self.port).await?;
            let waiting = Waiting::default();
            channel.register_callback(Confirms(waiting.clone())).await?;
            channel.confirm_select(ConfirmSelectArguments::default()).await?;
            *place = Some(Open { connection, channel, last: 0, waiting });
        }
        Ok(())
    }

    async fn publish(&self) -> Result<oneshot::Receiver<bool>> {
        self.ready().await?;
        let body = self.bodies.body(self.next.fetch_add(1, Ordering::Relaxed)).to_vec();
        let (confirmed, waiter) = oneshot::channel();
        // held until it is sent: confirms come by the number of the message on its channel
        let mut place = self.open.lock().await;
        let open = place.as_mut().context("closed meanwhile")?;
        open.last += 1;
        open.waiting.lock().insert(open.last, confirmed);
        let properties = BasicProperties::default().with_persistence(true).finish();
        open.channel.basic_publish(properties, body, BasicPublishArguments::new("", &self.queue)).await?;
        Ok(waiter)
    }
}

impl Connection for RabbitConnection {
    async fn call(&self) -> Result<Done, String> {
        let confirmed = match self.publish().await {
            Ok(waiter) => waiter.await.context("the channel ended"),
            Err(error) => Err(error),
        };
        match confirmed {
            Ok(true) => Ok(Done::Records(1)),
            Ok(false) => Err("the broker refused the message".to_owned()),
            Err(error) => {
                self.open.lock().await.take();
                Err(format!("{error:#}"))
            }
        }
    }
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
        let (port, bodies) = (self.ports[node].0, Bodies::new(work.size));
        RabbitConnection { port, queue: self.queue(), open: Mutex::default(), next: self.next.clone(), bodies }
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
