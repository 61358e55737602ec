//! `kho outbox retry`

use kho_proto::id::RecordId;

use super::At;
use crate::exit::{Exit, Failure, Result};
use crate::lang;

/// Queues refused records again, once their reason is gone.
#[derive(clap::Args)]
#[command(after_help = "\
With a record go those that were refused because they supersede it. The same bytes are sent: a report that was wrong is corrected
by a new one, which kho outbox add takes; then kho outbox export --refused --forget takes the wrong one out.

Examples:
  kho outbox retry --dir /var/lib/reports/outbox --all
  kho outbox retry --dir /var/lib/reports/outbox 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e")]
pub struct Args {
    /// Ids of refused records.
    #[arg(value_name = "ID")]
    ids: Vec<RecordId>,
    /// All of them.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    at: At,
}

pub async fn run(args: Args) -> Result {
    if !args.all && args.ids.is_empty() {
        return Err(Failure::usage(lang::RETRY_WHICH.get()));
    }
    let outbox = args.at.open_existing()?;
    let count = outbox.retry((!args.all).then_some(args.ids)).await?;
    if count == 0 {
        return Err(Failure::new(Exit::Refused, lang::NONE_REFUSED.get()));
    }
    let records = lang::records(lang::current(), count as u64);
    eprintln!("{}", lang::QUEUED_AGAIN.with(lang::current(), &[("records", &records)]));
    Ok(())
}
