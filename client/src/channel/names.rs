//! The addresses behind a node's name. The system's lookup has no time-out that could be set, and holds a thread for as long as
//! it takes: so nobody waits for it longer than for a connection, and while one is under way no second one is begun.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use hyper_util::client::legacy::connect::dns::Name;
use parking_lot::Mutex;
use tower::Service;

type BoxError = Box<dyn StdError + Send + Sync>;

/// What looks names up, and is always ready to: the system, but in tests.
pub(super) trait Resolver:
    Service<Name, Response: Iterator<Item = SocketAddr>, Error: Into<BoxError>, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Resolver for S where
    S: Service<Name, Response: Iterator<Item = SocketAddr>, Error: Into<BoxError>, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Why there is no address.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NameError {
    /// The resolver's words.
    #[error("{0}")]
    Resolver(Arc<BoxError>),
    /// It goes on, and the next that asks has its answer.
    #[error("the name was not resolved within {} ms", .0.as_millis())]
    Slow(Duration),
}

type Lookup = Shared<BoxFuture<'static, Result<Vec<SocketAddr>, NameError>>>;

/// One channel's, which asks for one name only.
#[derive(Clone)]
pub(super) struct Names<R> {
    resolver: R,
    limit: Duration,
    under_way: Arc<Mutex<Option<Lookup>>>,
}

impl<R: Resolver> Names<R> {
    pub fn new(resolver: R, limit: Duration) -> Self {
        Self { resolver, limit, under_way: Arc::default() }
    }

    fn lookup(&mut self, name: Name) -> Lookup {
        let mut under_way = self.under_way.lock();
        // also one that found something when nobody waited any more: a slow resolver would never be of use
        if let Some(lookup) = under_way.as_ref().filter(|lookup| !matches!(lookup.peek(), Some(Err(_)))) {
            return lookup.clone();
        }
        let found = self.resolver.call(name).map(|found| match found {
            Ok(addresses) => Ok(addresses.collect()),
            Err(error) => Err(NameError::Resolver(Arc::new(error.into()))),
        });
        let lookup = found.boxed().shared();
        // to its end, whoever waits for it
        tokio::spawn(lookup.clone());
        *under_way = Some(lookup.clone());
        lookup
    }
}

impl<R: Resolver> Service<Name> for Names<R> {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = NameError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (lookup, limit, under_way) = (self.lookup(name), self.limit, self.under_way.clone());
        async move {
            let found = tokio::time::timeout(limit, lookup.clone()).await.map_err(|_| NameError::Slow(limit))?;
            // it served: who asks later asks anew, since names move
            under_way.lock().take_if(|under_way| under_way.ptr_eq(&lookup));
            found.map(Vec::into_iter)
        }
        .boxed()
    }
}
