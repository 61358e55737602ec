//! `kho outbox export`

use std::path::{Path, PathBuf};

use anyhow::Context;
use kho_client::{OutboxError, Place, Stored};
use kho_proto::id::RecordId;

use super::At;
use super::taken::Taken;
use crate::exit::Result;
use crate::lang;

/// Records that are forgotten in one transaction, at most.
const FORGET_MAX: usize = 1_000;

/// Writes delivered records and their receipts as files, ID.record and ID.tlog-proof; kho verify checks them.
#[derive(clap::Args)]
#[command(after_help = "\
With --refused it writes the refused ones instead: ID.record, and ID.refused with the code on the first line and the sentence on
the second. --forget removes from the outbox what was written, once it is on the disk. The outbox keeps only the newest
delivered records (--kept-records-max): export what you have to keep. A report whose refused record is forgotten is taken anew
when kho outbox add is given it again; one that was delivered is not, nor one whose refused record may be in (kho outbox list says
\"in doubt\"): kho outbox add ID.record sends its same bytes. With --forget it waits 5 s at most for a kho outbox add that reads.

Examples:
  kho outbox export --dir /var/lib/reports/outbox --out receipts --forget
  kho verify --key \"$VKEY\" receipts/ID.tlog-proof receipts/ID.record
  kho outbox export --dir /var/lib/reports/outbox --out refused --refused")]
pub struct Args {
    /// Only these.
    #[arg(value_name = "ID")]
    ids: Vec<RecordId>,
    /// Where to write them.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Refused records, not delivered ones.
    #[arg(long)]
    refused: bool,
    /// Removes them from the outbox afterwards.
    #[arg(long)]
    forget: bool,
    #[command(flatten)]
    at: At,
}

pub async fn run(args: Args) -> Result {
    // before the outbox, as an add does
    let mut taken = match args.forget {
        true => Taken::open_existing(&args.at.dir).await?,
        false => None,
    };
    let begun = taken.as_ref().map(Taken::begun).unwrap_or_default();
    let outbox = args.at.open_existing()?;
    let place = if args.refused { Place::Refused } else { Place::Delivered };
    let ids = if args.ids.is_empty() {
        outbox.list(Some(place)).into_iter().map(|listed| listed.record_id).collect()
    } else {
        args.ids
    };
    for some in ids.chunks(FORGET_MAX) {
        let mut not_in = Vec::new();
        for record_id in some {
            let stored = outbox.read(*record_id).await?;
            let found = stored.as_ref().map_or("none", |stored| stored.listed.place.as_str());
            let stored = stored.filter(|stored| stored.listed.place == place).ok_or(OutboxError::Unknown {
                record_id: *record_id,
                expected: place.as_str(),
                found,
            })?;
            write(&args.out, &stored)?;
            if place == Place::Refused && !stored.listed.in_doubt {
                not_in.push(*record_id);
            } else if let (Some(taken), Some(keys)) = (&mut taken, begun.get(record_id)) {
                taken.took(keys, stored.signed()?.record())?;
            }
        }
        if let Some(taken) = &mut taken {
            // who adds these again wants them sent; what may be in is never signed anew
            taken.give_back(&not_in)?;
        }
        if args.forget {
            outbox.forget(some.to_vec()).await?;
        }
    }
    eprintln!("{}: {}", args.out.display(), lang::records(lang::current(), ids.len() as u64));
    Ok(())
}

fn write(out: &Path, stored: &Stored) -> Result {
    let id = stored.listed.record_id;
    let path = |end: &str| out.join(format!("{id}.{end}"));
    // it holds the report in clear
    let record = path("record");
    kho::files::write_private(&record, &stored.record).with_context(|| record.display().to_string())?;
    for (end, text) in [("tlog-proof", stored.receipt.clone()), ("refused", stored.refusal())] {
        let Some(text) = text else { continue };
        let path = path(end);
        kho::files::write(&path, text.as_bytes()).with_context(|| path.display().to_string())?;
        outln!("{}", path.display())?;
    }
    Ok(())
}
