//! `kho outbox run`, `kho outbox drain`

use std::future::Future;
use std::path::PathBuf;

use kho::client_file::ClientFile;
use kho_client::{Client, Drained, Outbox, OutboxEvent, Pace};
use tokio::signal::unix::{SignalKind, signal};

use super::At;
use crate::exit::{Exit, Failure, Result};

/// Delivers what is in the outbox, and what comes, until it is told to stop.
#[derive(clap::Args)]
#[command(after_help = "\
Ends in good order on SIGTERM or SIGINT, after the round under way. Whatever ends it otherwise, nothing is lost: start it again.
It goes on, too, while records wait for a certificate that may send them (unit-not-permitted and its like; kho outbox drain
--help names them). It holds the outbox: meanwhile the other commands are refused (outbox-locked). Each outcome is a line on standard error.

Examples:
  kho outbox run --dir /var/lib/reports/outbox --config client.toml")]
pub struct RunArgs {
    #[command(flatten)]
    at: At,
    /// Refuses what was sent so often in vain and certainly is not in; kho outbox retry sends it again. Never, if absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds_max: Option<u32>,
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
}

/// Delivers what is in the outbox, and ends when nothing waits any more that waiting alone could bring in.
#[derive(clap::Args)]
#[command(after_help = "\
Waits as long as it takes for a cluster that does not answer, and for whatever else may pass by itself; SIGTERM or SIGINT ends
it before. It does not wait for a change of who sends: where all that is left was answered with unit-not-permitted,
role-not-permitted, identity-missing or client-certificate-missing, or comes behind such a record, it ends and says how many.
They stay queued: kho outbox run, or drain again, with a certificate that may send them. Whoever wants them out has them
refused (--rounds-max 1, never what may be in), then kho outbox export --refused --forget.

Ends with 0 if everything was delivered, 1 if records are refused or wait for another sender, 3 if some that are left may be
in, 4 if it was ended and those that wait certainly are not.

Examples:
  kho outbox drain --dir /var/lib/reports/outbox --config client.toml")]
pub struct DrainArgs {
    #[command(flatten)]
    at: At,
    /// Refuses what was sent so often in vain and certainly is not in; kho outbox retry sends it again. Never, if absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds_max: Option<u32>,
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
}

fn stop() -> Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Says of each record what became of it, while this is held.
fn tell(outbox: &Outbox) -> tokio::task::JoinHandle<()> {
    let mut events = outbox.events();
    tokio::spawn(async move {
        loop {
            match events.recv().await {
                Ok(OutboxEvent::Delivered { record_id, sequence, .. }) => {
                    eprintln!("record {record_id}: sequence {sequence}");
                }
                Ok(OutboxEvent::Refused { record_id, code, sentence }) => {
                    eprintln!("record {record_id}: refused [{}]: {sentence}", code.as_str());
                }
                Ok(OutboxEvent::Waits { record_id, code, sentence }) => {
                    eprintln!("record {record_id}: waits [{}]: {sentence}", code.as_str());
                }
                Err(tokio::sync::broadcast::error::RecvError::Lagged(missed)) => {
                    eprintln!("{missed} outcomes were not told; kho outbox list has them");
                }
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            }
        }
    })
}

/// What the log has signed is known after a restart, too. Where it is not, nothing less is delivered.
fn remember(client: &Client) {
    if let Err(error) = client.save_memory() {
        eprintln!("what the log has signed is not remembered: {error}");
    }
}

pub async fn run(args: RunArgs) -> Result {
    let file = ClientFile::load(&args.config)?;
    let outbox = args.at.open()?;
    let client = file.standing_client(args.at.memory())?;
    let telling = tell(&outbox);
    let stop = stop()?;
    outbox.deliver_at(&client, Pace { rounds_max: args.rounds_max, ..Pace::default() }, stop).await?;
    let status = outbox.status();
    drop(outbox);
    remember(&client);
    telling.await?;
    eprintln!("stopped: {} records wait, {} are refused", status.queued, status.refused);
    Ok(())
}

pub async fn drain(args: DrainArgs) -> Result {
    let file = ClientFile::load(&args.config)?;
    let outbox = args.at.open_existing()?;
    let client = file.standing_client(args.at.memory())?;
    let telling = tell(&outbox);
    let stop = stop()?;
    let drained = outbox.drain(&client, Pace { rounds_max: args.rounds_max, ..Pace::default() }, stop).await?;
    let status = outbox.status();
    drop(outbox);
    remember(&client);
    telling.await?;
    let (queued, refused) = (status.queued, status.refused);
    if let Drained::Sender(codes) = drained {
        let codes: Vec<String> = codes.iter().map(|(code, count)| format!("{} of {count}", code.as_str())).collect();
        let exit = if status.in_doubt > 0 { Exit::Unknown } else { Exit::Refused };
        let message = format!(
            "{queued} records wait for another sender [{}], {} of them may be in, {refused} are refused: use a certificate \
             that may send them, or take them out with --rounds-max 1 and kho outbox export --refused --forget",
            codes.join(", "),
            status.in_doubt
        );
        return Err(Failure::new(exit, message));
    }
    if queued > 0 {
        let exit = if status.in_doubt > 0 { Exit::Unknown } else { Exit::Unreachable };
        return Err(Failure::new(
            exit,
            format!("stopped: {queued} records wait, of which {} may be in", status.in_doubt),
        ));
    }
    if refused > 0 {
        return Err(Failure::new(Exit::Refused, format!("{refused} records are refused: kho outbox list --refused")));
    }
    Ok(())
}
