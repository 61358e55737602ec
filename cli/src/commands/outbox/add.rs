//! `kho outbox add`

use std::path::PathBuf;

use kho::client_file::ClientFile;
use kho_client::{Added, Draft, PemSigner, Signed, System};

use super::{At, look};
use crate::commands::submit::{Document, Read, Source, source};
use crate::exit::{Exit, Failure, Result};
use crate::lang;

/// Signs reports and takes them into the outbox; when it ends, they are on the disk.
#[derive(clap::Args)]
#[command(after_help = "\
All reports are taken, or none. Files are as for kho submit: report documents, NDJSON with one report a line, directories of
these, - for NDJSON from standard input (kho submit --help says what a report is). They are signed with the signer of the client
file; no node is asked. Signed records (ID.record) are taken as they are. Corrections are given after what they correct. A report
with attachments is submitted by kho submit --attach, which uploads them. The same report added twice is two records.

Examples:
  kho outbox add --dir /var/lib/reports/outbox --config client.toml june/*.json
  kho outbox add --dir /var/lib/reports/outbox --config client.toml june.ndjson july/
  make-reports | kho outbox add --dir /var/lib/reports/outbox --config client.toml -
  kho outbox add --dir /var/lib/reports/outbox records/0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e.record")]
pub struct Args {
    /// Report documents (JSON), NDJSON, directories of these, - for NDJSON from standard input, or signed records (ID.record).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    at: At,
    /// The client file: its signer.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
}

pub async fn run(args: Args) -> Result {
    let mut signer = None;
    let (mut records, mut bytes_held) = (Vec::new(), 0);
    for file in source::files(&args.files)? {
        let mut source = Source::open(&file).map_err(|error| Failure::from(error).at(&file.display().to_string()))?;
        while let Some(Document { place, base, bytes, is_record, .. }) = source.next() {
            let read = bytes.and_then(|bytes| Read::of(bytes, &base, is_record));
            let signed = match read {
                Ok(Read::Record(record)) => Signed::from_record(record).map_err(Failure::from),
                // the signer is read when first needed: what is signed already needs none
                Ok(Read::Report(report)) => match signer_of(&args, &mut signer) {
                    Ok(signer) => Draft::from(report).sign(signer, &System).await.map_err(Failure::from),
                    Err(failure) => return Err(failure),
                },
                Err(failure) => Err(failure),
            };
            let signed = signed.map_err(|failure| failure.at(&place))?;
            bytes_held += (signed.record().payload.len() + signed.record().header.len()) as u64;
            records.push((signed, place));
            // what can't be taken in the end is not read on and on into memory
            args.at.check_room(records.len() as u64, bytes_held)?;
        }
    }
    if records.is_empty() {
        return Err(Failure::new(Exit::Refused, lang::NOTHING_TO_ADD.get()));
    }
    let outbox = args.at.open()?;
    let added = outbox.add_all_from(&records).await?;
    for ((record, _), added) in records.iter().zip(added) {
        let id = record.record_id();
        outln!("{id}")?;
        if let Added::Before(place) = added {
            let place = look::place(place).get();
            eprintln!("{}", lang::THERE_ALREADY.with(lang::current(), &[("id", &id), ("state", &place)]));
        }
    }
    Ok(())
}

fn signer_of<'a>(args: &Args, signer: &'a mut Option<PemSigner>) -> Result<&'a PemSigner> {
    match signer {
        Some(signer) => Ok(signer),
        none => Ok(none.insert(ClientFile::load(&args.config)?.signer()?)),
    }
}
