//! `kho watch`

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use kho::client_file::ClientFile;
use kho_client::{Event, LogMemory, ReadError, WatchFrom, Watching};
use kho_proto::id::Seq;
use serde_json::json;

use super::entries::{self, Csv, Format, Output};
use super::filter::{FilterArgs, State};
use crate::exit::Result;
use crate::lang;

/// While nothing comes, it is looked so often whether it waits for the cluster.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Where to begin, as it is written.
#[derive(Debug, Clone, Copy)]
struct Begin(WatchFrom);

impl FromStr for Begin {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "now" => Ok(Begin(WatchFrom::Now)),
            number => {
                let number = number.parse().map_err(|_| "expected a sequence number, or now".to_owned())?;
                Ok(Begin(WatchFrom::Sequence(Seq(number))))
            }
        }
    }
}

/// Tells of every record as it is accepted, in order, without a gap.
#[derive(clap::Args)]
#[command(after_help = "\
Goes on at another node when one is lost, from where it was. Where none answers any more, it says so once, waits as long as it
takes (or --patience) and goes on by itself; only a beginning without a node ends at once, with exit code 4. Each line of JSON or CSV has
`next`: begin there with --start, and nothing is missed and nothing comes twice. With --progress, records that are not asked for and quiet times are told as lines with `next`
alone. The first record is 1.

Examples:
  kho watch --config client.toml --receiver VPCP
  kho watch --config client.toml --start 1 --unit BYT --format json | while read -r line; do ...; done
  kho watch --config client.toml --start 4711 --format json --progress")]
pub struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// The first sequence number, or `now`.
    #[arg(long, value_name = "SEQUENCE", default_value = "now")]
    start: Begin,
    /// Ends after so many records.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Ends with exit code 4 when no node has told anything for so long; without it, it waits as long as it takes.
    #[arg(long, value_name = "SECONDS")]
    patience: Option<u64>,
    /// Tells of progress, too; with --format json.
    #[arg(long)]
    progress: bool,
    #[command(flatten)]
    output: Output,
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
}

pub async fn run(args: Args) -> Result {
    let filter = args.filter.filter(State::All)?;
    let client = ClientFile::load(&args.config)?.standing_client(LogMemory::default())?;
    let watching = client.watch(&filter, args.start.0).await?;
    let mut watching = watching.patience(args.patience.map(Duration::from_secs));
    let mut count = 0;
    let mut csv = Csv::new(None, &["next"]);
    while args.limit.is_none_or(|limit| count < limit) {
        let event = next(&mut watching).await?;
        let next = watching.position().map(|seq| seq.0);
        let line = match (event, args.output.format()) {
            (Event::Record(entry), Format::Json) => {
                count += 1;
                let mut object = entries::object(&entry);
                object["next"] = json!(next);
                object.to_string()
            }
            (Event::Record(entry), Format::Csv) => {
                count += 1;
                let mut object = entries::object(&entry);
                object["next"] = json!(next);
                if count == 1 {
                    csv = Csv::new(Some(&entry), &["next"]);
                    format!("{}\n{}", csv.header()?, csv.line(&object)?)
                } else {
                    csv.line(&object)?
                }
            }
            (Event::Record(entry), Format::Table) => {
                count += 1;
                entries::cells(&entry).join("  ")
            }
            (Event::Progress, Format::Json) if args.progress => json!({ "next": next }).to_string(),
            (Event::Progress, _) => continue,
        };
        if !crate::out::line_while_read(format_args!("{line}"))? {
            break;
        }
    }
    Ok(())
}

/// The next event; that it has to wait for the cluster is told, once.
async fn next(watching: &mut Watching) -> std::result::Result<Event, ReadError> {
    let mut told = false;
    loop {
        if let Ok(event) = tokio::time::timeout(LOOK_INTERVAL, watching.next()).await {
            return event;
        }
        if let Some(why) = watching.waits()
            && !std::mem::replace(&mut told, true)
        {
            let lang = lang::current();
            let why = match why {
                ReadError::Refused { refusal } => lang::why(lang, refusal.code.as_str(), &refusal.message),
                other => other.to_string(),
            };
            let next = watching.position().map_or_else(|| "now".to_owned(), |next| next.0.to_string());
            eprintln!("{}", lang::WATCH_WAITS.with(lang, &[("next", &next), ("why", &why)]));
        }
    }
}
