//! `kho log audit`

use std::path::PathBuf;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use kho_client::log::REQUESTS_MAX;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::header::SubmittedAt;
use kho_proto::leaf::Leaf;
use kho_proto::merkle::{Frontier, TILE_WIDTH, inclusion_proof, leaf_hash, verify_inclusion};
use kho_proto::tlog::{Bundle, Tiles};
use serde_json::json;

use super::evidence;
use super::leaves::Course;
use super::place::{Format, Log, Place, Signed};
use super::progress::Progress;
use super::verify::{Broken, Judged, judge};
use crate::exit::{Exit, Failure, Result};

/// Bundles after which progress is saved: what an interruption costs is read again in a few seconds.
const SAVE_INTERVAL: u64 = 64;

/// Reads every leaf and recomputes the whole tree: it must come to the root that is signed.
#[derive(clap::Args)]
#[command(after_help = "\
Checks that every leaf decodes, that leaf 0 and no other is the cluster's genesis, that accepted-at never goes back, and
that all leaves together have the root of the signed checkpoint: the newest one, or that of --to.

With --state progress is saved there now and then: run again, the audit goes on where it stood, and the next one reads only
what is new. The file is believed as it is: keep it where only you write. With --from an audit begins behind a checkpoint
that you trust.

Examples:
  kho log audit --url https://kho1:7110 --trust log-ca.pem --key log.vkey --state audit.json
  kho log audit --url https://kho1:7110 --trust log-ca.pem --key log.vkey --from last.checkpoint --format json
  kho log audit --dir mirror --key log.vkey")]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Begins behind this checkpoint, which you trust, instead of at leaf 0.
    #[arg(long, value_name = "CHECKPOINT")]
    from: Option<PathBuf>,
    /// Goes up to this checkpoint instead of the newest.
    #[arg(long, value_name = "CHECKPOINT")]
    to: Option<PathBuf>,
    /// Where progress is kept; read at the beginning if it is there, and then --from is not used.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Where evidence is written.
    #[arg(long, value_name = "DIR", default_value = ".")]
    evidence: PathBuf,
}

pub async fn run(args: Args) -> Result {
    let log = args.place.open()?;
    let mut progress = match &args.state {
        Some(path) => Progress::load(path, &log.key)?,
        None => None,
    };
    if let (None, Some(path)) = (&progress, &args.from) {
        progress = Some(behind(&log, log.saved(path)?).await?);
    }
    let mut progress = progress.unwrap_or_else(Progress::beginning);
    let first = progress.course.frontier.size();
    let target = match &args.to {
        Some(path) => log.saved(path)?,
        None => log.newest_of(first).await?,
    };
    if let Err(refused) = audit(&args, &log, &mut progress, &target).await? {
        if args.place.format() == Format::Json {
            outln!(
                "{:#}",
                json!({
                    "result": "failed", "code": refused.code.as_str(), "message": refused.message, "origin": log.key.origin().as_str(),
                    "checkpoint": target.json(), "evidence": refused.evidence,
                })
            )?;
        }
        return Err(Failure::coded(Exit::Refused, Refusal::new(refused.code, refused.message)));
    }
    progress.checkpoint = Some(target.clone());
    if let Some(path) = &args.state {
        progress.save(path, &log.key)?;
    }
    let last = SubmittedAt::from_unix_ms(progress.course.last_accepted_at);
    let checkpoint = &target.checkpoint;
    match args.place.format() {
        Format::Json => outln!(
            "{:#}",
            json!({
                "result": "audited", "origin": checkpoint.origin.as_str(), "checkpoint": target.json(),
                "began_at": progress.began_at, "read_from": first, "last_accepted_at": last.to_string(),
            })
        )?,
        Format::Text => outln!(
            "audited: {} leaves lead to the signed root {}; read from leaf {first}, last accepted {last}{}",
            checkpoint.size,
            checkpoint.root,
            if progress.began_at == 0 {
                String::new()
            } else {
                format!("; leaves before {} are taken from a checkpoint", progress.began_at)
            },
        )?,
    }
    Ok(())
}

/// A check that failed.
struct Refused {
    code: Code,
    message: String,
    evidence: Option<PathBuf>,
}

impl Refused {
    fn tiles(message: String) -> Self {
        Self { code: Code::LogTilesInvalid, message, evidence: None }
    }
}

/// From where progress stands to the target, and all of it against the signed root.
async fn audit(
    args: &Args,
    log: &Log,
    progress: &mut Progress,
    target: &Signed,
) -> Result<std::result::Result<(), Refused>> {
    let size = target.checkpoint.size;
    if progress.course.frontier.size() > size {
        return against_the_last(args, log, progress, target).await;
    }
    let bar = bar(size);
    let first = progress.course.frontier.size() / TILE_WIDTH as u64;
    let numbers = first..size.div_ceil(TILE_WIDTH as u64);
    let bundles = numbers.filter_map(|number| Bundle::holding(number * TILE_WIDTH as u64, size));
    let read = |bundle: Bundle| async move { (bundle, log.public.leaves(bundle).await) };
    let mut bundles = stream::iter(bundles.map(read)).buffered(REQUESTS_MAX);
    let mut before: Option<Bytes> = None;
    while let Some((bundle, leaves)) = bundles.next().await {
        let known = progress.course.frontier.size() - bundle.index * TILE_WIDTH as u64;
        for (at, leaf) in leaves?.into_iter().enumerate() {
            if at as u64 >= known
                && let Err(rule) = progress.course.take(&leaf, log.key.origin())
            {
                let index = progress.course.frontier.size() - 1;
                bar.finish_and_clear();
                return Ok(Err(accuse(args, log, target, index, [before.as_ref(), Some(&leaf)], rule).await?));
            }
            before = Some(leaf);
        }
        bar.set_position(progress.course.frontier.size());
        if let Some(path) = &args.state
            && (bundle.index + 1) % SAVE_INTERVAL == 0
        {
            progress.save(path, &log.key)?;
        }
    }
    bar.finish_and_clear();
    let found = progress.course.frontier.root();
    if found == target.checkpoint.root {
        return Ok(Ok(()));
    }
    // bundles that lie, a state that was changed, or a log that did: where a checkpoint is known, it tells
    let known = against_the_last(args, log, progress, target).await?;
    Ok(known.and(Err(Refused::tiles(format!(
        "expected root {} of {size} leaves as is signed, found {found} over the leaves that were read",
        target.checkpoint.root
    )))))
}

