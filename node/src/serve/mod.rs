//! Puts a node together and runs it: [`serve`], or [`Node`] where more than its end is of interest.

mod connection;
mod crowd;
mod delivered;
mod error;
mod gate;
mod harden;
mod health;
mod heard;
mod listener;
mod log_gate;
mod machine;
mod messages;
mod metered;
pub(crate) mod metric_definitions;
mod node;
mod patience;
mod planes;
mod prepare;
mod services;
mod watch;

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

pub use error::{EXIT_REFUSED, EXIT_STORAGE_FAILED, ServeError};
pub use machine::Machine;
pub use node::Node;

use crate::config::Config;
use crate::seams::Seams;

/// Runs a node until `stop` is ready, then hands leadership over and ends in good order. SIGHUP reads certificates again.
///
/// An error before the listeners answer: the node refused to start. After: it had to stop, and nothing was
/// acknowledged since.
pub async fn serve(config: Config, seams: Seams, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
    harden::no_core_dumps()?;
    let mut reload = signal(SignalKind::hangup()).map_err(ServeError::Signal)?;
    tokio::pin!(stop);
    let mut node = tokio::select! {
        started = Node::start(config, seams) => started?,
        // a node whose state is built anew may wait for others for long
        () = &mut stop => return Ok(()),
    };
    loop {
        tokio::select! {
            failed = node.failed() => return Err(failed),
            Some(()) = reload.recv() => node.reload_certificates(),
            () = &mut stop => break,
        }
    }
    node.stop().await;
    Ok(())
}
