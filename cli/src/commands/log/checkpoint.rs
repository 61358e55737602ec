//! `kho log checkpoint`

use std::path::PathBuf;

use kho_proto::error::{Code, Refusal};
use serde_json::json;

use super::place::{Format, Place, save};
use crate::exit::{Exit, Failure, Result};

/// Fetches the newest checkpoint and verifies its signature.
#[derive(clap::Args)]
#[command(after_help = "\
Without --save the signed note is printed as it came. A file that holds another checkpoint is not overwritten: what was
saved is what the log can be held to, and `kho log verify --from FILE --save FILE` replaces it once the new one is proven
to extend it.

Examples:
  kho log checkpoint --url https://kho1:7110 --trust log-ca.pem --key log.vkey --save last.checkpoint
  kho log checkpoint --url https://log.example --key log.vkey --format json")]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Writes the signed note there.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

pub async fn run(args: Args) -> Result {
    let signed = args.place.open()?.newest().await?;
    if let Some(path) = &args.save {
        match std::fs::read(path) {
            Ok(there) if there == signed.note => {}
            Ok(_) => {
                let refusal = Refusal::new(
                    Code::ConfigInvalid,
                    format!("{0} holds another checkpoint: kho log verify --from {0} --save {0}", path.display()),
                );
                return Err(Failure::coded(Exit::Refused, refusal));
            }
            Err(_) => save(path, &signed)?,
        }
    }
    let checkpoint = &signed.checkpoint;
    match (args.place.format(), &args.save) {
        (Format::Json, saved) => {
            let note = String::from_utf8_lossy(&signed.note);
            outln!(
                "{:#}",
                json!({
                    "result": "signed", "origin": checkpoint.origin.as_str(), "size": checkpoint.size,
                    "root": checkpoint.root.to_string(), "note": note, "saved": saved,
                })
            )?;
        }
        (Format::Text, None) => outln!("{}", String::from_utf8_lossy(&signed.note).trim_end())?,
        (Format::Text, Some(path)) => {
            outln!("{} leaves, root {}, saved as {}", checkpoint.size, checkpoint.root, path.display())?;
        }
    }
    Ok(())
}
