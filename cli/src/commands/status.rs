//! `kho status`

mod quorum;
mod view;

use std::collections::HashSet;
use std::path::PathBuf;

use futures::future::join_all;
use kho::admin::{self, Admin};
use kho::client_file::ClientFile;
use kho_proto::pb::admin::v1::{NodeStatusResponse, PeerStatus};
use serde_json::json;

use super::csv;
use super::entries::{Format, Output};
use crate::exit::{Exit, Failure, Result};
use crate::lang;
use quorum::Quorum;

/// Shows all nodes: role, term, epoch, what they have applied, disk and memory.
#[derive(clap::Args)]
#[command(after_help = "\
Needs admin_nodes and admin_tls in the client file (an operator's certificate). Members that the cluster knows and the client
file does not are asked as well, and marked +. A node that does not answer within 2 s is shown as unreachable, one that refuses
with its code. `lag` is the number of log entries that the node has still to apply, compared with the highest committed index
that any node knows, `clock` how far the node's clock is ahead of the median of all clocks that it knows of. A disk that is
`short` is below its reserve: the node takes no new records.

Below the table it is said when too few members answer for a majority, when none of them leads, and who lost confirmed entries.
In JSON: `majority` (voters, answering, needed, reachable), `leader_id`, `lost`.

Ends with 0 when at least one node told its state, whatever that state is; with 1 when nodes only refused, with 4 when none
answered.

Examples:
  kho status --config client.toml
  kho status --config client.toml --format json | jq '.nodes[] | select(.role == \"leader\").node_id'
  kho status --config client.toml --format json | jq -e .majority.reachable")]
pub struct Args {
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// What a node said when it was asked.
struct Answer {
    address: String,
    said: std::result::Result<NodeStatusResponse, admin::Error>,
    /// Named in the client file; else only the cluster knows it.
    configured: bool,
}

pub async fn run(args: Args) -> Result {
    let file = ClientFile::load(&args.config)?;
    let mut answers = ask(file.admins()?, true).await;
    let members = members(&answers);
    answers.extend(ask(unasked(&file, &answers, &members)?, false).await);
    let statuses = || answers.iter().filter_map(|answer| answer.said.as_ref().ok());
    let Some(committed) = statuses().map(|status| status.committed).max() else {
        return Err(nobody(answers));
    };
    let quorum = Quorum::of(&answers, &members);
    let warnings = quorum.warnings(&lost(&answers), lang::current());
    match args.output.format() {
        Format::Json => {
            let nodes = answers.iter().map(|answer| view::object(answer, &members, committed)).collect::<Vec<_>>();
            let (majority, leader_id) = (quorum.object(), quorum.leader);
            let all = json!({ "nodes": nodes, "lost": lost(&answers), "majority": majority, "leader_id": leader_id });
            outln!("{all:#}")?;
        }
        Format::Csv => {
            outln!("{}", csv::line(view::FIELDS)?)?;
            for answer in &answers {
                outln!("{}", csv::object(&view::FIELDS, &view::object(answer, &members, committed))?)?;
            }
            warnings.iter().for_each(|line| eprintln!("{line}"));
        }
        Format::Table => {
            outln!("{}", view::table(&answers, &members, committed))?;
            warnings.iter().try_for_each(|line| outln!("{line}"))?;
        }
    }
    Ok(())
}

async fn ask(admins: Vec<Admin>, configured: bool) -> Vec<Answer> {
    let one = |admin: Admin| async move {
        Answer { address: admin.address().to_owned(), said: admin.status().await, configured }
    };
    join_all(admins.into_iter().map(one)).await
}

/// Members as the node knows them that is furthest.
fn members(answers: &[Answer]) -> Vec<PeerStatus> {
    let statuses = answers.iter().filter_map(|answer| answer.said.as_ref().ok());
    let furthest = statuses.max_by_key(|status| (status.term, status.role == "leader", status.committed));
    furthest.map(|status| status.peers.clone()).unwrap_or_default()
}

/// Members that nobody was asked for: neither their address nor their id was met.
fn unasked(file: &ClientFile, answers: &[Answer], members: &[PeerStatus]) -> Result<Vec<Admin>> {
    let met: HashSet<u64> = answers.iter().filter_map(|answer| Some(answer.said.as_ref().ok()?.node_id)).collect();
    let asked = |member: &PeerStatus| answers.iter().any(|answer| answer.address == member.admin_address);
    let tls = file.operator()?;
    let others = members.iter().filter(|member| !met.contains(&member.node_id) && !asked(member));
    // an address that is none can't be asked, and counts as one that does not answer
    Ok(others.filter_map(|member| Admin::new(&member.admin_address, &tls).ok()).collect())
}

/// Members that the leader knows to have lost their log.
fn lost(answers: &[Answer]) -> Vec<u64> {
    let statuses = answers.iter().filter_map(|answer| answer.said.as_ref().ok());
    let leader = statuses.filter(|status| status.role == "leader").max_by_key(|status| status.term);
    let peers = leader.into_iter().flat_map(|leader| &leader.peers);
    peers.filter(|peer| peer.lost).map(|peer| peer.node_id).collect()
}

/// No node told its state: the first refusal if there is one, since that node was reached.
fn nobody(answers: Vec<Answer>) -> Failure {
    let errors: Vec<_> = answers.into_iter().filter_map(|answer| answer.said.err()).collect();
    for error in &errors {
        match error {
            admin::Error::Unreachable { address, why } => {
                eprintln!("{}", lang::NODE_UNREACHABLE.with(lang::current(), &[("address", address), ("why", why)]));
            }
            error => eprintln!("{error}"),
        }
    }
    match errors.into_iter().find(|error| !matches!(error, admin::Error::Unreachable { .. })) {
        Some(refused) => refused.into(),
        None => Failure::new(Exit::Unreachable, lang::NOBODY_ANSWERED.get()),
    }
}

#[cfg(test)]
mod tests;
