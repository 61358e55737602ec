//! `kho cluster replace`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use kho::admin::{self, Admin};
use kho::client_file::ClientFile;
use kho_node::Config;
use kho_proto::error::Code;
use kho_proto::id::ClusterId;
use kho_proto::pb::admin::v1::{NodeStatusResponse, ReplaceMemberRequest};

use crate::exit::{Exit, Failure, Result};

/// Between two steps.
const POLL: Duration = Duration::from_millis(200);
/// A node that was started opens its listeners within this time, or its address is a mistake.
const NEWCOMER_WAIT: Duration = Duration::from_secs(10);

/// Replaces a node by a new one: the new node learns all there is, then takes the old one's vote.
#[derive(clap::Args)]
#[command(after_help = "\
For a node whose machine or disk is gone. A node that lost its log must not come back under its old id: it may have
forgotten how it voted.

  1. Give the new node an id that was never used, the cluster's keyring, and a peer certificate for that id
     (kho certs ...). Its configuration names all members, itself instead of the old node.
  2. Start it: kho data create --config node4.toml && kho serve --config node4.toml
  3. kho cluster replace 2 4 --config client.toml --node-config node4.toml
  4. Put its addresses in the old node's place in every node's configuration and every client file, for their next
     start, and never start the old node again.

Asked again when all is done, it changes nothing and says that OLD is no member and NEW votes. The cluster does not
remember whom a node replaced: whether OLD ever was a member is not known then.

The cluster takes writes meanwhile. Interrupted, nothing is half done: ask again. Refused when too few members answer
for a majority before and after the change.

Example, without the new node's configuration at hand:
  kho cluster replace 2 4 --config client.toml --peer d:7102 --client d:7101 --admin d:7103")]
pub struct Args {
    /// Id of the node that goes.
    old: u64,
    /// Id of the node that comes.
    new: u64,
    /// The client file, with admin_nodes and admin_tls of an operator.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
    /// The new node's configuration: its addresses stand among its [[members]].
    #[arg(long, value_name = "FILE", conflicts_with_all = ["peer", "client", "admin"], required_unless_present = "admin")]
    node_config: Option<PathBuf>,
    /// Where the other nodes reach the new one.
    #[arg(long, value_name = "HOST:PORT", requires_all = ["client", "admin"])]
    peer: Option<String>,
    /// Where clients reach it.
    #[arg(long, value_name = "HOST:PORT", requires = "peer")]
    client: Option<String>,
    /// Where operators reach it.
    #[arg(long, value_name = "HOST:PORT", requires = "peer")]
    admin: Option<String>,
    /// Seconds until this gives up waiting; the new node goes on catching up.
    #[arg(long, default_value_t = 3600)]
    timeout: u64,
}

impl Args {
    fn request(&self) -> Result<ReplaceMemberRequest> {
        let (peer_address, client_address, admin_address) = match &self.node_config {
            Some(path) => {
                let config = Config::load(path)?;
                let member = config.members.iter().find(|member| member.id == self.new);
                let member = member.with_context(|| {
                    format!("{}: [[members]]: expected node {}, found none with that id", path.display(), self.new)
                })?;
                (member.peer.clone(), member.client.clone(), member.admin.clone())
            }
            None => {
                let given = |text: &Option<String>| text.clone().unwrap_or_default();
                (given(&self.peer), given(&self.client), given(&self.admin))
            }
        };
        Ok(ReplaceMemberRequest { old: self.old, new: self.new, peer_address, client_address, admin_address })
    }
}

