use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};

use super::{AHEAD_MAX, BEHIND_MAX, Coalesced, Turn};

/// A connection that counts the calls.
#[derive(Default)]
struct Counted {
    writes: Vec<Vec<u8>>,
    /// What each read finds.
    reads: VecDeque<Vec<u8>>,
    broken: bool,
    shut: bool,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.reads.pop_front() {
            Some(bytes) => {
                buf.put_slice(&bytes);
                Poll::Ready(Ok(()))
            }
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.writes.push(bytes.to_vec());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut = true;
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn pieces_go_in_one_call_when_the_runtime_has_turned() {
    let mut gathered = Coalesced::new(Counted::default());
    for piece in ["head", "body", "end"] {
        gathered.write_all(piece.as_bytes()).await.unwrap();
        gathered.flush().await.unwrap();
    }
    assert!(gathered.io.writes.is_empty(), "it has not");
    tokio::task::yield_now().await;
    gathered.flush().await.unwrap();
    assert_eq!(gathered.io.writes, [b"headbodyend"]);
    gathered.flush().await.unwrap();
    assert_eq!(gathered.io.writes.len(), 1, "nothing is left");
}

#[tokio::test]
async fn who_flushed_is_woken_and_a_reader_keeps_the_promise_too() {
    let (near, mut far) = duplex(1 << 10);
    let mut gathered = Coalesced::new(near);
    gathered.write_all(b"hello").await.unwrap();
    gathered.flush().await.unwrap();
    // as a handshake does: it reads, and does not flush again
    let reading = tokio::spawn(async move { gathered.read_u8().await });
    let mut heard = [0; 5];
    tokio::time::timeout(Duration::from_secs(10), far.read_exact(&mut heard)).await.expect("it goes").unwrap();
    assert_eq!(&heard, b"hello");
    far.write_u8(7).await.unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), 7);
}

#[tokio::test]
async fn a_connection_that_was_handed_on_is_woken_where_it_is_now() {
    let (near, mut far) = duplex(1 << 10);
    let mut gathered = Coalesced::new(near);
    gathered.write_all(b"one").await.unwrap();
    gathered.flush().await.unwrap();
    let other = tokio::spawn(async move {
        gathered.flush().await.unwrap();
        gathered.read_u8().await
    });
    let mut heard = [0; 3];
    tokio::time::timeout(Duration::from_secs(10), far.read_exact(&mut heard)).await.expect("it goes").unwrap();
    drop(far);
    assert_eq!(other.await.unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

/// A task that computes for long on the thread where bytes were flushed holds up none that are flushed on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_thread_that_turns_lets_bytes_go() {
    let (near, mut far) = duplex(1 << 10);
    let (hand_on, handed) = tokio::sync::oneshot::channel();
    let (free, blocked) = std::sync::mpsc::channel::<()>();
    let blocks = tokio::spawn(async move {
        let mut gathered = Coalesced::new(near);
        gathered.write_all(b"one").await.unwrap();
        gathered.flush().await.unwrap();
        hand_on.send(gathered).ok().unwrap();
        blocked.recv_timeout(Duration::from_secs(20)).expect("the bytes were read meanwhile");
    });
    let mut heard = [0; 6];
    // received here, on no worker's thread: what a worker wakes may wait for that worker, and it blocks
    let mut gathered = handed.await.unwrap();
    let other = tokio::spawn(async move {
        gathered.write_all(b"two").await.unwrap();
        gathered.flush().await.unwrap();
        gathered.read_u8().await
    });
    tokio::time::timeout(Duration::from_secs(10), far.read_exact(&mut heard)).await.expect("they go").unwrap();
    free.send(()).unwrap();
    assert_eq!(&heard, b"onetwo");
    blocks.await.unwrap();
    drop(far);
    other.await.unwrap().unwrap_err();
}

#[test]
fn who_asks_when_the_turn_came_just_now_is_woken() {
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let flags = [Arc::new(Flag(AtomicBool::new(false))), Arc::new(Flag(AtomicBool::new(false)))];
    let mut turn = Turn::default();
    // without a runtime a turn comes at once
    turn.ask(&Waker::from(flags[0].clone()));
    assert!(turn.came());
    turn.ask(&Waker::from(flags[1].clone()));
    assert!(flags.iter().all(|flag| flag.0.load(Ordering::SeqCst)));
}

#[tokio::test]
async fn a_connection_holds_no_more_room_than_it_may_fill() {
    let mut gathered = Coalesced::new(Counted::default());
    gathered.write_all(&vec![1; BEHIND_MAX / 2 + 1]).await.unwrap();
    gathered.write_all(&vec![2; BEHIND_MAX / 2 - 1]).await.unwrap();
    assert!(gathered.io.writes.is_empty());
    assert!(gathered.behind.capacity() <= BEHIND_MAX, "{}", gathered.behind.capacity());
}

#[tokio::test]
async fn a_task_that_has_spent_its_turn_sends_what_it_wrote_before_it_goes() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    let mut gathered = Coalesced::new(near);
    gathered.write_all(b"alert").await.unwrap();
    // tokio makes a task wait that has done much in one go
    while tokio::task::coop::has_budget_remaining() {
        tokio::task::coop::consume_budget().await;
    }
    drop(gathered);
    let mut heard = String::new();
    far.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "alert");
}

