//! A TCP proxy that delays, throttles, cuts connections and flips bits: what the machine's kernel has no module for.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use rand::Rng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::{CLIENTS, PROXIES};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 8 << 10;
/// Chunks on their way, in one direction of one connection.
const IN_FLIGHT: usize = 256;

const WHOLE: &str = "no thread panics while it counts";

/// What happens to connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Mood {
    /// Each way, every byte.
    pub delay_ms: u64,
    /// On top, from none to so much; order is kept.
    pub jitter_ms: u64,
    /// Of a thousand chunks, one bit of so many is flipped; once in a connection.
    pub corrupt_per_mille: u32,
    /// After so many of a thousand chunks the connection is reset.
    pub reset_per_mille: u32,
    /// Towards the one who connected; 0: as fast as it goes.
    pub bytes_per_s: u64,
}

/// What a proxy has seen and done.
#[derive(Debug, Default)]
pub struct Seen {
    /// Connections that reached the other side.
    pub connections: AtomicU64,
    /// Bytes passed on.
    pub bytes: AtomicU64,
    /// Chunks that came late.
    pub delayed: AtomicU64,
    /// Connections that were cut.
    pub resets: AtomicU64,
    /// Connections with a flipped bit...
    pub corrupted: AtomicU64,
    /// ...that one of the two ends then ended.
    pub refused: AtomicU64,
    /// Those that none has ended, by number: who connected, and where the bit was.
    pub going_on: Mutex<BTreeMap<u64, String>>,
}

impl Seen {
    /// A counter's value.
    pub fn count(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// A listener on the clients' machine; ends with this value, and its connections with it.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddrV4,
    /// What it saw.
    pub seen: Arc<Seen>,
    calm: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Listens, and passes on to `to` in this mood.
    pub async fn start(to: SocketAddrV4, mood: Mood) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let address = SocketAddrV4::new(CLIENTS, listener.local_addr()?.port());
        let (seen, calm) = (Arc::<Seen>::default(), Arc::<AtomicBool>::default());
        let task = tokio::spawn(accept(listener, to, mood, seen.clone(), calm.clone()));
        Ok(Self { address, seen, calm, task })
    }

