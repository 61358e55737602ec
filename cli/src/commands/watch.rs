//! `kho watch`

use std::path::PathBuf;
use std::str::FromStr;

use kho::client_file::ClientFile;
use kho_client::{Event, LogMemory, WatchFrom};
use kho_proto::id::Seq;
use serde_json::json;

use super::entries::{self, Csv, Format, Output};
use super::filter::{FilterArgs, State};
use crate::exit::Result;

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
Goes on at another node when one is lost, from where it was. Each line of JSON or CSV has `next`: begin there with --start, and nothing is
missed and nothing comes twice. With --progress, records that are not asked for and quiet times are told as lines with `next`
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
    let mut watching = client.watch(&filter, args.start.0).await?;
    let mut count = 0;
    let mut csv = Csv::new(None, &["next"]);
    while args.limit.is_none_or(|limit| count < limit) {
        let event = watching.next().await?;
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
