//! `kho attachment get`

use std::path::PathBuf;

use anyhow::Context;
use kho::client_file::ClientFile;
use kho_proto::certificate::TrustRoots;
use kho_proto::error::{Code, Refusal};
use kho_proto::header::Header;
use kho_proto::id::RecordId;
use kho_proto::nfc::nfc;

use super::fetch_all;
use crate::commands::check;
use crate::exit::{Exit, Failure, Result};

/// Downloads attachments of a record, and checks each against the signed header.
#[derive(clap::Args)]
#[command(after_help = "\
The record and its receipt are read and checked first: what the files must be is what its sender has signed. A download
that was cut off leaves a hidden part in the directory and goes on there when the command is given again, at whichever
node answers. A file appears under its name only when it is whole and its digest is right; one that is there already,
with that digest, is not downloaded again, and any other file of the name is left as it is without --force.

Examples:
  kho attachment get 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e --out files              (all of them)
  kho attachment get 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e map.pdf --out files")]
pub struct Args {
    /// Record id.
    id: RecordId,
    /// Names of attachments; all if none is given.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
    /// Takes the place of files of the same names, and takes names that begin with a dot: the sender has chosen them.
    #[arg(long)]
    force: bool,
    /// Where the files go.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

pub async fn run(args: Args) -> Result {
    let file = ClientFile::load(&args.config)?;
    let key = file.verifier_key()?;
    let trust = match &file.signers_trust {
        Some(path) => Some(TrustRoots::from_pem(&std::fs::read(path).with_context(|| path.display().to_string())?)?),
        None => None,
    };
    let client = file.client()?;
    let fetched = client.get(args.id).await?;
    let checks = check(&fetched.record, &fetched.receipt, &key, trust.as_ref());
    if let Some((name, why)) = checks.first_failed() {
        return Err(Failure::new(Exit::Refused, format!("{name}: {why}")));
    }
    let header = Header::decode(&fetched.record.header)?;
    let names = || header.attachments.iter().map(|attachment| attachment.name.as_str()).collect::<Vec<_>>().join(", ");
    let find = |name: &String| -> Result<usize> {
        let at = |is: &dyn Fn(&str) -> bool| header.attachments.iter().position(|attachment| is(&attachment.name));
        // to the byte, else the same text: a file system may have another form of it than the header, or the keyboard
        let at = at(&|named| named == name).or_else(|| at(&|named| nfc(named) == nfc(name)));
        at.ok_or_else(|| {
            let message = format!("the record has no attachment {name:?}: expected one of {}", names());
            Refusal::new(Code::AttachmentUnknown, message).into()
        })
    };
    let indices = match args.names.as_slice() {
        [] => (0..header.attachments.len()).collect(),
        names => names.iter().map(find).collect::<Result<Vec<_>>>()?,
    };
    if indices.is_empty() {
        eprintln!("record {} has no attachments", args.id);
    }
    fetch_all(&client, &header, &indices, &args.out, args.force).await
}
