//! What `kho bench` is told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kho::bench::Pace;
use kho::bench::ramp::Rates;
use kho::bench::round::{To, Work};
use kho::bench::store::{Mix, Operation};
use kho_client::IN_FLIGHT_MAX;
use kho_proto::batch::SUBMIT_MANY_RECORDS_MAX;
use kho_proto::signature::Algorithm;

/// Payloads up to here: half of what a message of many may hold.
const SIZE_MAX: u64 = 2 << 20;
/// A client opens a channel and keeps histograms for each.
const CONNECTIONS_MAX: u64 = 1_024;
/// Calls under way on a connection of an open loop: the system shall be the limit, not the number of connections.
const OPEN_LANES: usize = 64;

/// Operation, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Op {
    /// A record a call.
    Single,
    /// --batch records a call.
    Many,
    /// Records over a stream, --in-flight at once.
    Stream,
    /// A record by its id, linearizable.
    Read,
    /// The newest 20 records.
    List,
    /// All of these, as --mix says.
    Mix,
}

/// Nodes, as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Nodes {
    /// All, in turn.
    Spread,
    /// The leader; needs an operator's certificate in the client file.
    Leader,
    /// The others; needs the same.
    Followers,
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0 && *number <= 1e6);
    number.ok_or_else(|| "expected a number above 0 and up to 1000000".to_owned())
}

fn not_negative(text: &str) -> Result<f64, String> {
    if text == "0" { Ok(0.0) } else { positive(text) }
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    text.parse::<Algorithm>().map_err(|error| error.to_string())
}

/// Loads a cluster and measures what it does: rates, latencies, CPU, bytes and syncs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Against a running cluster (--config) records are of the reserved unit DRILL, as those of kho drill are: test data, which
statistics leave out, but kept like all others. With --local DIR three processes of this binary are started in a new directory,
and their CPU, bytes, memory and syncs are measured too.

Closed loop: each connection makes its next call when the last one has ended; a slow server is asked less. Open loop (--rate):
calls fall due by the clock, and a latency begins when its call was due, so that a stall is seen in every call that it delays. What
is due and finds no room among 65536 waiting calls is told as lost. --ramp raises the rate until the 99th percentile is above
--p99-ms, or a call fails.

Records are signed before the clock runs. Every combination of --op, --size, --connections and --rate is a series; each round
measures all of them in turn; what is printed are medians over the rounds, with their spread.

Examples:
  kho bench --local /data/bench --op single,stream --connections 16,64 --json bench.json
  kho bench --config drill.toml --op single --rate 200 --duration 60 --rounds 1
  kho bench --local /data/bench --op single --ramp 500:250 --p99-ms 50 --rounds 1 --html bench.html
  kho bench --local /data/bench --op read --to followers --connections 64")]
