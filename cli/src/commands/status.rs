//! `kho status`

use std::path::PathBuf;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use futures::future::join_all;
use kho::admin::{self, Admin};
use kho::client_file::ClientFile;
use kho_proto::id::ClusterId;
use kho_proto::pb::admin::v1::NodeStatusResponse;
use serde_json::{Value, json};

use crate::exit::{Exit, Failure, Result};

/// Shows all nodes: role, term, epoch, what they have applied, disk and memory.
#[derive(clap::Args)]
#[command(after_help = "\
Needs admin_nodes and admin_tls in the client file (an operator's certificate). A node that does not answer within
2 s is shown as unreachable, one that refuses with its code. `lag` is the number of log entries that the node has still to apply, compared with the
highest committed index that any node knows, `clock` how far the node's clock is ahead of the median of all clocks that it knows of. A disk that is
`short` is below its reserve: the node takes no new records.

Ends with 0 when at least one node told its state, with 1 when nodes only refused, with 4 when none answered.

Examples:
  kho status --config client.toml
  kho status --config client.toml --json | jq '.nodes[] | select(.role == \"leader\").node_id'")]
pub struct Args {
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

type Answer = (String, std::result::Result<NodeStatusResponse, admin::Error>);

pub async fn run(args: Args) -> Result {
    let admins = ClientFile::load(&args.config)?.admins()?;
    let ask = |admin: Admin| async move { (admin.address().to_owned(), admin.status().await) };
    let answers: Vec<Answer> = join_all(admins.into_iter().map(ask)).await;
    let committed = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok()).map(|status| status.committed).max();
    let Some(committed) = committed else {
        return Err(nobody(answers));
    };
    if args.json {
        let nodes = answers.iter().map(|answer| object(answer, committed)).collect::<Vec<_>>();
        outln!("{:#}", json!({ "nodes": nodes, "lost": lost(&answers) }))?;
    } else {
        outln!("{}", table(&answers, committed))?;
        for node in lost(&answers) {
            outln!("node {node} lost entries that it had confirmed: kho cluster replace {node} NEW")?;
        }
    }
    Ok(())
}

/// Members that the leader knows to have lost their log.
fn lost(answers: &[Answer]) -> Vec<u64> {
    let statuses = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let leader = statuses.filter(|status| status.role == "leader").max_by_key(|status| status.term);
    let peers = leader.into_iter().flat_map(|leader| &leader.peers);
    peers.filter(|peer| peer.lost).map(|peer| peer.node_id).collect()
}

/// No node told its state: the first refusal if there is one, since that node was reached.
fn nobody(answers: Vec<Answer>) -> Failure {
    let errors: Vec<_> = answers.into_iter().filter_map(|(_, answer)| answer.err()).collect();
    errors.iter().for_each(|error| eprintln!("{error}"));
    match errors.into_iter().find(|error| !matches!(error, admin::Error::Unreachable { .. })) {
        Some(refused) => refused.into(),
        None => Failure::new(Exit::Unreachable, "no node answered"),
    }
}

fn lag(status: &NodeStatusResponse, committed: u64) -> u64 {
    committed.saturating_sub(status.applied)
}

fn object((address, answer): &Answer, committed: u64) -> Value {
    match answer {
        Err(error @ admin::Error::Refused { .. }) => {
            json!({ "address": address, "reachable": true, "code": error.code().as_str(), "error": error.to_string() })
        }
        Err(error) => json!({ "address": address, "reachable": false, "error": error.to_string() }),
        Ok(status) => json!({
            "address": address, "reachable": true,
            "node_id": status.node_id, "role": status.role, "term": status.term, "epoch": status.epoch,
            "cluster_id": ClusterId::try_from(status.cluster_id.as_ref()).map(|id| id.to_string()).unwrap_or_default(),
            "leader_id": status.leader_id, "last_log": status.last_log, "committed": status.committed,
            "applied": status.applied, "lag": lag(status, committed), "purged": status.purged,
            "snapshot": status.snapshot, "tree_size": status.tree_size, "tree_root": hex::encode(&status.tree_root),
            "version": status.version, "disk_used": status.disk_used, "disk_total": status.disk_total,
            "disk_free": status.disk_free, "rss": status.rss, "uptime_ms": status.uptime_ms, "keyed": status.keyed,
            "clock_offset_ms": (status.clock_peers > 0).then_some(status.clock_offset_ms),
            "disk_short": status.disk_short, "disk_ballast": status.disk_ballast,
        }),
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn table(answers: &[Answer], committed: u64) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "node",
        "admin address",
        "role",
        "term",
        "epoch",
        "applied",
        "lag",
        "records",
        "version",
        "disk",
        "disk free",
        "memory",
        "up",
        "clock",
    ]);
    for (address, answer) in answers {
        match answer {
            Err(error @ admin::Error::Refused { .. }) => table.add_row(["?", address.as_str(), error.code().as_str()]),
            Err(_) => table.add_row(["?", address.as_str(), "unreachable"]),
            Ok(status) => table.add_row([
                status.node_id.to_string(),
                address.clone(),
                if status.keyed { status.role.clone() } else { format!("{} (no keys)", status.role) },
                status.term.to_string(),
                status.epoch.to_string(),
                status.applied.to_string(),
                lag(status, committed).to_string(),
                // leaf 0 is the genesis leaf
                status.tree_size.saturating_sub(1).to_string(),
                status.version.clone(),
                mib(status.disk_used),
                if status.disk_short { format!("{} (short)", mib(status.disk_free)) } else { mib(status.disk_free) },
                mib(status.rss),
                format!("{} s", status.uptime_ms / 1000),
                if status.clock_peers > 0 { format!("{:+} ms", status.clock_offset_ms) } else { "?".to_owned() },
            ]),
        };
    }
    for column in [3, 4, 5, 6, 7, 9, 10, 11, 12, 13] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use kho_proto::error::{Code, Refusal};

    use super::*;

    fn answers() -> Vec<Answer> {
        let status = NodeStatusResponse {
            node_id: 1,
            role: "leader".to_owned(),
            committed: 9,
            applied: 7,
            keyed: true,
            clock_offset_ms: -12,
            clock_peers: 2,
            disk_short: true,
            ..Default::default()
        };
        let why = "connection refused".to_owned();
        let error = admin::Error::Unreachable { address: "127.0.0.1:2".to_owned(), why };
        let refusal = Box::new(Refusal::new(Code::RoleNotPermitted, "expected role operator"));
        let refused = admin::Error::Refused { address: "127.0.0.1:3".to_owned(), refusal };
        vec![
            ("127.0.0.1:1".to_owned(), Ok(status)),
            ("127.0.0.1:2".to_owned(), Err(error)),
            ("127.0.0.1:3".to_owned(), Err(refused)),
        ]
    }

    #[test]
    fn the_table_tells_unreachable_nodes_from_those_that_refuse() {
        let text = table(&answers(), 9).to_string();
        let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap().to_owned();
        assert!(line("127.0.0.1:1").contains("leader"), "{text}");
        assert!(line("127.0.0.1:1").contains("-12 ms"), "{text}");
        assert!(line("127.0.0.1:1").contains("(short)"), "{text}");
        assert!(line("127.0.0.1:2").contains("unreachable"), "{text}");
        assert!(line("127.0.0.1:3").contains("role-not-permitted"), "{text}");
    }

    #[test]
    fn json_counts_the_lag() {
        let answers = answers();
        assert_eq!(object(&answers[0], 9)["lag"], 2);
        assert_eq!(object(&answers[0], 9)["clock_offset_ms"], -12);
        assert_eq!(object(&answers[1], 9)["reachable"], false);
        assert_eq!(object(&answers[2], 9)["code"], "role-not-permitted");
    }
}
