//! Ctrl-C and SIGTERM: what was acknowledged is told, and how to go on.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::exit::{Exit, Failure, Result};
use crate::lang;

/// Whoever reads standard input can't look up: the process ends without him after so long.
const GRACE: Duration = Duration::from_secs(1);

/// Is done when somebody wants this command to end; ends it by force where it hangs on a read.
pub fn stopped() -> Result<impl Future<Output = Exit>> {
    let (first, second) = (wait()?, wait()?);
    tokio::spawn(async move {
        let exit = second.await;
        tokio::time::sleep(GRACE).await;
        eprintln!("{}", lang::INTERRUPTED_READING.get());
        std::process::exit(i32::from(exit as u8));
    });
    Ok(first)
}

fn wait() -> Result<impl Future<Output = Exit>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => Exit::Terminated,
            _ = interrupt.recv() => Exit::Interrupted,
        }
    })
}

/// How the command ends then.
pub fn interruption(exit: Exit, out: &Path) -> Failure {
    Failure::new(exit, lang::INTERRUPTED.with(lang::current(), &[("out", &out.display())]))
}
