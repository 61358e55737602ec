//! `kho get`

use std::path::{Path, PathBuf};

use anyhow::Context;
use kho::client_file::ClientFile;
use kho_client::GetError;
use kho_proto::certificate::TrustRoots;
use kho_proto::header::{Attachment, Header, SubmittedAt};
use kho_proto::id::RecordId;
use kho_proto::record;

use super::evidence::evidence;
use super::export;
use super::verify::{Checks, check};
use crate::exit::{Exit, Failure, Result};

/// Reads a record back, checks it and its receipt, and writes both.
#[derive(clap::Args)]
#[command(after_help = "\
The answer reflects everything acknowledged before, whichever node gives it. Receipt and signature are checked before
anything is written; with signers_trust in the client file the signer's certificate is, too. A receipt that proves
nothing is kept as ID.tlog-proof.rejected, in the directory of --out or --export, or in the current one.

Examples:
  kho get 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e                    (prints the payload)
  kho get 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e --out records      (ID.record and ID.tlog-proof)
  kho get 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e --export check     (then follow check/README: openssl alone)")]
pub struct Args {
    /// Record id.
    id: RecordId,
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
    /// Writes ID.record and ID.tlog-proof there.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Writes header.bin, signed.bin, signature.bin, certificate.pem, payload and a README there.
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
}

pub async fn run(args: Args) -> Result {
    let file = ClientFile::load(&args.config)?;
    let key = file.verifier_key()?;
    let trust = match &file.signers_trust {
        Some(path) => {
            let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
            Some(TrustRoots::from_pem(&pem)?)
        }
        None => None,
    };
    let fetched = file.client()?.get(args.id).await.inspect_err(|error| {
        if let GetError::Receipt { rejected, .. } = error {
            let dir = args.out.as_ref().or(args.export.as_ref());
            evidence(rejected, dir.map_or(Path::new("."), PathBuf::as_path), args.id);
        }
    })?;
    let checks = check(&fetched.record, &fetched.receipt, &key, trust.as_ref());
    if let Some((name, why)) = checks.first_failed() {
        return Err(Failure::new(Exit::Refused, format!("{name}: {why}")));
    }
    summary(&fetched, &checks)?;
    if let Some(dir) = &args.out {
        let path = dir.join(format!("{}.record", args.id));
        kho::files::write_private(&path, &record::to_file(&fetched.record))
            .with_context(|| path.display().to_string())?;
        outln!("{}", path.display())?;
        let path = dir.join(format!("{}.tlog-proof", args.id));
        kho::files::write(&path, fetched.receipt.to_tlog_proof().as_bytes())
            .with_context(|| path.display().to_string())?;
        outln!("{}", path.display())?;
    }
    if let Some(dir) = &args.export {
        for path in export::write(&fetched.record, dir)? {
            outln!("{}", path.display())?;
        }
    }
    if args.out.is_none() && args.export.is_none() {
        crate::out::bytes(&fetched.record.payload)?;
    }
    Ok(())
}

fn summary(fetched: &kho_client::Fetched, checks: &Checks) -> Result {
    let header = Header::decode(&fetched.record.header)?;
    let leaf = &fetched.receipt.leaf;
    eprintln!(
        "record {} of {}, regime {}, period {}{}: sequence {}, accepted {}, answered by node {}; {} checks ok",
        header.record_id,
        header.unit,
        header.regime,
        header.period,
        if header.series.is_empty() { String::new() } else { format!(", series {}", header.series) },
        fetched.receipt.sequence,
        SubmittedAt::from_unix_ms(leaf.accepted_at),
        fetched.node,
        checks.passed(),
    );
    for attachment in &header.attachments {
        let Attachment { name, media_type, length, .. } = attachment;
        eprintln!("attached: {name}, {media_type}, {length} bytes (kho attachment get {})", header.record_id);
    }
    Ok(())
}
