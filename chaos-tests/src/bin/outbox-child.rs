//! A service with an outbox, to be killed: reads records on standard input, adds each, says so on standard output, and
//! delivers meanwhile. `tests/outbox_crashes.rs` starts it.
//!
//! `outbox-child DIR CLIENT.toml [kill|stop STEP N]`: at the Nth time that it comes to the step it ends itself by SIGKILL, or
//! stops itself by SIGSTOP so that its power can be cut. A frame is a length of four bytes, big end first, and the record;
//! of length 0 it queues the refused ones again. At the end of the input it delivers what is left, and says `drained`.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kho::client_file::ClientFile;
use kho_chaos_tests::outbox::{EARLY, is_doubted};
use kho_client::{Limits, Outbox, Pace, Signed, Step, Steps};
use kho_proto::record;
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::{mpsc, oneshot};

/// Short, so that many lives are short. What is in doubt is asked for after this and a call's deadline.
const PACE: Pace = Pace {
    pause_min: Duration::from_millis(20),
    pause_max: Duration::from_millis(500),
    doubt: Duration::from_millis(500),
    rounds_max: None,
};

/// Ends or stops the process at a step.
#[derive(Debug)]
struct Fatal {
    signal: Signal,
    step: Step,
    left: AtomicU64,
}

impl Steps for Fatal {
    fn at(&self, step: Step) {
        if step == self.step && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // nothing of this process goes on behind it
            kill_process(getpid(), self.signal).expect("a process may signal itself");
        }
    }
}

#[derive(Debug)]
struct Unwatched;

impl Steps for Unwatched {
    fn at(&self, _: Step) {}
}

fn steps(arguments: &[String]) -> Result<Arc<dyn Steps>> {
    let [how, step, left] = arguments else { return Ok(Arc::new(Unwatched)) };
    let signal = match how.as_str() {
        "kill" => Signal::KILL,
        "stop" => Signal::STOP,
        other => bail!("expected kill or stop, found {other}"),
    };
    let step = Step::ALL.into_iter().find(|known| known.as_str() == step).with_context(|| step.clone())?;
    Ok(Arc::new(Fatal { signal, step, left: AtomicU64::new(left.parse()?) }))
}

/// Frames of standard input.
fn frames() -> mpsc::Receiver<Vec<u8>> {
    let (sender, frames) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut length = [0; 4];
        while input.read_exact(&mut length).is_ok() {
            let mut frame = vec![0; u32::from_be_bytes(length) as usize];
            if input.read_exact(&mut frame).is_err() || sender.blocking_send(frame).is_err() {
                return;
            }
        }
    });
    frames
}

fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

async fn serve(outbox: Outbox, client_file: &Path) -> Result<()> {
    let client = ClientFile::load(client_file)?.client()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let delivering = tokio::spawn({
        let (outbox, client) = (outbox.clone(), client.clone());
        async move { outbox.deliver_at(&client, PACE, async move { drop(stopped.await) }).await }
    });
    let early = std::env::var_os(EARLY).is_some();
    let mut frames = frames();
    while let Some(frame) = frames.recv().await {
        if frame.is_empty() {
            say(&format!("retried {}", outbox.retry(None).await?))?;
            continue;
        }
        // most have never left this process; of some it pretends not to know
        let record = record::from_file(frame)?;
        let mut signed = Signed::never_sent(record)?;
        if is_doubted(signed.record_id()) {
            signed = Signed::from_record(signed.record().clone())?;
        }
        let added = format!("added {}", signed.record_id());
        if early {
            say(&added)?;
        }
        outbox.add(&signed).await?;
        if !early {
            say(&added)?;
        }
    }
    drop(stop);
    delivering.await??;
    let drained = outbox.drain(&client, PACE, std::future::pending()).await?;
    anyhow::ensure!(drained == kho_client::Drained::Empty, "{drained:?}");
    say("drained")
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, client_file, rest @ ..] = arguments.as_slice() else { bail!("expected a directory and a client file") };
    let outbox = Outbox::open_watched(dir.as_ref(), Limits::default(), steps(rest)?)?;
    say("opened")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(serve(outbox, client_file.as_ref()))
}
