//! `kho submit`

mod batch;
mod fate;
mod gather;
mod ids;
mod interrupt;
mod line;
mod plain;
mod receive;
mod sign;
pub mod source;
mod state;
mod tally;

use std::path::PathBuf;

use kho::client_file::ClientFile;

pub use gather::Read;
pub use ids::{Ids, fresh_id};
pub use receive::tell_fields;
pub use source::{Document, Source};
pub use state::{Key, Kind, OpenError, State};

use crate::exit::{Exit, Failure, Result};

/// Signs and submits reports, and writes each record and its receipt.
#[derive(clap::Args)]
#[command(after_help = "\
A report document is JSON: unit, regime, period (2020, 2020-06, 2020-01/2020-03, 2020-W24, 2020-06-12, 2020-06-12T08:30:00+07:00), optional
series (the subject), receivers (codes of units), supersedes (the id of the revision that it corrects), id and media_type, and either
figures (any JSON) or text. It is signed once with the signer of the client file; ID.record is written before anything is sent.

The same file given again is the same record: OUT/submit.state has the id of each report by what it says, so that its ID.record is
sent, or its receipt found. A document with an `id` of its own that was signed before and edited since is refused. Of several
files each has its own outcome, and the command ends as the worst of them: 3, else 4, else 1. When the outcome stays unknown (exit
code 3), submit that ID.record, or the same file: the same record is never stored twice.

Files given with --attach are uploaded first, each only as far as the store does not have it yet: a command that was cut
off is given again. The header names them by file name, and their SHA-256 is signed. With an ID.record that was signed
before, --attach uploads again what it names.

Many reports: a directory (its .json, .ndjson and .jsonl, by name, below it too), NDJSON with one report a line, or - for
NDJSON from standard input. A line is a report document; instead of figures or text it may have media_type and either
payload_base64 or payload_file, a file below the directory of the NDJSON. A bad line is told with its file, line, code and field,
and does not sink the others. Reports of one series go in their order. A run that was interrupted or
killed is given again as it was, and goes on: OUT/submit.state has the id of each report, and a report that says the same is
the same report. Ends with 3 if an outcome is unknown, else with 4 if some were not sent (nobody answered, or a node put them
off: over quota), else with 1 if one was refused. Ctrl-C (130) and SIGTERM (143) end it with what was acknowledged so far.

Examples:
  kho submit --config client.toml report.json --out records
  kho submit --config client.toml june.ndjson --out records                 (killed? the same once more)
  kho submit --config client.toml june/ more/ --out records --state june.state
  make-reports | kho submit --config client.toml - --out records
  kho submit --config client.toml report.json --attach map.pdf --attach cases.csv --out records
  kho submit --config client.toml june/*.json --out records
  kho submit --config client.toml records/0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e.record --out records

  report.json:
  { \"unit\": \"BYT\", \"regime\": \"YT-01\", \"period\": \"2020-06-12\", \"receivers\": [\"VPCP\"],
    \"figures\": { \"new_cases\": 2, \"recovered\": 5, \"deaths\": 0 } }")]
pub struct Args {
    /// Report documents (JSON), NDJSON, directories of them, - for NDJSON from standard input, or signed records
    /// (ID.record) to send again; several go to the store together.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Attaches a file to the report; may be given again. With it there is one report.
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
    /// Writes ID.record and ID.tlog-proof there.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Which id each report was given, for a run that goes on; OUT/submit.state if absent. Where that one is held or can't be made, a few
    /// plain documents that it does not have are signed without, and it is told; one that is named must be there.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

pub async fn run(args: Args) -> Result {
    let config = ClientFile::load(&args.config)?;
    let client = config.client()?;
    let many = args.files.iter().any(|file| source::holds_many(file));
    if args.attach.is_empty() {
        return match many || args.state.is_some() {
            true => batch::run(&args, &config, &client).await,
            false => plain::run(&args, &config, &client).await,
        };
    }
    if many || args.files.len() > 1 {
        return Err(Failure::new(Exit::Refused, "--attach: expected one report to attach files to, found more"));
    }
    plain::run(&args, &config, &client).await
}

impl Args {
    /// Where the ids are written down.
    fn state_path(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| self.out.join("submit.state"))
    }
}
