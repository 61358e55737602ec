//! `kho outbox run`, `kho outbox drain`

use std::future::Future;
use std::path::PathBuf;

use kho::client_file::ClientFile;
use kho_client::{Client, Drained, Outbox, OutboxError, OutboxEvent, OutboxStatus, Pace};
use tokio::signal::unix::{SignalKind, signal};

use super::At;
use crate::exit::{Exit, Failure, Result};
use crate::lang;

/// What both deliverers are told.
#[derive(clap::Args)]
pub struct Common {
    #[command(flatten)]
    at: At,
    /// Refuses what was sent so often in vain and certainly is not in; kho outbox retry sends it again. Never, if absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds_max: Option<u32>,
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
}

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
    common: Common,
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
    common: Common,
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
    let (mut events, lang) = (outbox.events(), lang::current());
    tokio::spawn(async move {
        loop {
            let line = match events.recv().await {
                Ok(OutboxEvent::Delivered { record_id, sequence, .. }) => {
                    lang::TOLD_DELIVERED.with(lang, &[("id", &record_id), ("sequence", &sequence)])
                }
                Ok(OutboxEvent::Refused { record_id, code, sentence }) => {
                    let why = lang::why(lang, code.as_str(), &sentence);
                    lang::TOLD_REFUSED.with(lang, &[("id", &record_id), ("why", &why)])
                }
                Ok(OutboxEvent::Waits { record_id, code, sentence }) => {
                    let why = lang::why(lang, code.as_str(), &sentence);
                    lang::TOLD_WAITS.with(lang, &[("id", &record_id), ("why", &why)])
                }
                Err(tokio::sync::broadcast::error::RecvError::Lagged(missed)) => {
                    lang::NOT_TOLD.with(lang, &[("count", &missed)])
                }
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            };
            eprintln!("{line}");
        }
    })
}

/// What the log has signed is known after a restart, too. Where it is not, nothing less is delivered.
fn remember(client: &Client) {
    if let Err(error) = client.save_memory() {
        eprintln!("{}", lang::NOT_REMEMBERED_LOG.with(lang::current(), &[("error", &error)]));
    }
}

/// An outbox that is delivered from, and what came of it.
struct Delivery {
    outbox: Outbox,
    client: Client,
    pace: Pace,
    telling: tokio::task::JoinHandle<()>,
}

impl Delivery {
    fn begin(common: &Common, open: impl FnOnce(&At) -> std::result::Result<Outbox, OutboxError>) -> Result<Self> {
        let file = ClientFile::load(&common.config)?;
        let outbox = open(&common.at)?;
        let client = file.standing_client(common.at.memory())?;
        let pace = Pace { rounds_max: common.rounds_max, ..Pace::default() };
        Ok(Self { telling: tell(&outbox), outbox, client, pace })
    }

    /// How the outbox stands in the end, once every outcome is told.
    async fn end(self) -> Result<OutboxStatus> {
        let status = self.outbox.status();
        drop(self.outbox);
        remember(&self.client);
        self.telling.await?;
        Ok(status)
    }
}

pub async fn run(args: RunArgs) -> Result {
    let delivery = Delivery::begin(&args.common, At::open)?;
    delivery.outbox.deliver_at(&delivery.client, delivery.pace, stop()?).await?;
    let status = delivery.end().await?;
    let records = lang::records(lang::current(), status.queued);
    eprintln!("{}", lang::RUN_STOPPED.with(lang::current(), &[("records", &records), ("refused", &status.refused)]));
    Ok(())
}

pub async fn drain(args: DrainArgs) -> Result {
    let delivery = Delivery::begin(&args.common, At::open_existing)?;
    let drained = delivery.outbox.drain(&delivery.client, delivery.pace, stop()?).await?;
    let status = delivery.end().await?;
    let lang = lang::current();
    let (queued, refused) = (lang::records(lang, status.queued), lang::records(lang, status.refused));
    let unless_in_doubt = |exit| if status.in_doubt > 0 { Exit::Unknown } else { exit };
    if let Drained::Sender(codes) = drained {
        let codes: Vec<String> = codes.iter().map(|(code, count)| format!("{} of {count}", code.as_str())).collect();
        let (codes, doubt) = (codes.join(", "), status.in_doubt);
        let values: [(&str, &dyn std::fmt::Display); 4] =
            [("records", &queued), ("codes", &codes), ("doubt", &doubt), ("refused", &status.refused)];
        return Err(Failure::new(unless_in_doubt(Exit::Refused), lang::OTHER_SENDER.with(lang, &values)));
    }
    if status.queued > 0 {
        let values: [(&str, &dyn std::fmt::Display); 2] = [("records", &queued), ("doubt", &status.in_doubt)];
        return Err(Failure::new(unless_in_doubt(Exit::Unreachable), lang::DRAIN_STOPPED.with(lang, &values)));
    }
    if status.refused > 0 {
        return Err(Failure::new(Exit::Refused, lang::DRAIN_REFUSED.with(lang, &[("records", &refused)])));
    }
    Ok(())
}
