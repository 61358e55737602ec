//! PostgreSQL: a primary and two standbys, each commit flushed on the primary and on one of them.
//!
//! It has no failover of its own. Here the next primary is promoted as soon as the old one is gone, without anybody having to
//! find out that it is: the best case of any tool that does it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kho::bench::process::Group;
use kho::bench::round::{Loaded, Work};
use kho::bench::{Connection, Done};
use rustix::process::Signal;
use tokio::sync::Mutex;
use tokio_postgres::{Client, Config, NoTls, Statement};

use crate::daemon::{Daemon, Start, run};
use crate::system::{Bodies, NODES, System};
use crate::words;

/// A cluster that starts or catches up has this long.
const READY_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_secs(2);
/// Where Debian puts the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// It does not run as root.
const USER: &str = "postgres";

/// Three PostgreSQL servers.
pub struct Postgres {
    dir: PathBuf,
    programs: PathBuf,
    user: Option<&'static str>,
    ports: Vec<u16>,
    nodes: Vec<Option<Daemon>>,
    primary: usize,
    next: Arc<AtomicU64>,
}

/// A connection to one of them; made when it is first used, and again after it failed.
pub struct PgConnection {
    port: u16,
    open: Mutex<Option<(Arc<Client>, Statement)>>,
    next: Arc<AtomicU64>,
    bodies: Bodies,
}

async fn open(port: u16) -> Result<Client, tokio_postgres::Error> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user(USER).dbname(USER).connect_timeout(TIMEOUT);
    let (client, connection) = config.connect(NoTls).await?;
    // ends with the client; what breaks it is told to whoever waits for an answer
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

impl PgConnection {
    async fn ready(&self) -> Result<(Arc<Client>, Statement), tokio_postgres::Error> {
        let mut place = self.open.lock().await;
        if let Some((client, statement)) = &*place {
            return Ok((client.clone(), statement.clone()));
        }
        let client = Arc::new(open(self.port).await?);
        let statement = client.prepare("INSERT INTO records (id, body) VALUES ($1, $2)").await?;
        *place = Some((client.clone(), statement.clone()));
        Ok((client, statement))
    }
}

impl Connection for PgConnection {
    async fn call(&self) -> Result<Done, String> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let insert = async {
            let (client, statement) = self.ready().await?;
            let body = self.bodies.body(number);
            client.execute(&statement, &[&number.cast_signed(), &&body[..]]).await
        };
        match insert.await {
            Ok(_) => Ok(Done::Records(1)),
            Err(error) => {
                self.open.lock().await.take();
                Err(error.to_string())
            }
        }
    }
}

/// The newest version's programs.
fn programs() -> Result<PathBuf> {
    let versions =
        std::fs::read_dir(VERSIONS).with_context(|| format!("{VERSIONS}: scripts/setup peers installs PostgreSQL"))?;
    let versions = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.max().with_context(|| format!("{VERSIONS}: a version"))?;
    Ok(Path::new(VERSIONS).join(newest.to_string()).join("bin"))
}

impl Postgres {
    fn data(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node{node}"))
    }

    fn log(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node{node}.log"))
    }

    fn program(&self, name: &str) -> OsString {
        self.programs.join(name).into()
    }

    fn run(&self, command: Vec<OsString>) -> Result<()> {
        let log = self.dir.join("tools.log");
        run(&Start { user: self.user, command, environment: Vec::new(), log: &log })
    }

    fn start(&mut self, node: usize) -> Result<()> {
        let list = |what: &dyn Fn(usize) -> String| (0..NODES).map(what).collect::<Vec<_>>().join(",");
        let (hosts, ports) = (list(&|_| "127.0.0.1".to_owned()), list(&|node| self.ports[node].to_string()));
        let settings = [
            format!("port={}", self.ports[node]),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "max_connections=300".to_owned(),
            // as they are by default, written down: flushed here, and on a standby before it is told
            "fsync=on".to_owned(),
            "synchronous_commit=on".to_owned(),
            "full_page_writes=on".to_owned(),
            format!("synchronous_standby_names=ANY 1 ({})", list(&|node| format!("node{node}"))),
            format!("cluster_name=node{node}"),
            // whichever is the primary; asked again soon, not after five seconds as by default
            format!(
                "primary_conninfo=host={hosts} port={ports} user={USER} connect_timeout=2 target_session_attrs=read-write"
            ),
            "wal_retrieve_retry_interval=100ms".to_owned(),
        ];
        let mut command = vec![self.program("postgres"), "-D".into(), self.data(node).into()];
        for setting in settings {
            command.extend(words!["-c", setting]);
        }
        let log = self.log(node);
        let start = Start { user: self.user, command, environment: Vec::new(), log: &log };
        self.nodes[node] = Some(Daemon::start(&start)?);
        Ok(())
    }

    /// A copy of the primary that follows it.
    fn copy(&mut self, node: usize) -> Result<()> {
        let data = self.data(node);
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        let port = self.ports[self.primary].to_string();
        let mut command = vec![self.program("pg_basebackup"), "-D".into(), data.clone().into()];
        command.extend(words!["-h", "127.0.0.1", "-p", port, "-U", USER, "-X", "stream", "-c", "fast"]);
        self.run(command)?;
        self.run(vec!["touch".into(), data.join("standby.signal").into()])?;
        self.start(node)
    }

