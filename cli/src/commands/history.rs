//! `kho history`

use std::path::PathBuf;

use clap::ArgGroup;
use kho::client_file::ClientFile;
use kho_client::{Order, SeriesOf};
use kho_proto::id::{RecordId, RegimeCode, UnitCode};
use kho_proto::period::Period;

use super::entries::{self, Output};
use crate::exit::{Exit, Failure, Result};

/// Shows the revisions of a series: what superseded what.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("of").required(true).args(["id", "unit"]), after_help = "\
The series is that of any record in it, or is named by unit, regime, period and subject. Shown are the revisions that the
client's units sent or receive.

Examples:
  kho history 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e --config client.toml
  kho history --unit BYT --regime YT-01 --period 2020-06-12 --series 'bệnh viện 1' --format json")]
pub struct Args {
    /// A record of the series.
    id: Option<RecordId>,
    /// The reporting unit.
    #[arg(long, value_name = "CODE", requires_all = ["regime", "period"])]
    unit: Option<UnitCode>,
    /// The regime.
    #[arg(long, value_name = "CODE", requires = "unit")]
    regime: Option<RegimeCode>,
    /// The period.
    #[arg(long, value_name = "PERIOD", requires = "unit")]
    period: Option<Period>,
    /// The subject within unit, regime and period.
    #[arg(long, value_name = "TEXT", default_value = "")]
    series: String,
    /// The latest revision first.
    #[arg(long)]
    newest: bool,
    /// Takes one node's state as it is.
    #[arg(long)]
    stale: bool,
    #[command(flatten)]
    output: Output,
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
}

pub async fn run(args: Args) -> Result {
    let of = match (args.id, args.unit, args.regime, args.period) {
        (Some(id), ..) => SeriesOf::Record(id),
        (None, Some(unit), Some(regime), Some(period)) => SeriesOf::Names { unit, regime, period, series: args.series },
        _ => return Err(Failure::new(Exit::Refused, "expected a record id, or --unit, --regime and --period")),
    };
    let order = if args.newest { Order::Newest } else { Order::Oldest };
    let client = ClientFile::load(&args.config)?.client()?;
    entries::print(client.history(of, order, args.stale), args.output.format(), None).await
}
