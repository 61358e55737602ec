//! Writes gathered until they are flushed: one TLS record for what belongs together. What records go in one call is decided
//! below TLS (`kho_transport::Coalesced`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};

/// A full HTTP/2 frame of the default size with its head, and something before it: nothing of it goes alone.
const GATHERED_BYTES: usize = (16 << 10) + 512;

/// A stream whose writes wait for a flush.
///
/// h2 takes a stream that can write vectored for one where each write is cheap: it flushes every body of more than 256
/// bytes before it looks at the trailers behind it, which makes two records of each answer. Of a stream that can't, it
/// copies bodies below 1 KiB to their heads. So this one says that it can't.
pub(super) struct Gathered<T>(BufWriter<T>);

impl<T: AsyncWrite> Gathered<T> {
    pub(super) fn new(io: T) -> Self {
        Self(BufWriter::with_capacity(GATHERED_BYTES, io))
    }
}

impl<T: AsyncWrite + Unpin> Gathered<T> {
    fn inner(self: Pin<&mut Self>) -> Pin<&mut BufWriter<T>> {
        Pin::new(&mut self.get_mut().0)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathered<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_read(context, into)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gathered<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Every write that reached it.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl AsyncWrite for Writes {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn what_is_flushed_together_goes_in_one_write() {
        let mut gathered = Gathered::new(Writes::default());
        assert!(!gathered.is_write_vectored());
        for part in ["head", "body", "trailers"] {
            gathered.write_all(part.as_bytes()).await.expect("it takes all");
        }
        gathered.flush().await.expect("it takes all");
        gathered.write_all(b"next").await.expect("it takes all");
        gathered.flush().await.expect("it takes all");
        assert_eq!(gathered.0.into_inner().0, [b"headbodytrailers".as_slice(), b"next"]);
    }

    #[tokio::test]
    async fn the_largest_frame_goes_with_its_head_and_an_end_takes_along_what_waits() {
        let mut gathered = Gathered::new(Writes::default());
        let frame = vec![7; 16 << 10];
        gathered.write_all(b"nine bytes").await.expect("it takes all");
        gathered.write_all(&frame).await.expect("it takes all");
        gathered.flush().await.expect("it takes all");
        gathered.write_all(b"last").await.expect("it takes all");
        gathered.shutdown().await.expect("it takes all");
        assert_eq!(gathered.0.into_inner().0, [[b"nine bytes".as_slice(), &frame].concat(), b"last".to_vec()]);
    }
}