pub struct Args {
    /// Client file of the cluster to load, with a signer of unit DRILL as kho drill has it.
    #[arg(long, value_name = "FILE", default_value = "drill.toml", env = "KHO_CONFIG")]
    pub config: PathBuf,
    /// Starts three nodes of its own with their files in this new directory, on the disk that is to be measured.
    #[arg(long, value_name = "DIR")]
    pub local: Option<PathBuf>,
    /// What is done.
    #[arg(long = "op", value_enum, value_delimiter = ',', default_values_t = [Op::Single])]
    operations: Vec<Op>,
    /// Bytes of a payload.
    #[arg(long = "size", value_name = "BYTES", value_delimiter = ',', default_values_t = [1024], value_parser = clap::value_parser!(u64).range(1..=SIZE_MAX))]
    sizes: Vec<u64>,
    /// Connections, each with a channel of its own to one node.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [16], value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX))]
    connections: Vec<u64>,
    /// Open loop: calls per second of all connections together. Closed loop if absent.
    #[arg(long = "rate", value_name = "PER-SECOND", value_delimiter = ',', value_parser = positive)]
    rates: Vec<f64>,
    /// Open loop at FROM calls per second, then STEP more each time, until --p99-ms is broken or TO is reached.
    #[arg(long, value_name = "FROM:STEP[:TO]", conflicts_with = "rates")]
    pub ramp: Option<Rates>,
    /// The ramp's goal: 99th percentile in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 100.0, value_parser = positive)]
    pub p99_ms: f64,
    /// Seconds that are measured, each time.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = positive)]
    duration: f64,
    /// Seconds of load before, each time.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = not_negative)]
    warm_up: f64,
    /// Rounds over all series; medians and spread are of them. 0: only the ramp.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=100))]
    pub rounds: u64,
    /// Records of a call that submits many.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=SUBMIT_MANY_RECORDS_MAX as u64))]
    batch: u64,
    /// Calls under way at once on a connection; if absent 64 for streams and open loops, else 1.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=IN_FLIGHT_MAX as u64))]
    in_flight: Option<u64>,
    /// Parts of --op mix.
    #[arg(long, value_name = "PARTS", default_value = "write=20,read=70,list=10")]
    mix: Mix,
    /// Which nodes are connected to.
    #[arg(long, value_enum, default_value_t = Nodes::Spread)]
    to: Nodes,
    /// Signers of a --local cluster: ed25519, ecdsa-p256-sha256, rsa-pkcs1-sha256, rsa-pss-sha256.
    #[arg(long, value_name = "NAME", default_value = "ed25519", value_parser = algorithm)]
    pub algorithm: Algorithm,
    /// Verifies every receipt, as clients do; the generator's CPU is then taken from the same cores.
    #[arg(long)]
    pub verify: bool,
    /// Records of the run that counts syncs of a --local cluster; 0 leaves it out.
    #[arg(long = "syncs", value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    syncs_records: u64,
    /// Where the report goes as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where the report goes as one HTML page with charts.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

impl Args {
    pub fn duration(&self) -> Duration {
        super::seconds(self.duration)
    }

    pub fn warm_up(&self) -> Duration {
        super::seconds(self.warm_up)
    }

    /// Records over which syncs are counted.
    pub fn syncs(&self) -> usize {
        self.syncs_records as usize
    }

    fn operation(&self, op: Op) -> Operation {
        match op {
            Op::Single => Operation::Single,
            Op::Many => Operation::Many(self.batch as usize),
            Op::Stream => Operation::Stream,
            Op::Read => Operation::Read,
            Op::List => Operation::List,
            Op::Mix => Operation::Mix(self.mix),
        }
    }

    fn with(&self, op: Op, size: u64, connections: u64, pace: Pace) -> Work {
        let lanes = match (self.in_flight, op, pace) {
            (Some(lanes), ..) => lanes as usize,
            (None, Op::Stream, _) | (None, _, Pace::Open { .. }) => OPEN_LANES,
            (None, _, Pace::Closed) => 1,
        };
        let to = match self.to {
            Nodes::Spread => To::Spread,
            Nodes::Leader => To::Leader,
            Nodes::Followers => To::Followers,
        };
        let (size, connections) = (size as usize, connections as usize);
        Work { operation: self.operation(op), size, connections, lanes, pace, to }
    }

    fn combined(&self, paces: &[Pace]) -> Vec<Work> {
        let mut works = Vec::new();
        for op in &self.operations {
            for size in &self.sizes {
                for connections in &self.connections {
                    works.extend(paces.iter().map(|pace| self.with(*op, *size, *connections, *pace)));
                }
            }
        }
        works
    }

    /// Every combination.
    pub fn works(&self) -> Vec<Work> {
        match self.rates[..] {
            [] => self.combined(&[Pace::Closed]),
            _ => self.combined(&self.rates.iter().map(|per_s| Pace::Open { per_s: *per_s }).collect::<Vec<_>>()),
        }
    }

    /// What is ramped; its rate is still to be set.
    pub fn ramped(&self) -> Vec<Work> {
        self.combined(&[Pace::Open { per_s: 0.0 }])
    }

    /// As the report says them.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let place = if self.local.is_some() { "three processes on this machine" } else { "a running cluster" };
        let mut settings = vec![
            ("cluster", place.to_owned()),
            ("seconds", self.duration.to_string()),
            ("warm_up_seconds", self.warm_up.to_string()),
            ("rounds", self.rounds.to_string()),
            ("connected_to", format!("{:?}", self.to).to_lowercase()),
            ("receipts", if self.verify { "each verified" } else { "not verified" }.to_owned()),
        ];
        if self.local.is_some() {
            settings.push(("algorithm", self.algorithm.to_string()));
        }
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
