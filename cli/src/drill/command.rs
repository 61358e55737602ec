//! The command line of `kho drill`: an operator who never saw Kho succeeds from its help alone.

use kho_proto::id::NodeId;

use super::args::{Commands, Common, Fault};

/// Failover drills on the running cluster: load, a fault, and a report of what senders noticed.
#[derive(clap::Subcommand)]
#[command(after_help = "\
A drill sends test records at a steady pace, lets the leader go, and measures: the longest time
without an acknowledgement, latencies, what failed or stayed unknown. Then it reads every
acknowledged record back from every node, verifies every receipt offline, and writes a report, HTML
for people and JSON for machines, that says which requirements it shows: R-A2 (automatic
switch-over), R-A3 (normal operation with one server failed), R-A5 (back to normal within 3 h),
R-B1 (acknowledged within 3 s).

Its records are of the reserved unit DRILL and the regime DRILL, and are kept like all others: test
data, which statistics leave out. What it needs, once:

  1. A signer's certificate for unit DRILL (SAN URI urn:kho:unit:DRILL) from the authority of your
     signers, and a client certificate with the roles submitter and reader for unit DRILL. For
     development: kho certs signer --dir DIR --unit DRILL, and kho certs client --dir DIR
     --name drill --role submitter --role reader --unit DRILL; kho cluster new makes both.
  2. drill.toml, a client file like client.toml, with these two as [signer] and [tls], and
     admin_nodes and [admin_tls] of an operator. kho config example --client prints one to fill in.

Try it with --plan first: it changes nothing. A drill is refused while a node is missing, since the
fault would then cost the majority (cluster-unhealthy; --force drills all the same).
leader-transfer is harmless; leader-kill and isolate take one of the servers away for some seconds.

Exit codes: 0 done, all requirements met; 1 refused, nothing was proven; 3 and 4 as everywhere;
            5 a requirement is not met or the fault took no effect: read the report;
            6 what the drill broke is not mended: run what the message names, at once")]
pub enum Command {
    /// The leader hands over to another node, as before maintenance: no server fails.
    #[command(after_help = "\
Examples:
  kho drill leader-transfer --config drill.toml --plan
  kho drill leader-transfer --config drill.toml --out reports
  kho drill leader-transfer --config drill.toml --to 2 --rate 500 --writers 16")]
    LeaderTransfer {
        #[command(flatten)]
        common: Common,
        /// Node that shall lead; the most advanced one if absent.
        #[arg(long, value_name = "NODE")]
        to: Option<u64>,
    },
    /// The leader's process is killed by a command of yours.
    #[command(after_help = COMMANDS_KILL)]
    LeaderKill {
        #[command(flatten)]
        common: Common,
        /// Kills the leader's process at once, as a crash would.
        #[arg(long, value_name = "CMD")]
        kill_command: String,
        /// Starts it again after --outage, where no supervisor does. Runs also when the drill fails or is interrupted.
        #[arg(long, value_name = "CMD")]
        restart_command: Option<String>,
        #[command(flatten)]
        commands: Commands,
    },
    /// The leader is cut off the other nodes by a command of yours, and connected again by another.
    #[command(after_help = COMMANDS_ISOLATE)]
    Isolate {
        #[command(flatten)]
        common: Common,
        /// Cuts the leader off the other nodes.
        #[arg(long, value_name = "CMD")]
        cut_command: String,
        /// Undoes it after --outage. Always runs, also when the drill fails or is interrupted; tried three times.
        #[arg(long, value_name = "CMD")]
        heal_command: String,
        #[command(flatten)]
        commands: Commands,
    },
}

const COMMANDS_KILL: &str = "\
The commands run through sh -c, on this machine, with
  KHO_LEADER_ID             the leader's node id
  KHO_LEADER_ADDRESS        its client address, host:port
  KHO_LEADER_HOST           the host of it
  KHO_LEADER_PEER_ADDRESS   where other nodes reach it
  KHO_LEADER_ADMIN_ADDRESS  where operators reach it
A command that ends with another code than 0, or not within --command-timeout, has failed: the
drill ends with 1. Without --restart-command something else must start the node again (systemd
does), within --outage, --after and --recover-within: a node that stays away fails R-A5.

Examples:
  kho drill leader-kill --config drill.toml --out reports \\
    --kill-command 'ssh root@$KHO_LEADER_HOST systemctl kill --signal=KILL kho'
  kho drill leader-kill --config drill.toml --plan \\
    --kill-command 'ssh ops@node$KHO_LEADER_ID sudo pkill -KILL -x kho' \\
    --restart-command 'ssh ops@node$KHO_LEADER_ID sudo systemctl start kho'";

const COMMANDS_ISOLATE: &str = "\
The commands run through sh -c, on this machine, with
  KHO_LEADER_ID             the leader's node id
  KHO_LEADER_ADDRESS        its client address, host:port
  KHO_LEADER_HOST           the host of it
  KHO_LEADER_PEER_ADDRESS   where other nodes reach it
  KHO_LEADER_ADMIN_ADDRESS  where operators reach it
The heal command gets the same values, whoever leads by then, and must succeed however far the cut
came. It runs after --outage, and also when the drill fails, or Ctrl-C or SIGTERM arrives; only
SIGKILL of the drill itself prevents it. Make sure that your way to the node survives the cut.

Example: the peers' port, 7102, is blocked on the leader for five seconds. On every node, cut.nft:
  table inet drill {
    chain in  { type filter hook input  priority 0; tcp dport 7102 drop; }
    chain out { type filter hook output priority 0; tcp dport 7102 drop; }
  }
and then
  kho drill isolate --config drill.toml --out reports --outage 5 \\
    --cut-command  'ssh root@$KHO_LEADER_HOST nft -f /etc/kho/cut.nft' \\
    --heal-command 'ssh root@$KHO_LEADER_HOST nft delete table inet drill'";

impl Command {
    /// What is told, and the fault.
    pub fn parts(self) -> (Common, Fault) {
        match self {
            Command::LeaderTransfer { common, to } => (common, Fault::Transfer { to: to.map(NodeId) }),
            Command::LeaderKill { common, kill_command: kill, restart_command: restart, commands: times } => {
                (common, Fault::Kill { kill, restart, times })
            }
            Command::Isolate { common, cut_command: cut, heal_command: heal, commands: times } => {
                (common, Fault::Isolate { cut, heal, times })
            }
        }
    }
}
