//! What a drill is told.

use std::path::PathBuf;
use std::time::Duration;

use kho_proto::id::NodeId;

use crate::exit::{Exit, Failure, Result};

/// Test records of a drill, at most: they are kept in memory until they have been read back.
pub const RECORDS_MAX: u64 = 50_000;
/// R-A5, in seconds.
pub const BACK_TO_NORMAL_S: u64 = 3 * 60 * 60;

/// What all drills have in common.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// Client file: nodes, admin_nodes, verifier_key, an operator's [admin_tls], and [tls] and [signer] of unit DRILL.
    #[arg(long, value_name = "FILE", default_value = "drill.toml", env = "KHO_CONFIG")]
    pub config: PathBuf,
    /// Where the report goes: kho-drill-KIND-TIME.html and .json.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Prints what would be done, and whether the cluster is fit for it; writes nothing, breaks nothing.
    #[arg(long)]
    pub plan: bool,
    /// Drills a cluster that is not healthy, too: this may stop the service until the fault is mended.
    #[arg(long)]
    pub force: bool,
    /// Senders at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub writers: u64,
    /// Test records per second, of all senders together. Gaps shorter than 1/rate are not seen.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=2000))]
    pub rate: u64,
    /// Bytes of a test record's payload.
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub payload: u64,
    /// Seconds of load before the fault: what is normal.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub before: u64,
    /// Seconds of load after the fault, or after it was mended.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub after: u64,
    /// Seconds that all nodes have, once the load has ended, to be back and equal. Later counts as never (R-A5: 3 h).
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=BACK_TO_NORMAL_S))]
    pub recover_within: u64,
}

/// What drills with commands of the operator's have in common.
#[derive(Debug, Clone, clap::Args)]
pub struct Commands {
    /// Seconds that a node is out before it is mended.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub outage: u64,
    /// Seconds that a command has. One that takes longer is killed, and has failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub command_timeout: u64,
}

/// The fault.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The leader hands over, asked by an operator.
    Transfer {
        /// To whom; the most advanced voter if absent.
        to: Option<NodeId>,
    },
    /// The leader's process is killed.
    Kill {
        /// Kills it.
        kill: String,
        /// Starts it again, where nothing else does.
        restart: Option<String>,
        /// Times.
        times: Commands,
    },
    /// The leader is cut off the network.
    Isolate {
        /// Cuts.
        cut: String,
        /// Mends.
        heal: String,
        /// Times.
        times: Commands,
    },
}

impl Fault {
    /// As the command is called.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Transfer { .. } => "leader-transfer",
            Fault::Kill { .. } => "leader-kill",
            Fault::Isolate { .. } => "isolate",
        }
    }

    /// Whether a server is out for a while.
    pub fn takes_a_server(&self) -> bool {
        !matches!(self, Fault::Transfer { .. })
    }

    /// Between fault and mending.
    pub fn outage(&self) -> Duration {
        match self {
            Fault::Transfer { .. } => Duration::ZERO,
            Fault::Kill { times, .. } | Fault::Isolate { times, .. } => Duration::from_secs(times.outage),
        }
    }

    /// The command that causes it, if there is one.
    pub fn breaks(&self) -> Option<(&'static str, &str)> {
        match self {
            Fault::Transfer { .. } => None,
            Fault::Kill { kill, .. } => Some(("kill", kill)),
            Fault::Isolate { cut, .. } => Some(("cut", cut)),
        }
    }

    /// The command that mends it, if there is one.
    pub fn mends(&self) -> Option<(&'static str, &str)> {
        match self {
            Fault::Transfer { .. } => None,
            Fault::Kill { restart, .. } => restart.as_deref().map(|restart| ("restart", restart)),
            Fault::Isolate { heal, .. } => Some(("heal", heal)),
        }
    }

    /// Limit of each command.
    pub fn command_timeout(&self) -> Duration {
        match self {
            Fault::Transfer { .. } => Duration::ZERO,
            Fault::Kill { times, .. } | Fault::Isolate { times, .. } => Duration::from_secs(times.command_timeout),
        }
    }
}

impl Common {
    /// Load before the fault.
    pub fn before(&self) -> Duration {
        Duration::from_secs(self.before)
    }

    /// Load at the end.
    pub fn after(&self) -> Duration {
        Duration::from_secs(self.after)
    }

    /// Test records that will be sent, about.
    pub fn records(&self, fault: &Fault) -> u64 {
        self.rate * (self.before + fault.outage().as_secs() + self.after)
    }

    /// Refuses what does not fit into memory, or measures nothing.
    pub fn check(&self, fault: &Fault) -> Result {
        let records = self.records(fault);
        if records > RECORDS_MAX {
            let message = format!(
                "--rate, --before, --after and --outage: expected at most {RECORDS_MAX} test records, found {records}"
            );
            return Err(Failure::new(Exit::Refused, message));
        }
        for (name, command) in [fault.breaks(), fault.mends()].into_iter().flatten() {
            if command.trim().is_empty() {
                return Err(Failure::new(Exit::Refused, format!("--{name}-command: expected a command, found none")));
            }
        }
        Ok(())
    }
}
