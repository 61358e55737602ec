//! `kho outbox add`

use std::path::{Path, PathBuf};

use anyhow::Context;
use kho::client_file::ClientFile;
use kho_client::{Added, Draft, PemSigner, Signed, System};
use kho_proto::record;
use kho_proto::report::Report;

use super::At;
use crate::exit::Result;

/// Signs reports and takes them into the outbox; when it ends, they are on the disk.
#[derive(clap::Args)]
#[command(after_help = "\
All files are taken, or none. Report documents (docs/formats/report.md) are signed with the signer of the client file; no node
is asked. Signed records (ID.record) are taken as they are. Corrections are given after what they correct. A report with
attachments is submitted by kho submit --attach, which uploads them.

Examples:
  kho outbox add --dir /var/lib/reports/outbox --config client.toml june/*.json
  kho outbox add --dir /var/lib/reports/outbox records/0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e.record")]
pub struct Args {
    /// Report documents (JSON), or signed records (ID.record).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    at: At,
    /// The client file: its signer.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
}

fn is_record(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "record")
}

pub async fn run(args: Args) -> Result {
    let signer = if args.files.iter().all(|file| is_record(file)) {
        None
    } else {
        Some(ClientFile::load(&args.config)?.signer()?)
    };
    let mut records = Vec::new();
    for file in &args.files {
        records.push(load(file, signer.as_ref()).await.with_context(|| file.display().to_string())?);
    }
    let outbox = args.at.open()?;
    let added = outbox.add_all(&records).await?;
    for (record, added) in records.iter().zip(added) {
        outln!("{}", record.record_id())?;
        if let Added::Before(place) = added {
            eprintln!("record {}: it was there already, {}", record.record_id(), place.as_str());
        }
    }
    Ok(())
}

async fn load(file: &Path, signer: Option<&PemSigner>) -> anyhow::Result<Signed> {
    let bytes = std::fs::read(file)?;
    match signer.filter(|_| !is_record(file)) {
        None => Ok(Signed::from_record(record::from_file(bytes)?)?),
        Some(signer) => Ok(Draft::from(Report::from_json(&bytes)?).sign(signer, &System).await?),
    }
}