pub async fn run(args: Args) -> Result {
    let file = ClientFile::load(&args.config)?;
    let request = args.request()?;
    let admins = file.admins()?;
    let newcomer = Admin::new(&request.admin_address, &file.operator()?)?;
    let (_, of_cluster) = leader(&admins).await?;
    check_newcomer(&newcomer, &request, &of_cluster).await?;
    // whom it replaced is not known any more: no removal is claimed that may never have been
    let removed = is_member(&of_cluster, args.old);

    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} log entries").expect("a constant template");
    let bar = ProgressBar::no_length().with_style(style).with_message(format!("node {} catches up", args.new));
    loop {
        match step(&admins, &request).await {
            Ok(answer) if answer.done => break,
            Ok(answer) => {
                bar.set_length(answer.last_log);
                bar.set_position(answer.matched);
            }
            // Who leads may change, and a change of members may not be confirmed at once: asking again is safe.
            Err(admin::Error::Refused { refusal, .. }) if passes(refusal.code) => {}
            Err(admin::Error::Unreachable { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() > deadline {
            bar.abandon();
            let message = format!("node {} has not caught up within {} s; ask again", args.new, args.timeout);
            return Err(Failure::new(Exit::Unknown, message));
        }
        tokio::time::sleep(POLL).await;
    }
    bar.finish_and_clear();
    if !removed {
        outln!("node {} is no member; node {} votes: nothing to do", args.old, args.new)?;
        return Ok(());
    }
    outln!("node {} votes, and node {} is no member any more", args.new, args.old)?;
    outln!(
        "Now put node {new}'s addresses in node {old}'s place in every node's configuration and every client file.\n\
         Node {old} must never be started again with its data.",
        new = args.new,
        old = args.old
    )?;
    Ok(())
}

fn is_member(cluster: &NodeStatusResponse, node: u64) -> bool {
    cluster.node_id == node || cluster.peers.iter().any(|peer| peer.node_id == node)
}

fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::NotLeader | Code::NoLeader | Code::OutcomeUnknown | Code::MembershipChanging | Code::NodeStopping
    )
}

/// Who leads, and what it says of itself.
async fn leader(admins: &[Admin]) -> std::result::Result<(Admin, NodeStatusResponse), Failure> {
    for admin in admins {
        if let Ok(status) = admin.status().await
            && status.role == "leader"
        {
            return Ok((admin.clone(), status));
        }
    }
    Err(Failure::new(Exit::Unreachable, "none of admin_nodes leads; kho status shows who answers"))
}

async fn step(
    admins: &[Admin],
    request: &ReplaceMemberRequest,
) -> std::result::Result<kho_proto::pb::admin::v1::ReplaceMemberResponse, admin::Error> {
    match leader(admins).await {
        Ok((admin, _)) => admin.replace_member(request.clone()).await,
        Err(_) => Err(admin::Error::Unreachable { address: "the leader".to_owned(), why: "none is known".to_owned() }),
    }
}

/// What the new node says of itself. It was started a moment ago, and may not listen yet.
async fn newcomer_status(newcomer: &Admin, node: u64) -> std::result::Result<NodeStatusResponse, admin::Error> {
    let deadline = Instant::now() + NEWCOMER_WAIT;
    let mut told = false;
    loop {
        match newcomer.status().await {
            Err(error @ admin::Error::Unreachable { .. }) if Instant::now() < deadline => {
                if !std::mem::replace(&mut told, true) {
                    eprintln!("waiting up to {} s for node {node}: {error}", NEWCOMER_WAIT.as_secs());
                }
            }
            known => return known,
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether the new node is the one that is meant: a mistaken address would take a vote away for good.
async fn check_newcomer(newcomer: &Admin, request: &ReplaceMemberRequest, cluster: &NodeStatusResponse) -> Result {
    let status = newcomer_status(newcomer, request.new).await?;
    let address = newcomer.address();
    if status.node_id != request.new {
        let message = format!("{address}: expected node {}, found node {}", request.new, status.node_id);
        return Err(Failure::new(Exit::Refused, message));
    }
    if status.cluster_id != cluster.cluster_id {
        let id = |bytes: &[u8]| ClusterId::try_from(bytes).map(|id| id.to_string()).unwrap_or_default();
        let (expected, found) = (id(&cluster.cluster_id), id(&status.cluster_id));
        return Err(Failure::new(Exit::Refused, format!("{address}: expected cluster {expected}, found {found}")));
    }
    if !status.keyed {
        eprintln!("warning: node {} has no keyring: it will replicate, but take no records", request.new);
    }
    Ok(())
}
