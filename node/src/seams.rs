//! What the node takes from its surroundings, so that a simulation can stand in: clocks, entropy, the
//! network, tasks and threads. (The key-value
//! engine's seam is `storage::KvEngine`.)

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kho_proto::id::{NodeId, UnixMs};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

/// Wall and monotonic time.
pub trait Clock: Send + Sync + 'static {
    /// Wall clock.
    fn now(&self) -> UnixMs;
    /// Since an arbitrary start; never goes back.
    fn monotonic(&self) -> Duration;
}

/// Cryptographic randomness.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `out`. Panics if the system has no entropy: nothing could be sealed.
    fn fill(&self, out: &mut [u8]);
}

/// A byte stream.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A byte stream of any kind.
pub type BoxIo = Box<dyn Io>;

/// Opens and accepts plain streams; TLS is laid over them.
#[async_trait]
pub trait Net: Send + Sync + 'static {
    /// Connects to `host:port`.
    async fn dial(&self, address: &str) -> io::Result<BoxIo>;
    /// Listens on `host:port`.
    async fn bind(&self, address: &str) -> io::Result<Box<dyn Accept>>;
}

/// A listening socket.
#[async_trait]
pub trait Accept: Send + 'static {
    /// The next connection, and where it comes from.
    async fn accept(&mut self) -> io::Result<(BoxIo, String)>;
    /// The address that was bound, with its real port.
    fn local_address(&self) -> String;
}

/// Dials a peer and returns an authenticated stream: TLS here, plain in the simulation.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// Connects to `host:port` and proves that `node` is there.
    async fn dial(&self, node: NodeId, address: &str) -> io::Result<BoxIo>;
}

/// What runs beside.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs tasks, and what blocks.
pub trait Tasks: Send + Sync + 'static {
    /// Runs `task` in the background; `name` is for traces.
    fn spawn(&self, name: &'static str, task: Task);
    /// Runs `work`, which may wait for a disk, away from the tasks. It runs to its end even if nobody waits for it.
    fn block(&self, work: Box<dyn FnOnce() + Send>);
    /// Runs `task` on a thread of its own, where it may block.
    fn dedicate(&self, name: &'static str, task: Task) -> io::Result<Box<dyn Dedicated>>;
}

/// A thread of [`Tasks::dedicate`].
pub trait Dedicated: Send + Sync + 'static {
    /// Waits until its task has ended. An error if the task panicked.
    fn join(self: Box<Self>) -> io::Result<()>;
}

impl dyn Tasks {
    /// Runs `work` as [`Tasks::block`] does, and waits for what it returns. An error if it panicked, or the node ends.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (done, result) = oneshot::channel();
        // nobody waits any more: the work was to be done all the same
        self.block(Box::new(move || drop(done.send(work()))));
        result.await.map_err(|_| io::Error::other("the work was cut short: it panicked, or the node ends"))
    }
}

/// All seams, handed down from `serve`.
#[derive(Clone)]
pub struct Seams {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Network.
    pub net: Arc<dyn Net>,
    /// Spawner.
    pub tasks: Arc<dyn Tasks>,
}

impl Seams {
    /// The real world: system clock, the operating system's entropy, TCP, tokio.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock { start: Instant::now() }),
            entropy: Arc::new(SystemEntropy),
            net: Arc::new(Tcp),
            tasks: Arc::new(TokioTasks),
        }
    }
}

struct SystemClock {
    start: Instant,
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place that reads the wall clock
    fn now(&self) -> UnixMs {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).expect("the operating system provides entropy");
    }
}

struct Tcp;

#[async_trait]
impl Net for Tcp {
    async fn dial(&self, address: &str) -> io::Result<BoxIo> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    async fn bind(&self, address: &str) -> io::Result<Box<dyn Accept>> {
        Ok(Box::new(TcpAccept(tokio::net::TcpListener::bind(address).await?)))
    }
}

struct TcpAccept(tokio::net::TcpListener);

#[async_trait]
impl Accept for TcpAccept {
    async fn accept(&mut self) -> io::Result<(BoxIo, String)> {
        let (stream, from) = self.0.accept().await?;
        stream.set_nodelay(true)?;
        Ok((Box::new(stream), from.to_string()))
    }

    fn local_address(&self) -> String {
        self.0.local_addr().map_or_else(|_| "unknown".to_owned(), |address| address.to_string())
    }
}

struct TokioTasks;

impl Tasks for TokioTasks {
    fn spawn(&self, _name: &'static str, task: Task) {
        tokio::spawn(task);
    }

    fn block(&self, work: Box<dyn FnOnce() + Send>) {
        tokio::task::spawn_blocking(work);
    }

    fn dedicate(&self, name: &'static str, task: Task) -> io::Result<Box<dyn Dedicated>> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        Ok(Box::new(Thread(thread.spawn(move || futures::executor::block_on(task))?)))
    }
}

struct Thread(std::thread::JoinHandle<()>);

impl Dedicated for Thread {
    fn join(self: Box<Self>) -> io::Result<()> {
        self.0.join().map_err(|_| io::Error::other("the thread panicked"))
    }
}
