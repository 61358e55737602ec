//! `kho list`

use std::path::PathBuf;

use kho::client_file::ClientFile;
use kho_client::{ListQuery, Order};
use serde_json::json;

use super::entries::{self, Format, Output};
use super::filter::{FilterArgs, State};
use crate::exit::{Failure, Result};
use crate::lang;

/// Order, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Newest,
    Oldest,
    Period,
    PeriodDescending,
}

/// Lists the records that the client's certificate lets it see.
#[derive(clap::Args)]
#[command(after_help = "\
A list is of one moment, however many pages it takes and whatever comes in meanwhile. Readers see what their units sent or
receive; an auditor's list has sequence numbers, times and leaves, and no names. --order period needs --regime and --unit or
--receiver. Periods between --from and --to are of whatever kind: with 2020-01 and 2020-03 also days, weeks and the quarter.
--stale asks one node for what it has, without a leader; how old that may be is said. Read a record itself with kho get.

Examples:
  kho list --config client.toml --unit BYT --limit 20
  kho list --config client.toml --regime YT-01 --receiver VPCP --from 2020-01 --to 2020-03 --order period
  kho list --config client.toml --state superseded --accepted-from 2020-06-01 --format json | jq .record_id
  kho list --config client.toml --regime YT-01 --format csv > june.csv
  kho list --config client.toml --unit BYT --count")]
pub struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// Which revisions.
    #[arg(long, value_enum, default_value_t = State::All)]
    state: State,
    /// Which record first.
    #[arg(long, value_enum, default_value_t = By::Newest)]
    order: By,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only says how many there are.
    #[arg(long, conflicts_with_all = ["order", "limit"])]
    count: bool,
    /// Takes one node's state as it is.
    #[arg(long)]
    stale: bool,
    #[command(flatten)]
    output: Output,
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
}

/// Entries of a page, at most, as the nodes have it.
const PAGE_SIZE_MAX: usize = 1_000;

pub async fn run(args: Args) -> Result {
    let filter = args.filter.filter(args.state)?;
    if matches!(args.order, By::Period | By::PeriodDescending) && !args.filter.has_side() {
        return Err(Failure::usage(lang::ORDER_NEEDS_SIDE.get()));
    }
    let client = ClientFile::load(&args.config)?.client()?;
    if args.count {
        let count = client.count(&filter, args.stale).await?;
        match args.output.format() {
            Format::Table => outln!("{}", count.count)?,
            Format::Json => outln!("{}", json!({ "count": count.count, "size": count.fresh.size }))?,
            Format::Csv => outln!("count,size\n{},{}", count.count, count.fresh.size)?,
        }
        eprintln!("{}", lang::COUNTED_OF.with(lang::current(), &[("of", &entries::freshness(count.fresh))]));
        return Ok(());
    }
    let order = match args.order {
        By::Newest => Order::Newest,
        By::Oldest => Order::Oldest,
        By::Period => Order::Period,
        By::PeriodDescending => Order::PeriodDescending,
    };
    let page_size = args.limit.unwrap_or(PAGE_SIZE_MAX).clamp(1, PAGE_SIZE_MAX) as u32;
    let listing = client.list(ListQuery { filter, order, page_size, stale: args.stale });
    entries::print(listing, args.output.format(), args.limit).await
}
