//! Fewer calls to the system for the bytes of a connection, which cost more than the bytes.
//!
//! HTTP/2 and TLS hand on what they have piece by piece: the head of a request, its body, its end; and TLS reads 4 KiB at a
//! time. What is written here is gathered until the runtime has nothing else to do that could add to it, and goes in one
//! call; what is read is read as far as there is room, and kept until it is asked for.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are gathered, at most; larger pieces go by themselves.
const BEHIND_MAX: usize = 32 << 10;
/// Bytes that are read at once where less was asked for: two of the largest TLS records.
const AHEAD_MAX: usize = 32 << 10;

thread_local! {
    /// Where bytes are read to, for as long as a call: an idle connection holds no room.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A connection, its bytes gathered. A flush is a promise: the bytes go when the runtime has turned, and whoever flushes is
/// woken for that. So it is for one task that polls again when it is woken, as all that drive a connection do; and for tasks that
/// a runtime has spawned, since what a runtime of one thread blocks on may end before the runtime has turned.
pub struct Coalesced<T: AsyncWrite + Unpin> {
    io: T,
    /// Read, and not asked for yet.
    ahead: Ahead,
    /// Written, and not on its way yet.
    behind: Vec<u8>,
    /// How much of it went.
    gone: usize,
    turn: Turn,
    /// What became of bytes that went when nobody wrote: the next that writes hears it.
    failed: Option<io::Error>,
}

impl<T: AsyncWrite + Unpin> Coalesced<T> {
    /// Of `io`, which has no buffers of its own.
    pub fn new(io: T) -> Self {
        Self { io, ahead: Ahead::default(), behind: Vec::new(), gone: 0, turn: Turn::default(), failed: None }
    }

    /// Writes what was gathered.
    fn poll_go(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.gone < self.behind.len() {
            match ready!(Pin::new(&mut self.io).poll_write(context, &self.behind[self.gone..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.gone += written,
            }
        }
        (self.behind, self.gone) = (Vec::new(), 0);
        self.turn.end();
        Poll::Ready(Ok(()))
    }

    /// Never takes more room than it may fill.
    fn gather<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) {
        for piece in pieces {
            let length = self.behind.len() + piece.len();
            if length > self.behind.capacity() {
                let room = (2 * length).min(BEHIND_MAX).max(length);
                self.behind.reserve_exact(room - self.behind.len());
            }
            self.behind.extend_from_slice(piece);
        }
    }

    /// Makes room for more.
    fn poll_room(&mut self, context: &mut Context<'_>, more: usize) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if self.behind.is_empty() || self.behind.len() + more <= BEHIND_MAX {
            return Poll::Ready(Ok(()));
        }
        self.poll_go(context)
    }
}

/// What was written goes as far as it can at once: an alert of TLS is followed by the end of everything.
impl<T: AsyncWrite + Unpin> Drop for Coalesced<T> {
    fn drop(&mut self) {
        if !self.behind.is_empty() {
            // nobody is left to hear of it
            let go = pin!(tokio::task::unconstrained(poll_fn(|context| self.poll_go(context))));
            let _gone = go.poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Coalesced<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // not all who were promised a flush ask again: a handshake reads, and may be another task's by now
        self.turn.remember(context.waker());
        if self.turn.came()
            && let Poll::Ready(Err(error)) = self.poll_go(context)
        {
            self.failed = Some(error);
            (self.behind, self.gone) = (Vec::new(), 0);
            self.turn.end();
        }
        let this = &mut *self;
        if this.ahead.is_empty() {
            if buf.remaining() >= AHEAD_MAX {
                return Pin::new(&mut this.io).poll_read(context, buf);
            }
            ready!(this.ahead.poll_fill(&mut this.io, context, buf))?;
        } else {
            this.ahead.take(buf);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Coalesced<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(context, bytes.len()))?;
        if self.behind.is_empty() && bytes.len() > BEHIND_MAX {
            return Pin::new(&mut self.io).poll_write(context, bytes);
        }
        self.gather([bytes]);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        ready!(self.poll_room(context, length))?;
        if self.behind.is_empty() && length > BEHIND_MAX {
            return Pin::new(&mut self.io).poll_write_vectored(context, pieces);
        }
        self.gather(pieces.iter().map(|piece| &**piece));
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if !self.behind.is_empty() {
            if !self.turn.came() {
                self.turn.ask(context.waker());
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_go(context))?;
        }
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        ready!(self.poll_go(context))?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// Bytes that were read before anyone asked for them.
#[derive(Default)]
struct Ahead {
    bytes: Vec<u8>,
    taken: usize,
}

impl Ahead {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Reads once: into `buf`, and what does not fit is kept.
    fn poll_fill<T: AsyncRead + Unpin>(
        &mut self,
        io: &mut T,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // taken, not borrowed: one such connection may be in another
        let mut scratch = SCRATCH.take();
        scratch.resize(AHEAD_MAX, 0);
        let mut read = ReadBuf::new(&mut scratch);
        let polled = Pin::new(io).poll_read(context, &mut read);
        let (now, later) = read.filled().split_at(read.filled().len().min(buf.remaining()));
        buf.put_slice(now);
        if !later.is_empty() {
            *self = Self { bytes: later.to_vec(), taken: 0 };
        }
        SCRATCH.set(scratch);
        polled
    }

    fn take(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = &self.bytes[self.taken..];
        let length = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..length]);
        self.taken += length;
        if self.taken == self.bytes.len() {
            *self = Self::default();
        }
    }
}

/// Whether the runtime has turned since somebody asked: run what was ready, and looked for what came in.
#[derive(Default)]
struct Turn {
    turned: Arc<Turned>,
    asked: bool,
}

#[derive(Default)]
struct Turned {
    came: AtomicBool,
    /// Whoever waits.
    waker: Mutex<Option<Waker>>,
}

impl Turned {
    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Turned {
    fn wake(self: Arc<Self>) {
        self.came.store(true, Ordering::Release);
        let waker = self.waker().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Turn {
    /// Wakes `waker` when it has: whichever thread turns first, of those that it was asked on.
    fn ask(&mut self, waker: &Waker) {
        if self.came() {
            waker.wake_by_ref();
            return;
        }
        if std::mem::replace(&mut self.asked, true) {
            self.remember(waker);
        } else {
            *self.turned.waker() = Some(waker.clone());
        }
        let turned = Waker::from(self.turned.clone());
        // its first poll hands the waker to the scheduler, which is all that is wanted of it
        let yielded = pin!(tokio::task::yield_now());
        let _pending = yielded.poll(&mut Context::from_waker(&turned));
    }

    /// Whoever asked, it is `waker` now that waits.
    fn remember(&mut self, waker: &Waker) {
        if !self.asked || self.came() {
            return;
        }
        match &mut *self.turned.waker() {
            Some(waits) => waits.clone_from(waker),
            // it came just now, and woke another
            None => waker.wake_by_ref(),
        }
    }

    fn came(&self) -> bool {
        self.asked && self.turned.came.load(Ordering::Acquire)
    }

    /// Nothing is waited for any more.
    fn end(&mut self) {
        if !self.asked {
            return;
        }
        self.asked = false;
        if !self.turned.came.swap(false, Ordering::AcqRel) {
            // the scheduler has the old one still, and would tell of a turn that was asked for earlier
            self.turned = Arc::default();
        }
    }
}

#[cfg(test)]
mod tests;