    /// No more harm; connections go on.
    pub fn calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, to: SocketAddrV4, mood: Mood, seen: Arc<Seen>, calm: Arc<AtomicBool>) {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    // all connections end when the task does
    let mut connections = JoinSet::new();
    while let Ok((near, from)) = listener.accept().await {
        let connection = Connection {
            mood,
            seen: seen.clone(),
            calm: calm.clone(),
            cut: Notify::new(),
            bad: AtomicBool::new(false),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            from,
        };
        connections.spawn(async move {
            // the other side is not there: then neither are we
            if let Ok(far) = dial(to).await {
                connection.run(near, far).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn dial(to: SocketAddrV4) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((PROXIES, 0)))?;
    Ok(tokio::time::timeout(Duration::from_secs(5), socket.connect(to.into())).await??)
}

struct Connection {
    mood: Mood,
    seen: Arc<Seen>,
    calm: Arc<AtomicBool>,
    cut: Notify,
    bad: AtomicBool,
    number: u64,
    from: SocketAddr,
}

impl Connection {
    async fn run(self, near: TcpStream, far: TcpStream) {
        self.seen.connections.fetch_add(1, Ordering::Relaxed);
        for side in [&near, &far] {
            // a side that does not take it has gone already
            let _ = side.set_nodelay(true);
            if self.mood.reset_per_mille > 0 {
                let _ = side.set_zero_linger();
            }
        }
        let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
        let both = async {
            // either end's end is the end of both: no half-closed connections in HTTP/2
            tokio::select! {
                () = self.pump("to", near_read, far_write, 0) => {}
                () = self.pump("from", far_read, near_write, self.mood.bytes_per_s) => {}
            }
        };
        let cut = tokio::select! {
            () = both => false,
            () = self.cut.notified() => true,
        };
        if cut {
            self.seen.resets.fetch_add(1, Ordering::Relaxed);
        } else if self.bad.load(Ordering::Relaxed) {
            self.seen.refused.fetch_add(1, Ordering::Relaxed);
            self.seen.going_on.lock().expect(WHOLE).remove(&self.number);
        }
    }

    /// One direction: reads, harms, stamps with the time to pass it on; a second half passes it on then.
    async fn pump(&self, way: &str, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, bytes_per_s: u64) {
        let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
        let read = async move {
            let (mut due, mut passed, mut records) = (Instant::now(), 0, Records::default());
            let mut chunk = vec![0; if bytes_per_s > 0 { 256 } else { CHUNK_BYTES }];
            while let Ok(length @ 1..) = from.read(&mut chunk).await {
                let mut bytes = chunk[..length].to_vec();
                due = due.max(Instant::now() + self.wait());
                if bytes_per_s > 0 {
                    due += Duration::from_secs_f64(length as f64 / bytes_per_s as f64);
                }
                passed += length;
                let places = records.places(&bytes);
                if !self.harm(&mut bytes, &places, way, passed) || queue.send((due, bytes)).await.is_err() {
                    return;
                }
            }
        };
        let write = async move {
            while let Some((due, bytes)) = queued.recv().await {
                if Instant::now() < due {
                    self.seen.delayed.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep_until(due).await;
                }
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
                self.seen.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
        };
        // what was read before an end is still passed on
        tokio::select! {
            () = write => {}
            () = async { read.await; std::future::pending().await } => {}
        }
    }

    fn wait(&self) -> Duration {
        if self.calm.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let jitter = if self.mood.jitter_ms > 0 { rand::rng().random_range(0..self.mood.jitter_ms) } else { 0 };
        Duration::from_millis(self.mood.delay_ms + jitter)
    }

    /// Whether the connection goes on.
    fn harm(&self, bytes: &mut [u8], places: &[usize], way: &str, passed: usize) -> bool {
        if self.calm.load(Ordering::Relaxed) {
            return true;
        }
        let mut random = rand::rng();
        if random.random_ratio(self.mood.reset_per_mille.min(1000), 1000) {
            self.cut.notify_one();
            return false;
        }
        if random.random_ratio(self.mood.corrupt_per_mille.min(1000), 1000)
            && let Some(&place) = places.choose(&mut random)
            && !self.bad.swap(true, Ordering::Relaxed)
        {
            self.seen.corrupted.fetch_add(1, Ordering::Relaxed);
            let text =
                format!("{}: {way} the listener, byte {place} of a chunk of {} up to {passed}", self.from, bytes.len());
            self.seen.going_on.lock().expect(WHOLE).insert(self.number, text);
            bytes[place] ^= 1 << random.random_range(0..8);
        }
        true
    }
}

/// Where TLS records begin and end in one direction of a connection (RFC 8446, 5.1).
#[derive(Default)]
struct Records {
    header: Vec<u8>,
    left: usize,
}

impl Records {
    /// Places in the next bytes that mean something. The first three of a record do not, once it is encrypted: its outer
    /// type is always the same, and `legacy_record_version` "must be ignored for all purposes". rustls looks at neither.
    fn places(&mut self, bytes: &[u8]) -> Vec<usize> {
        let mut places = Vec::with_capacity(bytes.len());
        for (place, byte) in bytes.iter().enumerate() {
            if self.left > 0 {
                self.left -= 1;
                places.push(place);
                continue;
            }
            self.header.push(*byte);
            if self.header.len() > 3 {
                places.push(place);
            }
            if let [_, _, _, high, low] = self.header[..] {
                self.left = usize::from(high) << 8 | usize::from(low);
                self.header.clear();
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_but_the_first_three_of_each_record_means_something() {
        let mut records = Records::default();
        let two = [22, 3, 3, 0, 2, 7, 7, 23, 3, 3, 0, 0, 21, 3];
        assert_eq!(records.places(&two), [3, 4, 5, 6, 10, 11]);
        assert_eq!(records.places(&[3, 0, 1, 9]), [1, 2, 3]);
    }

    /// What arrives is what was sent, but for one bit of it.
    #[tokio::test]
    async fn a_flipped_bit_is_counted_and_so_is_the_end_of_its_connection() {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let SocketAddr::V4(to) = echo.local_addr().unwrap() else { panic!("an address of version 4") };
        let mood = Mood { corrupt_per_mille: 1000, ..Mood::default() };
        let (seen, calm) = (Arc::<Seen>::default(), Arc::default());
        let connection = Connection {
            mood,
            seen: seen.clone(),
            calm,
            cut: Notify::new(),
            bad: AtomicBool::new(false),
            number: 1,
            from: to.into(),
        };
        let mut near = TcpStream::connect(to).await.unwrap();
        let (near_end, _) = echo.accept().await.unwrap();
        let far_end = TcpStream::connect(to).await.unwrap();
        let (mut far, _) = echo.accept().await.unwrap();
        let run = tokio::spawn(connection.run(near_end, far_end));
        near.write_all(&[0; 9]).await.unwrap();
        let mut got = [0; 9];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(got.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1, "{got:?}");
        assert_eq!((Seen::count(&seen.corrupted), Seen::count(&seen.refused)), (1, 0));
        drop(far);
        run.await.unwrap();
        assert_eq!(Seen::count(&seen.refused), 1);
    }
}