#[tokio::test]
async fn what_is_large_goes_by_itself_and_in_order() {
    let mut gathered = Coalesced::new(Counted::default());
    let large = vec![1; BEHIND_MAX + 1];
    gathered.write_all(b"small").await.unwrap();
    gathered.write_all(&large).await.unwrap();
    assert_eq!(gathered.io.writes, [b"small".to_vec(), large]);
    // as much as there is room for waits, and no more
    gathered.write_all(&vec![2; BEHIND_MAX]).await.unwrap();
    assert_eq!(gathered.io.writes.len(), 2);
    gathered.write_all(b"more").await.unwrap();
    assert_eq!(gathered.io.writes.len(), 3);
}

#[tokio::test]
async fn what_was_gathered_goes_before_the_end() {
    let mut gathered = Coalesced::new(Counted::default());
    gathered.write_all(b"last").await.unwrap();
    gathered.shutdown().await.unwrap();
    assert_eq!(gathered.io.writes, [b"last"]);
    assert!(gathered.io.shut);
}

#[tokio::test]
async fn what_was_promised_goes_when_the_connection_is_dropped() {
    let (near, mut far) = duplex(1 << 10);
    let mut gathered = Coalesced::new(near);
    // as TLS does with the alert that says why there is no handshake
    gathered.write_all(b"alert").await.unwrap();
    drop(gathered);
    let mut heard = String::new();
    far.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "alert");
}

#[tokio::test]
async fn a_write_that_failed_while_reading_is_told_to_who_writes_next_and_what_came_is_read() {
    let mut gathered = Coalesced::new(Counted { broken: true, ..Counted::default() });
    gathered.write_all(b"lost").await.unwrap();
    gathered.flush().await.unwrap();
    tokio::task::yield_now().await;
    gathered.io.reads.push_back(vec![9]);
    assert_eq!(gathered.read_u8().await.unwrap(), 9, "the other side said it before it went");
    assert_eq!(gathered.flush().await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_read_takes_what_is_there_and_keeps_it() {
    let bytes: Vec<u8> = (0..AHEAD_MAX).map(|n| (n % 251) as u8).collect();
    let mut gathered = Coalesced::new(Counted { reads: [bytes.clone()].into(), ..Counted::default() });
    let mut read = Vec::new();
    while read.len() < bytes.len() {
        let mut piece = [0; 4096];
        let length = gathered.read(&mut piece).await.unwrap();
        read.extend_from_slice(&piece[..length]);
    }
    assert!(read == bytes);
    assert!(gathered.ahead.bytes.capacity() == 0, "nothing is held of what was read");
}

proptest! {
    /// Whatever the sizes, over a connection that takes and gives a little at a time, both ways.
    #[test]
    fn all_bytes_arrive_in_order(
        sizes in prop::collection::vec(0usize..2 * BEHIND_MAX, 1..12),
        flushed in prop::collection::vec(any::<bool>(), 12),
        width in 1usize..100_000,
        asked in 1usize..2 * AHEAD_MAX,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (near, far) = duplex(width);
            let (mut near, mut far) = (Coalesced::new(near), Coalesced::new(far));
            let sent: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|n| (n % 253) as u8).collect();
            let expected = sent.clone();
            let writer = tokio::spawn(async move {
                let mut rest = &sent[..];
                for (size, flush) in sizes.into_iter().zip(flushed) {
                    let (now, later) = rest.split_at(size);
                    near.write_all(now).await.unwrap();
                    if flush {
                        near.flush().await.unwrap();
                        tokio::task::yield_now().await;
                    }
                    rest = later;
                }
                near.shutdown().await.unwrap();
            });
            let mut read = Vec::new();
            let mut piece = vec![0; asked];
            loop {
                let length = far.read(&mut piece).await.unwrap();
                if length == 0 {
                    break;
                }
                read.extend_from_slice(&piece[..length]);
            }
            writer.await.unwrap();
            assert!(read == expected, "{} of {} bytes", read.len(), expected.len());
        });
    }
}
