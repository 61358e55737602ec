//! `kho outbox refuse`

use std::collections::BTreeSet;

use kho_proto::id::RecordId;

use super::At;
use crate::exit::Result;
use crate::lang;

/// Gives up records that wait, also such as may be in: they are refused, and later ones of their series go on.
#[derive(clap::Args)]
#[command(after_help = "\
For a record that nothing settles: it was refused, may be in, and nobody can say (the identity lacks the role reader, or the client
knows several sites). Its code is outbox-given-up, and its sentence says whether it may be in; kho get asks the cluster. All of
these ids, or none. kho outbox retry takes it back: the same bytes, never a second record. What supersedes a record that
certainly is not in is refused with it, in the next run or drain.

Once kho outbox export --refused --forget took it out, its report given to kho outbox add again is signed anew if it certainly is not
in. If it may be in, it is told as added before: kho outbox add ID.record sends the same bytes.

While a service or kho outbox run has the outbox open, this is refused (outbox-locked): stop it first, or let the service do it
(Outbox::give_up, never of a record that is being sent right now).

Examples:
  kho outbox list --dir /var/lib/reports/outbox --queued
  kho outbox refuse --dir /var/lib/reports/outbox 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e
  kho outbox export --dir /var/lib/reports/outbox --out refused --refused --forget")]
pub struct Args {
    /// Ids of records that wait.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<RecordId>,
    #[command(flatten)]
    at: At,
}

pub async fn run(args: Args) -> Result {
    let outbox = args.at.open_existing()?;
    let count = args.ids.iter().collect::<BTreeSet<_>>().len() as u64;
    let doubt = outbox.give_up(args.ids).await?;
    let records = lang::records(lang::current(), count);
    eprintln!("{}", lang::GIVEN_UP.with(lang::current(), &[("records", &records), ("doubt", &doubt)]));
    Ok(())
}
