//! Certificates replaced and expired while a cluster works: what is new is what handshakes show, no request fails for it,
//! what has expired or was stolen is refused with the alert that says so, and nothing of it ends a node. R-A1, R-C3, R-C4, R-C5.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kho::dev::{DevCluster, Identity, NodeId, Plane};
use kho_chaos_tests::attack::{self, Progress};
use kho_chaos_tests::certificates::{self, Issuer, Serial, alert, handshake, shows_expired};
use kho_chaos_tests::history::{Kind, Operation, Outcome, Recorded};
use kho_chaos_tests::load::{self, Workers};
use kho_chaos_tests::rig::Rig;
use kho_client::Client;
use rustix::process::Signal;
use rustls::AlertDescription;

const SEED: u64 = 0xce27;
const WORKERS: Workers = Workers { count: 6, rest: Duration::from_millis(15) };
/// Acknowledgements between two steps.
const ACKNOWLEDGED: usize = 25;
/// A node reads its certificates within milliseconds, on a machine that has time for it.
const SHOWN: Duration = Duration::from_secs(15);
/// A certificate that is about to end; long enough to connect with it.
const SOON: Duration = Duration::from_secs(5);
/// A client that is not let in is told after so long, each time of so many: it has sent its request before the node's alert
/// arrives, and must not be left with a connection that broke.
const ASKED: Duration = Duration::from_millis(500);
const TOLD: usize = 6;
/// A node that nobody trusts goes on for so long: several elections.
const SHUNNED: Duration = Duration::from_secs(3);

/// From now on the node uses what it has been given, and shows it.
async fn reload(issuer: &Issuer, cluster: &DevCluster, node: NodeId, serials: &[(Plane, Serial)]) -> Result<()> {
    cluster.signal(node, Signal::HUP)?;
    issuer.shown(cluster, node, serials, SHOWN).await
}

/// One node after the other gets new certificates.
async fn renew_all(issuer: &Issuer, cluster: &mut DevCluster, progress: &Progress) -> Result<()> {
    for node in cluster.nodes() {
        let serials = issuer.renew(cluster, node, certificates::good())?;
        reload(issuer, cluster, node, &serials).await?;
        let shown: Vec<_> = serials.iter().map(|(plane, serial)| format!("{} {serial}", plane.as_str())).collect();
        println!("node {node} shows {}", shown.join(", "));
        progress.more(ACKNOWLEDGED).await?;
    }
    Ok(cluster.check_alive()?)
}

/// All nodes read their files again.
fn reload_all(cluster: &DevCluster) -> Result<()> {
    Ok(cluster.nodes().try_for_each(|node| cluster.signal(node, Signal::HUP))?)
}

/// No request, and no read, met anything but its answer. What is in flight when a load ends is given up; a reader does not
/// wait longer than a second, and a busy machine may keep it waiting.
fn none_failed(rig: &Rig) -> Result<()> {
    let recorded = Recorded::read(&rig.history())?;
    let answered = recorded.operations.iter().filter(|one| one.outcome == Outcome::Ok).count();
    let excused = |one: &Operation| {
        one.detail == "given up" || (one.kind == Kind::Get && one.detail.contains("no answer within"))
    };
    let failed = recorded.operations.iter().find(|one| one.outcome != Outcome::Ok && !excused(one));
    ensure!(failed.is_none(), "a request failed: {failed:?}");
    println!("{answered} requests answered, none failed");
    Ok(())
}

