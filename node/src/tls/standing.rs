//! How long whoever is connected may stay.

use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use kho_proto::certificate::Issued;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::revoked::Lists;

/// How long whoever is connected may stay: until a list names a certificate on its path.
pub struct Standing(Option<Held>);

struct Held {
    path: Vec<Issued>,
    /// None while the plane has none.
    lists: watch::Receiver<Option<Arc<Lists>>>,
}

impl Standing {
    /// No list will ever speak of it.
    pub fn lasting() -> Self {
        Self(None)
    }

    /// Lists that were read since the handshake count at once.
    pub(super) fn of(path: Vec<Issued>, lists: watch::Receiver<Option<Arc<Lists>>>) -> Self {
        Self(Some(Held { path, lists }))
    }

    /// Whether it has to go now.
    pub(super) fn is_lost(&self) -> bool {
        let Some(Held { path, lists }) = &self.0 else { return false };
        lists.borrow().as_ref().is_some_and(|lists| lists.take_back(path))
    }

    /// Ends when it has to go.
    pub async fn lost(self) {
        let Some(Held { path, mut lists }) = self.0 else { return pending().await };
        let named = |lists: &Option<Arc<Lists>>| lists.as_ref().is_some_and(|lists| lists.take_back(&path));
        let unread = lists.wait_for(named).await.is_err();
        if unread {
            // nobody reads lists any more
            pending::<()>().await;
        }
    }
}

/// A connection that breaks when its standing is lost.
pub(super) struct Cut<T> {
    io: T,
    /// None: it is lost.
    lost: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<T> Cut<T> {
    pub fn new(io: T, standing: Standing) -> Self {
        Self { io, lost: Some(Box::pin(standing.lost())) }
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if let Some(lost) = &mut self.lost
            && lost.as_mut().poll(context).is_pending()
        {
            return Ok(());
        }
        self.lost = None;
        Err(revoked())
    }
}

/// The other side's certificate is listed.
pub(super) fn revoked() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the other side's certificate was revoked")
}

impl<T: AsyncRead + Unpin> AsyncRead for Cut<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(context)?;
        Pin::new(&mut this.io).poll_read(context, into)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Cut<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(context)?;
        Pin::new(&mut this.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(context)?;
        Pin::new(&mut this.io).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
