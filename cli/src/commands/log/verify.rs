//! `kho log verify`

use std::path::PathBuf;

use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::tlog::{Comparison, compare, tiles_to_compare};
use serde_json::{Value, json};

use super::evidence;
use super::place::{Format, Log, Place, Signed, save};
use crate::exit::{Exit, Failure, Result};

/// Verifies that a checkpoint extends an older one: nothing was changed, reordered or taken back in between.
#[derive(clap::Args)]
#[command(after_help = "\
Both signatures are verified with --key, and the tree of the older checkpoint is proven to be a prefix of the newer one's
(RFC 6962, 2.1.2) out of tiles that nobody needs to vouch for. Without --to the newest checkpoint is fetched; if it has
fewer leaves than the older one, which a node that has just started may show, it is asked for again (--patience).

log-forked: both are signed and cannot be of one tree. log-shrank: the newer has fewer leaves. Either way both signed notes
are written to a file. log-tiles-invalid: the tiles are not those of the signed checkpoint, which says nothing of the log
yet: ask another node.

Examples:
  kho log verify --from last.checkpoint --url https://kho1:7110 --trust log-ca.pem --key log.vkey --save last.checkpoint
  kho log verify --from monday.checkpoint --to friday.checkpoint --dir mirror --key log.vkey --format json")]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// The older checkpoint, as `kho log checkpoint --save` wrote it.
    #[arg(long, value_name = "OLD")]
    from: PathBuf,
    /// The newer one; the newest of the log if absent.
    #[arg(long, value_name = "NEW")]
    to: Option<PathBuf>,
    /// Writes the newer checkpoint there once it is proven; may be the same file as --from.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Where evidence is written.
    #[arg(long, value_name = "DIR", default_value = ".")]
    evidence: PathBuf,
}

pub async fn run(args: Args) -> Result {
    let log = args.place.open()?;
    let old = log.saved(&args.from)?;
    let new = match &args.to {
        Some(path) => log.saved(path)?,
        None => log.newest_of(old.checkpoint.size).await?,
    };
    let judged = judge(&log, &old, &new).await?;
    let mut report = json!({
        "result": judged.result(), "origin": log.key.origin().as_str(), "old": old.json(), "new": new.json(),
    });
    match judged {
        Judged::Consistent(proof) => {
            report["proof"] = proof.iter().map(Digest::to_string).collect();
            if let Some(path) = &args.save {
                save(path, &new)?;
                report["saved"] = path.display().to_string().into();
            }
            let (from, to) = (old.checkpoint.size, new.checkpoint.size);
            print(
                args.place.format(),
                &report,
                &format!("consistent: {to} leaves extend {from}, root {}", new.checkpoint.root),
            )
        }
        Judged::Broken(broken) => {
            report["code"] = broken.code.as_str().into();
            report["evidence"] = evidence::write(&args.evidence, &broken.evidence)?.display().to_string().into();
            if args.place.format() == Format::Json {
                outln!("{report:#}")?;
            }
            Err(broken.failure())
        }
    }
}

fn print(format: Format, report: &Value, text: &str) -> Result {
    match format {
        Format::Json => outln!("{report:#}")?,
        Format::Text => outln!("{text}")?,
    }
    Ok(())
}

/// What two checkpoints are to each other.
pub enum Judged {
    Consistent(Vec<Digest>),
    Broken(Broken),
}

impl Judged {
    fn result(&self) -> &'static str {
        match self {
            Judged::Consistent(_) => "consistent",
            Judged::Broken(broken) => match broken.code {
                Code::LogShrank => "shrank",
                _ => "forked",
            },
        }
    }
}

/// A promise that the log broke.
pub struct Broken {
    pub code: Code,
    pub message: String,
    pub evidence: Value,
}

impl Broken {
    pub fn failure(self) -> Failure {
        Failure::coded(Exit::Refused, Refusal::new(self.code, self.message))
    }
}

/// Holds two signed checkpoints against each other.
pub async fn judge(log: &Log, old: &Signed, new: &Signed) -> Result<Judged> {
    let (before, after) = (&old.checkpoint, &new.checkpoint);
    if after.size < before.size {
        let message =
            format!("expected at least {} leaves as in the older checkpoint, found {}", before.size, after.size);
        let evidence = evidence::shrank(&log.key, old, new);
        return Ok(Judged::Broken(Broken { code: Code::LogShrank, message, evidence }));
    }
    let tiles = log.public.tiles(after.size, tiles_to_compare(before.size, after.size)).await?;
    Ok(match compare(&tiles, before, after)? {
        Comparison::Consistent { proof } => Judged::Consistent(proof),
        Comparison::Forked { proof, root } => {
            let message = format!(
                "expected root {} of the first {} leaves as the older checkpoint says, found {root} in the newer one's tree of {}",
                before.root, before.size, after.size
            );
            let evidence = evidence::fork(&log.key, old, new, root, &proof);
            Judged::Broken(Broken { code: Code::LogForked, message, evidence })
        }
    })
}
