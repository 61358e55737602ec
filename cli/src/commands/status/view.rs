//! Nodes as a table, and as objects.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use kho::admin;
use kho_proto::id::ClusterId;
use kho_proto::pb::admin::v1::{NodeStatusResponse, PeerStatus};
use serde_json::{Value, json};

use super::Answer;
use crate::lang::{self, Text};

/// Fields of [`object`] as CSV, in this order; those that a node does not say are empty.
pub const FIELDS: [&str; 30] = [
    "address",
    "reachable",
    "configured",
    "node_id",
    "role",
    "term",
    "epoch",
    "cluster_id",
    "leader_id",
    "last_log",
    "committed",
    "applied",
    "lag",
    "purged",
    "snapshot",
    "tree_size",
    "tree_root",
    "version",
    "disk_used",
    "disk_total",
    "disk_free",
    "rss",
    "uptime_ms",
    "keyed",
    "clock_offset_ms",
    "disk_short",
    "disk_ballast",
    "log_address",
    "code",
    "error",
];

const HEADINGS: [Text; 15] = [
    lang::NODE,
    lang::ADMIN_ADDRESS,
    lang::ROLE,
    lang::TERM,
    lang::EPOCH,
    lang::APPLIED,
    lang::LAG,
    lang::RECORDS_HELD,
    lang::VERSION,
    lang::DISK,
    lang::DISK_FREE,
    lang::MEMORY,
    lang::UP,
    lang::CLOCK,
    lang::PUBLIC_LOG,
];

fn lag(status: &NodeStatusResponse, committed: u64) -> u64 {
    committed.saturating_sub(status.applied)
}

/// Which member listens there, as the cluster knows it.
fn member(answer: &Answer, members: &[PeerStatus]) -> Option<u64> {
    members.iter().find(|member| member.admin_address == answer.address).map(|member| member.node_id)
}

/// A node for machines.
pub fn object(answer: &Answer, members: &[PeerStatus], committed: u64) -> Value {
    let Answer { address, said, configured } = answer;
    let node_id = member(answer, members);
    match said {
        Err(error @ admin::Error::Refused { .. }) => json!({
            "address": address, "reachable": true, "node_id": node_id, "configured": configured,
            "code": error.code().as_str(), "error": error.to_string(),
        }),
        Err(error) => json!({
            "address": address, "reachable": false, "node_id": node_id, "configured": configured, "error": error.to_string(),
        }),
        Ok(status) => json!({
            "address": address, "reachable": true, "configured": configured,
            "node_id": status.node_id, "role": status.role, "term": status.term, "epoch": status.epoch,
            "cluster_id": ClusterId::try_from(status.cluster_id.as_ref()).map(|id| id.to_string()).unwrap_or_default(),
            "leader_id": status.leader_id, "last_log": status.last_log, "committed": status.committed,
            "applied": status.applied, "lag": lag(status, committed), "purged": status.purged,
            "snapshot": status.snapshot, "tree_size": status.tree_size, "tree_root": hex::encode(&status.tree_root),
            "version": status.version, "disk_used": status.disk_used, "disk_total": status.disk_total,
            "disk_free": status.disk_free, "rss": status.rss, "uptime_ms": status.uptime_ms, "keyed": status.keyed,
            "clock_offset_ms": (status.clock_peers > 0).then_some(status.clock_offset_ms),
            "disk_short": status.disk_short, "disk_ballast": status.disk_ballast,
            "log_address": Some(status.log_address.as_str()).filter(|address| !address.is_empty()),
        }),
    }
}

fn role(status: &NodeStatusResponse) -> String {
    if status.keyed { status.role.clone() } else { format!("{} ({})", status.role, lang::NO_KEYS.get()) }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// All nodes for people.
pub fn table(answers: &[Answer], members: &[PeerStatus], committed: u64) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(HEADINGS.map(|heading| heading.get()));
    for answer in answers {
        let address = format!("{}{}", answer.address, if answer.configured { "" } else { " +" });
        let node = member(answer, members).map_or("?".to_owned(), |node| node.to_string());
        match &answer.said {
            Err(error @ admin::Error::Refused { .. }) => {
                table.add_row([node, address, error.code().as_str().to_owned()])
            }
            Err(_) => table.add_row([node, address, lang::UNREACHABLE.get().to_owned()]),
            Ok(status) => table.add_row([
                status.node_id.to_string(),
                address,
                role(status),
                status.term.to_string(),
                status.epoch.to_string(),
                status.applied.to_string(),
                lag(status, committed).to_string(),
                // leaf 0 is the genesis leaf
                status.tree_size.saturating_sub(1).to_string(),
                status.version.clone(),
                mib(status.disk_used),
                if status.disk_short {
                    format!("{} ({})", mib(status.disk_free), lang::SHORT.get())
                } else {
                    mib(status.disk_free)
                },
                mib(status.rss),
                format!("{} s", status.uptime_ms / 1000),
                if status.clock_peers > 0 { format!("{:+} ms", status.clock_offset_ms) } else { "?".to_owned() },
                if status.log_address.is_empty() { "-".to_owned() } else { status.log_address.clone() },
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