#[test]
fn certificates_are_replaced_under_load_and_no_request_fails() -> Result<()> {
    attack::on_a_cluster("certificates", SEED, async |rig, all| {
        let old = Issuer::of(&rig.cluster)?;
        let next = old.next()?;
        let mut old_card = old.card(&Identity::Platform, certificates::good())?;
        let step = async |cluster: &mut DevCluster, progress: &Progress| {
            renew_all(&old, cluster, progress).await?;
            // new authorities: trusted first, then used
            old.trust(&[&old, &next])?;
            reload_all(cluster)?;
            progress.more(ACKNOWLEDGED).await
        };
        let (outcomes, ()) = attack::under_load_of(rig, WORKERS, ACKNOWLEDGED, step).await?;
        attack::keep(rig, outcomes, all).await?;

        // clients that begin now trust both; nodes change, then clients, then nobody trusts the old
        let step = async |cluster: &mut DevCluster, progress: &Progress| renew_all(&next, cluster, progress).await;
        let (outcomes, ()) = attack::under_load_of(rig, WORKERS, ACKNOWLEDGED, step).await?;
        attack::keep(rig, outcomes, all).await?;
        for identity in [Identity::Platform, Identity::Operator] {
            next.hand_out(&identity, certificates::good())?;
        }
        rig.cluster.forget_connections();
        let step = async |cluster: &mut DevCluster, progress: &Progress| {
            next.trust(&[&next])?;
            reload_all(cluster)?;
            progress.more(ACKNOWLEDGED).await?;
            let new_card = next.card(&Identity::Platform, certificates::good())?;
            old_card.trust.clone_from(&new_card.trust);
            for node in cluster.nodes() {
                let address = certificates::address(cluster, node, Plane::Client)?;
                // what it shows is of the new authority, for that is all that this card trusts
                let shown = handshake(&address, &new_card).await?;
                ensure!(shown.is_ok(), "node {node}: a client of the new authority is refused: {shown:?}");
                let refused = handshake(&address, &old_card).await?;
                ensure!(
                    alert(&refused) == Some(AlertDescription::UnknownCA),
                    "node {node}: expected no trust in the old authority, found {refused:?}"
                );
            }
            Ok(cluster.check_alive()?)
        };
        let (outcomes, ()) = attack::under_load_of(rig, WORKERS, ACKNOWLEDGED, step).await?;
        attack::keep(rig, outcomes, all).await?;
        none_failed(rig)?;

        // new connections between all: each node starts anew, and the other two have nothing left of the old authority
        for node in rig.cluster.nodes() {
            let status = rig.cluster.terminate(node).await?;
            ensure!(status.success(), "node {node} ended with {status}");
            rig.cluster.start(node)?;
            rig.cluster.wait_ready().await?;
        }
        Ok(())
    })
}

#[test]
fn what_has_expired_is_refused_and_the_others_go_on() -> Result<()> {
    attack::on_a_cluster("expired", SEED, async |rig, all| {
        let issuer = Issuer::of(&rig.cluster)?;
        let first = rig.cluster.nodes().next().context("a node")?;
        let address = certificates::address(&rig.cluster, first, Plane::Client)?;
        let history = &rig.senders.history;

        // a client that expired before it connects
        let answer = handshake(&address, &issuer.card(&Identity::Platform, certificates::expired())?).await?;
        ensure!(alert(&answer) == Some(AlertDescription::CertificateExpired), "an expired client: {answer:?}");

        // one that expires while it is connected: what it has goes on, it gets nothing new (decision 16)
        let good = rig.cluster.client()?;
        issuer.hand_out(&Identity::Platform, certificates::ending(SOON))?;
        let connected = rig.cluster.client()?;
        let record = rig.senders.next(&good).await?;
        all.extend(load::settle(&connected, history, &[record]).await?);
        tokio::time::sleep(SOON + Duration::from_secs(1)).await;
        let record = rig.senders.next(&good).await?;
        all.push(load::once(&connected, history, &record).await.map_err(anyhow::Error::msg)?);
        let record = rig.senders.next(&good).await?;
        for _ in 0..TOLD {
            let told = refusal(&rig.cluster, &record).await?;
            ensure!(told.contains("CertificateExpired"), "an expired client is told: {told}");
        }
        issuer.hand_out(&Identity::Platform, certificates::good())?;
        let renewed = rig.cluster.client()?;
        all.push(load::once(&renewed, history, &record).await.map_err(anyhow::Error::msg)?);

        let step = async |cluster: &mut DevCluster, progress: &Progress| {
            let leader = cluster.leader().await?.context("a leader")?;
            let follower = cluster.nodes().find(|node| *node != leader).context("three nodes")?;
            for node in [follower, leader] {
                issuer.renew(cluster, node, certificates::expired())?;
                cluster.signal(node, Signal::HUP)?;
                tokio::time::sleep(Duration::from_millis(300)).await;
                // its connections go on
                progress.more(ACKNOWLEDGED).await?;
            }
            let serials = issuer.renew(cluster, leader, certificates::good())?;
            reload(&issuer, cluster, leader, &serials).await?;
            // no connection of before is left to the follower: it starts, and nobody talks to it
            cluster.kill(follower)?;
            cluster.start(follower)?;
            progress.more(ACKNOWLEDGED).await?;
            tokio::time::sleep(SHUNNED).await;
            cluster.check_alive()?;
            let operator = issuer.card(&Identity::Operator, certificates::good())?;
            let address = certificates::address(cluster, follower, Plane::Admin)?;
            let answer = handshake(&address, &operator).await?;
            ensure!(shows_expired(&answer), "node {follower} with an expired certificate: {answer:?}");
            progress.more(ACKNOWLEDGED).await?;
            let serials = issuer.renew(cluster, follower, certificates::good())?;
            reload(&issuer, cluster, follower, &serials).await?;
            cluster.wait_ready().await?;
            println!("node {follower} was shunned for {SHUNNED:?}, and is back");
            Ok(())
        };
        let (outcomes, ()) = attack::under_load_of(rig, WORKERS, ACKNOWLEDGED, step).await?;
        attack::keep(rig, outcomes, all).await
    })
}

