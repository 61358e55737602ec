//! TLS files that change while the client runs: new calls take new connections, calls under way keep theirs.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use kho_proto::digest::Digest;
use parking_lot::Mutex;
use tonic::transport::Channel;

use crate::channel::{self, Error, PemFiles, Tls, TlsStatus};
use crate::nodes::Nodes;
use crate::observe;

struct State {
    /// What was read last, good or not: the same is not judged twice.
    seen: Digest,
    loaded: Instant,
    reloads: u64,
    failed: Option<String>,
}

/// The files of one client.
pub(crate) struct Reload {
    files: PemFiles,
    connect: Duration,
    nodes: Weak<Nodes>,
    state: Mutex<State>,
}

impl Reload {
    /// Looks after the files for as long as the client lives. None: this identity has no files to look after.
    pub fn watching(tls: Option<Tls>, connect: Duration, nodes: &Arc<Nodes>) -> Option<Arc<Self>> {
        let (files, seen) = tls?.files()?;
        let state = Mutex::new(State { seen, loaded: Instant::now(), reloads: 0, failed: None });
        let every = files.every;
        let reload = Arc::new(Self { files, connect, nodes: Arc::downgrade(nodes), state });
        let watched = Arc::downgrade(&reload);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(reload) = watched.upgrade() else { return };
                // told where it fails, and by the status
                drop(tokio::task::spawn_blocking(move || reload.now()).await);
            }
        });
        Some(reload)
    }

    /// Reads the files; true: they had changed.
    pub fn now(&self) -> Result<bool, Error> {
        let mut state = self.state.lock();
        let read = self.files.read().and_then(|(pem, seen)| {
            if seen == state.seen && state.failed.is_none() {
                return Ok(None);
            }
            Ok(Some((self.channels(&pem.tls()?)?, seen)))
        });
        match read {
            Ok(None) => Ok(false),
            Ok(Some((channels, seen))) => {
                if let Some(nodes) = self.nodes.upgrade() {
                    nodes.swap(channels);
                }
                *state = State { seen, loaded: Instant::now(), reloads: state.reloads + 1, failed: None };
                observe::tls_reloaded();
                tracing::info!(certificate = %self.files.certificate.display(), "TLS files were read again");
                Ok(true)
            }
            Err(error) => {
                let text = error.to_string();
                if state.failed.as_ref() != Some(&text) {
                    tracing::warn!(%error, "TLS files are not usable: the client goes on with those that it had");
                    state.failed = Some(text);
                }
                Err(error)
            }
        }
    }

    /// One for each node; all or none: a certificate and a key that don't belong together show here.
    fn channels(&self, tls: &Tls) -> Result<Vec<Channel>, Error> {
        let Some(nodes) = self.nodes.upgrade() else { return Ok(Vec::new()) };
        nodes.addresses().map(|address| channel::open(address, Some(tls), self.connect)).collect()
    }

    pub fn status(&self) -> TlsStatus {
        let state = self.state.lock();
        TlsStatus { age: state.loaded.elapsed(), reloads: state.reloads, failed: state.failed.clone() }
    }
}
