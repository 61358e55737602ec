//! Who has said something on a connection. TLS alone says nothing: until the first bytes of a request have come it is not even
//! known which HTTP is spoken, and no time-out of either counts yet.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of HTTP/2's preface (RFC 9113, 3.4). No request of HTTP/1.1 is shorter.
const PREFACE_LENGTH: usize = 24;
/// They come by then, or never.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How many bytes were read of a connection.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<AtomicUsize>);

impl Heard {
    /// Ends where the other side does not begin.
    pub async fn nothing(self) {
        tokio::time::sleep(SILENCE_MAX).await;
        if self.0.load(Ordering::Relaxed) >= PREFACE_LENGTH {
            std::future::pending().await
        }
    }

    /// `io`, listened to.
    pub fn of<T>(&self, io: T) -> Listened<T> {
        Listened { io, heard: self.clone() }
    }
}

/// A connection that is listened to.
pub(super) struct Listened<T> {
    io: T,
    heard: Heard,
}

impl<T: AsyncRead + Unpin> AsyncRead for Listened<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let done = Pin::new(&mut self.io).poll_read(context, buf);
        self.heard.0.fetch_add(buf.filled().len() - before, Ordering::Relaxed);
        done
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Listened<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