/// A certificate was stolen: its authority lists it, SIGHUP shuts it out of every node, and no request of others fails.
#[test]
fn what_was_stolen_is_shut_out_and_no_request_of_others_fails() -> Result<()> {
    let prepare = |rig: &Rig| Issuer::of(&rig.cluster)?.use_list(&rig.cluster, Plane::Client);
    attack::on_a_prepared_cluster("stolen", SEED, prepare, async |rig, all| {
        let issuer = Issuer::of(&rig.cluster)?;
        let stolen = issuer.hand_out(&Identity::Platform, certificates::good())?;
        let thief = rig.cluster.client()?;
        let record = rig.senders.next(&thief).await?;
        all.push(load::once(&thief, &rig.senders.history, &record).await.map_err(anyhow::Error::msg)?);
        issuer.hand_out(&Identity::Platform, certificates::good())?;
        rig.cluster.forget_connections();

        let step = async |cluster: &mut DevCluster, progress: &Progress| {
            issuer.take_back(Plane::Client, &[&stolen])?;
            reload_all(cluster)?;
            for node in cluster.nodes() {
                issuer.shut_out(cluster, node, Plane::Client, &stolen, SHOWN).await?;
            }
            progress.more(ACKNOWLEDGED).await?;
            Ok(cluster.check_alive()?)
        };
        let (outcomes, ()) = attack::under_load_of(rig, WORKERS, ACKNOWLEDGED, step).await?;
        attack::keep(rig, outcomes, all).await?;
        none_failed(rig)?;

        // the connections that it had are gone as well
        let record = rig.senders.next(&rig.cluster.client()?).await?;
        let told = thief.submit(&record).await.err().context("a record was taken from a thief")?.to_string();
        ensure!(told.contains("CertificateRevoked"), "a thief is told: {told}");
        Ok(())
    })
}

/// What a new client is told that no node lets in.
async fn refusal(cluster: &DevCluster, record: &kho_client::Signed) -> Result<String> {
    let mut config = cluster.client_config(&Identity::Platform)?;
    config.timing.deadline = ASKED;
    match Client::new(config)?.submit(record).await {
        Ok(_) => anyhow::bail!("a record was taken from a client that nobody should let in"),
        Err(error) => Ok(error.to_string()),
    }
}

/// A node that is told to read files that are no certificates of its own keeps what it has, and says so in its log.
#[test]
fn what_does_not_load_changes_nothing() -> Result<()> {
    attack::on_a_cluster("bad-files", SEED, async |rig, all| {
        let issuer = Issuer::of(&rig.cluster)?;
        let [node, another] = [1, 2].map(NodeId);
        let serials = issuer.renew(&rig.cluster, node, certificates::good())?;
        reload(&issuer, &rig.cluster, node, &serials).await?;
        let layout = rig.cluster.layout().clone();
        let peer = layout.node_tls(node, Plane::Peer);
        let good = [&peer.certificate, &peer.key].map(std::fs::read);
        let [certificate, key] = good.map(|file| file.expect("a file that was just written"));
        let of_another = layout.node_tls(another, Plane::Peer);
        let step = async |cluster: &mut DevCluster, progress: &Progress| {
            for (what, new_certificate, new_key) in [
                ("garbage", b"no certificate".to_vec(), key.clone()),
                ("a key that does not fit", certificate.clone(), std::fs::read(&of_another.key)?),
                ("half a file", certificate[..certificate.len() / 2].to_vec(), key.clone()),
                ("another node's", std::fs::read(&of_another.certificate)?, std::fs::read(&of_another.key)?),
            ] {
                let before = complaints(&layout.log_file(node))?;
                std::fs::write(&peer.certificate, new_certificate)?;
                std::fs::write(&peer.key, new_key)?;
                cluster.signal(node, Signal::HUP)?;
                progress.more(ACKNOWLEDGED).await?;
                // the caller of the peer plane has the node's own files
                std::fs::write(&peer.certificate, &certificate)?;
                std::fs::write(&peer.key, &key)?;
                issuer.shown(cluster, node, &serials, SHOWN).await.with_context(|| what.to_owned())?;
                cluster.check_alive()?;
                // the accepting and the dialling side
                let said = complaints(&layout.log_file(node))? - before;
                ensure!(said == 2, "{what}: expected two complaints in the log, found {said}");
            }
            Ok(())
        };
        let (outcomes, ()) = attack::under_load_of(rig, WORKERS, ACKNOWLEDGED, step).await?;
        attack::keep(rig, outcomes, all).await?;
        none_failed(rig)
    })
}

fn complaints(log: &std::path::Path) -> Result<usize> {
    Ok(std::fs::read_to_string(log)?.matches("certificates not read again, the old ones stay").count())
}
