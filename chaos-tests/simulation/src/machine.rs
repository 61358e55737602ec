//! A simulated machine: time, chance, network, threads. Its disk is a [`SimDisk`].

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use kho_node::seams::{Accept, BoxIo, Clock, Dedicated, Entropy, Net, Seams, Task, Tasks};
use kho_node::storage::sim::SimDisk;
use kho_proto::id::UnixMs;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// The wall clock when a simulation begins: 12 June 2020, 09:00 at +07:00.
pub const BEGINNING: UnixMs = UnixMs(1_591_927_200_000);

/// What of a machine outlives its process.
pub struct Machine {
    /// Its disk.
    pub disk: Arc<SimDisk>,
    /// Its clock is ahead by so many milliseconds.
    pub skew_ms: Arc<AtomicI64>,
    chance: Arc<Mutex<SmallRng>>,
    slowest_disk: Duration,
}

impl Machine {
    /// A machine whose chances are drawn from `seed`, and whose disk takes up to `slowest_disk` for anything.
    pub fn new(seed: u64, slowest_disk: Duration) -> Self {
        let mut chance = SmallRng::seed_from_u64(seed);
        let disk = SimDisk::new(chance.random());
        Self { disk, skew_ms: Arc::default(), chance: Arc::new(Mutex::new(chance)), slowest_disk }
    }

    /// What a process on it gets.
    pub fn seams(&self) -> Seams {
        Seams {
            clock: Arc::new(SimClock { skew_ms: self.skew_ms.clone() }),
            entropy: Arc::new(SimEntropy(self.chance.clone())),
            net: Arc::new(SimNet { disk: self.disk.clone() }),
            tasks: Arc::new(SimTasks { chance: self.chance.clone(), slowest: self.slowest_disk }),
        }
    }
}

/// Since the simulation began, the same on all machines.
pub fn elapsed() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

struct SimClock {
    skew_ms: Arc<AtomicI64>,
}

impl Clock for SimClock {
    fn now(&self) -> UnixMs {
        let true_time = BEGINNING.0 + elapsed().as_millis() as u64;
        UnixMs(true_time.saturating_add_signed(self.skew_ms.load(Ordering::Relaxed)))
    }

    fn monotonic(&self) -> Duration {
        elapsed()
    }
}

struct SimEntropy(Arc<Mutex<SmallRng>>);

impl Entropy for SimEntropy {
    fn fill(&self, out: &mut [u8]) {
        self.0.lock().fill_bytes(out);
    }
}

struct SimNet {
    disk: Arc<SimDisk>,
}

#[async_trait]
impl Net for SimNet {
    async fn dial(&self, address: &str) -> io::Result<BoxIo> {
        if self.disk.is_cut() {
            std::future::pending::<()>().await;
        }
        Ok(Box::new(Wire::new(turmoil::net::TcpStream::connect(address).await?, &self.disk)))
    }

    async fn bind(&self, address: &str) -> io::Result<Box<dyn Accept>> {
        let listener = turmoil::net::TcpListener::bind(address).await?;
        Ok(Box::new(SimAccept { listener, disk: self.disk.clone() }))
    }
}

struct SimAccept {
    listener: turmoil::net::TcpListener,
    disk: Arc<SimDisk>,
}

#[async_trait]
impl Accept for SimAccept {
    async fn accept(&mut self) -> io::Result<(BoxIo, String)> {
        let (stream, from) = self.listener.accept().await?;
        Ok((Box::new(Wire::new(stream, &self.disk)), from.to_string()))
    }

    fn local_address(&self) -> String {
        self.listener.local_addr().map_or_else(|_| "unknown".to_owned(), |address| address.to_string())
    }
}

/// A stream on which nothing leaves a machine that was cut at a point: its process runs on until the end of the step. Nor does
/// anything of a process that crashed, whose tasks are dropped after that.
struct Wire {
    stream: turmoil::net::TcpStream,
    disk: Arc<SimDisk>,
    /// Crashes of the machine before this process.
    crashes: u64,
}

impl Wire {
    fn new(stream: turmoil::net::TcpStream, disk: &Arc<SimDisk>) -> Self {
        Self { stream, disk: disk.clone(), crashes: disk.crashes() }
    }

    fn is_dead(&self) -> bool {
        self.disk.is_cut() || self.disk.crashes() != self.crashes
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, to)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_dead() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_dead() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What blocks takes virtual time, drawn by chance, in which the machine may crash.
struct SimTasks {
    chance: Arc<Mutex<SmallRng>>,
    slowest: Duration,
}

fn pause(chance: &Mutex<SmallRng>, slowest: Duration) -> Duration {
    let mut chance = chance.lock();
    // most are quick, some take long
    if chance.random_bool(0.9) {
        slowest.mul_f64(chance.random_range(0.0..0.1))
    } else {
        slowest.mul_f64(chance.random())
    }
}

impl Tasks for SimTasks {
    fn spawn(&self, _: &'static str, task: Task) {
        tokio::spawn(task);
    }

    fn block(&self, work: Box<dyn FnOnce() + Send>) {
        let pause = pause(&self.chance, self.slowest);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            work();
        });
    }

    fn dedicate(&self, _: &'static str, task: Task) -> io::Result<Box<dyn Dedicated>> {
        tokio::spawn(Slow { task, waiting: None, chance: self.chance.clone(), slowest: self.slowest });
        Ok(Box::new(Ended))
    }
}

/// Ends with its machine.
struct Ended;

impl Dedicated for Ended {
    fn join(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

/// A task that is late each time it is woken: a thread that waits for its disk.
struct Slow {
    task: Task,
    waiting: Option<Pin<Box<Sleep>>>,
    chance: Arc<Mutex<SmallRng>>,
    slowest: Duration,
}

impl Future for Slow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let slow = &mut *self;
        let waiting =
            slow.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause(&slow.chance, slow.slowest))));
        if waiting.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        slow.waiting = None;
        slow.task.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A connection that says its last word when it is dropped said it after the crash.
    #[test]
    fn a_process_that_crashed_says_nothing_any_more() {
        let mut sim = turmoil::Builder::new().build();
        let disk = SimDisk::new(1);
        let of_host = disk.clone();
        sim.host("node", move || {
            let net = SimNet { disk: of_host.clone() };
            let disk = of_host.clone();
            async move {
                let (mut io, _) = net.bind("0.0.0.0:1").await?.accept().await?;
                io.write_all(b"before").await?;
                disk.crash(false);
                let after = tokio::time::timeout(Duration::from_millis(100), io.write_all(b"after")).await;
                assert!(after.is_err(), "nothing takes it");
                drop(io);
                std::future::pending().await
            }
        });
        sim.client("caller", async move {
            let mut io = turmoil::net::TcpStream::connect("node:1").await?;
            let mut heard = String::new();
            io.read_to_string(&mut heard).await?;
            assert_eq!(heard, "before");
            Ok(())
        });
        sim.run().unwrap();
    }
}