/// Holds the target against the checkpoint that was audited before, if there is one.
async fn against_the_last(
    args: &Args,
    log: &Log,
    progress: &Progress,
    target: &Signed,
) -> Result<std::result::Result<(), Refused>> {
    let size = progress.course.frontier.size();
    if let Some(last) = &progress.checkpoint
        && let Judged::Broken(Broken { code, message, evidence }) = judge(log, last, target).await?
    {
        let evidence = Some(evidence::write(&args.evidence, &evidence)?);
        return Ok(Err(Refused { code, message, evidence }));
    }
    if size > target.checkpoint.size {
        // leaves that were read beyond the last audited checkpoint: nothing signed says that they were there
        let message = format!(
            "expected a checkpoint of at least {size} leaves, as many as were read, found {}",
            target.checkpoint.size
        );
        return Ok(Err(Refused { code: Code::LogShrank, message, evidence: None }));
    }
    Ok(Ok(()))
}

/// A leaf breaks a rule. If it is proven to be in the signed tree, with the leaf before it, the log answers for it; if not,
/// only the server does.
async fn accuse(
    args: &Args,
    log: &Log,
    target: &Signed,
    index: u64,
    leaves: [Option<&Bytes>; 2],
    rule: String,
) -> Result<Refused> {
    let message = format!("leaf {index}: {rule}");
    let mut proven = Vec::new();
    for (index, bytes) in [index.wrapping_sub(1), index].into_iter().zip(leaves) {
        let Some(bytes) = bytes else { continue };
        let Some(inclusion) = prove(log, target, index, bytes).await? else {
            return Ok(Refused::tiles(format!("{message}; and it is not the leaf of the signed tree")));
        };
        proven.push(evidence::Leaf { index, bytes, inclusion });
    }
    let evidence = evidence::leaves(&log.key, target, &rule, &proven);
    let evidence = Some(evidence::write(&args.evidence, &evidence)?);
    Ok(Refused { code: Code::LogLeafInvalid, message, evidence })
}

/// Proof that bytes are a leaf of a checkpoint's tree; none if they are not.
async fn prove(log: &Log, target: &Signed, index: u64, bytes: &[u8]) -> Result<Option<Vec<Digest>>> {
    let size = target.checkpoint.size;
    let tiles =
        log.public.tiles(size, Tiles::wanted(size, |tiles| inclusion_proof(tiles, index, size).is_ok())).await?;
    let Ok(proof) = inclusion_proof(&tiles, index, size) else { return Ok(None) };
    let verified = verify_inclusion(&leaf_hash(bytes), index, size, &proof, &target.checkpoint.root);
    Ok(verified.is_ok().then_some(proof))
}

/// Where an audit stands that takes a checkpoint on trust: its tree, out of tiles that lead to its root, and its last leaf.
async fn behind(log: &Log, trusted: Signed) -> Result<Progress> {
    let (size, root) = (trusted.checkpoint.size, trusted.checkpoint.root);
    let wanted = Tiles::wanted(size, |tiles| {
        let Ok(_frontier) = Frontier::at(tiles, size);
    });
    let frontier = Frontier::at(&log.public.tiles(size, wanted).await?, size).map_err(kho_client::log::Error::Tile)?;
    let refused = |message: String| Failure::coded(Exit::Refused, Refusal::new(Code::LogTilesInvalid, message));
    if frontier.root() != root {
        return Err(refused(format!("expected tiles that lead to root {root} of {size} leaves, found others")));
    }
    let mut course = Course { frontier, ..Course::beginning() };
    if let Some(bundle) = Bundle::holding(size.wrapping_sub(1), size) {
        let leaves = log.public.leaves(bundle).await?;
        let last = leaves.last().map(|leaf| &leaf[..]).unwrap_or_default();
        let proven = prove(log, &trusted, size - 1, last).await?;
        match (proven, Leaf::decode(last)) {
            (Some(_), Ok(leaf)) => course.last_accepted_at = leaf.accepted_at,
            _ => {
                return Err(refused(format!(
                    "expected leaf {} of the checkpoint's tree, found something else",
                    size - 1
                )));
            }
        }
    }
    Ok(Progress { course, began_at: size, checkpoint: Some(trusted) })
}

fn bar(size: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("leaves read [{bar:30}] {pos}/{len}, {eta} left").expect("a constant template");
    ProgressBar::new(size).with_style(style)
}