    /// Waits until `standbys` follow the primary.
    async fn followed(&mut self, standbys: i64) -> Result<()> {
        let start = Instant::now();
        let mut last = String::new();
        while start.elapsed() < READY_LIMIT {
            for node in 0..NODES {
                if let Some(Some(status)) = self.nodes[node].as_mut().map(Daemon::ended).transpose()? {
                    bail!("PostgreSQL, node {node}: {status}; its log is {}", self.log(node).display());
                }
            }
            let count = async {
                let client = open(self.ports[self.primary]).await?;
                let query =
                    "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'quorum'";
                client.query_one(query, &[]).await?.try_get::<_, i64>(0)
            };
            match count.await {
                Ok(count) if count == standbys => return Ok(()),
                Ok(count) => last = format!("{count} of {standbys} standbys follow"),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("PostgreSQL: {last} after {READY_LIMIT:?}; logs are in {}", self.dir.display())
    }

    fn connection(&self, node: usize, work: &Work) -> PgConnection {
        let (port, bodies) = (self.ports[node], Bodies::new(work.size));
        PgConnection { port, open: Mutex::default(), next: self.next.clone(), bodies }
    }

    fn take(&mut self, node: usize) -> Result<Daemon> {
        self.nodes[node].take().context("a running node")
    }
}

impl Loaded for Postgres {
    type Connection = PgConnection;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn prepare(&mut self, _work: &Work, _records: usize) -> Result<()> {
        Ok(()) // a row needs no signing
    }

    /// All to the primary: nobody else takes writes. Opened here, since a server process is started for each.
    async fn connect(&mut self, work: &Work) -> Result<Vec<PgConnection>> {
        let connections: Vec<_> = (0..work.connections).map(|_| self.connection(self.primary, work)).collect();
        for connection in &connections {
            connection.ready().await.context("PostgreSQL")?;
        }
        Ok(connections)
    }

    fn groups(&self) -> Vec<Group> {
        let nodes = self.nodes.iter().enumerate().filter_map(|(n, node)| Some((n, node.as_ref()?)));
        let role = |n| if n == self.primary { "primary" } else { "standby" };
        nodes.map(|(n, node)| Group { name: format!("{} {n}", role(n)), pid: node.pid(), alone: false }).collect()
    }
}

impl System for Postgres {
    const NAME: &'static str = "postgres";
    const DURABILITY: &'static str = "Acknowledged when the primary and one of two standbys have flushed the commit: \
                                      synchronous_commit=on, synchronous_standby_names=ANY 1. A prepared INSERT of a row with \
                                      a bigint key, one a transaction; Debian's PostgreSQL, otherwise with its defaults, no TLS.";
    const FAILOVER: &'static str =
        "none of its own: promoted by the script at once, without having to find out (best case)";

    async fn launch(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let user = rustix::process::geteuid().is_root().then_some(USER);
        let ports = kho::dev::free_ports(NODES)?;
        let nodes = (0..NODES).map(|_| None).collect();
        let dir = dir.join("postgres");
        let mut postgres = Self { dir, programs: programs()?, user, ports, nodes, primary: 0, next: Arc::default() };
        std::fs::create_dir_all(&postgres.dir)?;
        if let Some(user) = user {
            let mut chown = words!["chown", user];
            chown.push(postgres.dir.clone().into());
            run(&Start {
                user: None,
                command: chown,
                environment: Vec::new(),
                log: &postgres.dir.with_extension("log"),
            })?;
        }
        let mut initdb = vec![postgres.program("initdb"), "-D".into(), postgres.data(0).into()];
        initdb.extend(words!["-U", USER, "-A", "trust", "--no-locale", "-E", "UTF8"]);
        postgres.run(initdb)?;
        postgres.start(0)?;
        postgres.followed(0).await?;
        postgres.copy(1)?;
        postgres.copy(2)?;
        postgres.followed(2).await?;
        let client = open(postgres.ports[0]).await?;
        client.execute("CREATE TABLE records (id bigint PRIMARY KEY, body bytea NOT NULL)", &[]).await?;
        Ok(postgres)
    }

    async fn sender(&mut self, work: &Work, _place: usize) -> Result<Vec<PgConnection>> {
        Ok((0..NODES).map(|node| self.connection(node, work)).collect())
    }

    async fn leader(&mut self) -> Result<usize> {
        Ok(self.primary)
    }

    fn kill(&mut self, node: usize) -> Result<()> {
        self.take(node)?.kill()
    }

    /// A fast shutdown, as service managers do it: SIGTERM would wait for clients to leave.
    async fn terminate(&mut self, node: usize) -> Result<()> {
        self.take(node)?.end(Signal::INT).await
    }

    /// The standby that has more of the log; the other one finds it by itself.
    async fn promote(&mut self) -> Result<()> {
        let mut best: Option<(i64, usize, Client)> = None;
        for node in (0..NODES).filter(|node| self.nodes[*node].is_some()) {
            let client = open(self.ports[node]).await?;
            let query = "SELECT (coalesce(pg_last_wal_receive_lsn(), '0/0') - '0/0'::pg_lsn)::bigint";
            let received: i64 = client.query_one(query, &[]).await?.try_get(0)?;
            if best.as_ref().is_none_or(|(most, ..)| received > *most) {
                best = Some((received, node, client));
            }
        }
        let (_, node, client) = best.context("a standby")?;
        client.query_one("SELECT pg_promote(false)", &[]).await?;
        self.primary = node;
        Ok(())
    }

    /// As a new standby: what the old primary had written and nobody else has must not come back.
    async fn restart(&mut self, node: usize) -> Result<()> {
        self.followed(1).await?;
        self.copy(node)?;
        self.followed(2).await
    }

    async fn stop(mut self) -> Result<()> {
        (0..NODES).filter_map(|node| self.nodes[node].take()).try_for_each(Daemon::kill)
    }
}
