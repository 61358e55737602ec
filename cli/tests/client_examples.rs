//! The client library's examples, run as they stand against three real nodes; and the log held to its promise there.
#![allow(clippy::unwrap_used, clippy::duplicate_mod)] // helpers fail like the test; each example brings the file that they share

use std::fs;
use std::path::Path;
use std::time::Duration;

use kho::dev::{DevCluster, Identity, Plane, READY_TIMEOUT};
use kho_client::Client;
use kho_client::log::PublicLog;

#[path = "../../client/examples/batch.rs"]
mod batch;
#[path = "../../client/examples/submit.rs"]
mod submit;
#[path = "../../client/examples/watch.rs"]
mod watch;

/// What an operator would hand out, under the names that the examples know.
fn hand_out(cluster: &DevCluster, to: &Path) -> String {
    let config = cluster.client_config(&Identity::Platform).unwrap();
    let identity = cluster.layout().identity(&Identity::Platform);
    fs::create_dir_all(to).unwrap();
    let unit = "BYT".parse().unwrap();
    cluster.signer(&unit).unwrap();
    let (signer, signer_key) = cluster.layout().signer(&unit);
    let files = [
        (identity.certificate, "client.pem"),
        (identity.key, "client.key.pem"),
        (identity.trust, "client-ca.pem"),
        (signer, "signer.pem"),
        (signer_key, "signer.key.pem"),
    ];
    for (from, name) in files {
        fs::copy(from, to.join(name)).unwrap();
    }
    fs::write(to.join("log.vkey"), format!("{}\n", cluster.verifier_key().unwrap())).unwrap();
    config.nodes.join(",")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_run_and_the_log_keeps_its_promise() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = DevCluster::create(&dir.path().join("c"), 3).unwrap();
    cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
    let leader = cluster.launch().await.unwrap();
    let files = dir.path().join("files");
    let nodes = hand_out(&cluster, &files);

    let id = submit::run(&submit::Place::new(&nodes, &files), "2020-06-12").await.unwrap();
    let proof = fs::read_to_string(files.join(format!("{id}.tlog-proof"))).unwrap();
    assert!(proof.starts_with("c2sp.org/tlog-proof@v1"), "{proof}");
    let place = batch::Place::new(&nodes, &files);
    assert_eq!(batch::run(&place, 300).await.unwrap(), 300);
    let place = watch::Place::new(&nodes, &files);
    assert_eq!(watch::run(&place, 200).await.unwrap(), 200);
    // a restart goes on where it was
    assert_eq!(watch::run(&place, 101).await.unwrap(), 101);
    assert!(!files.join("evidence").exists(), "the log kept its promise");

    // the same log, held to what was signed, before and after its leader dies
    let url = cluster.log_url(leader).unwrap().expect("dev clusters publish their logs");
    let trust = fs::read(cluster.layout().trust(Plane::Log)).unwrap();
    let public = PublicLog::https(&url, &trust, Duration::from_secs(10)).unwrap();
    let config = cluster.client_config(&Identity::Platform).unwrap();
    let memory = kho_client::LogMemory { file: Some(dir.path().join("memory.json")), evidence: Some(files.clone()) };
    let client = Client::new(kho_client::Config { memory: memory.clone(), ..config.clone() }).unwrap();
    client.get(id).await.unwrap();
    let check = client.check_log(&public).await.unwrap();
    assert!(check.compared >= 1 && check.checkpoint.size > 300, "{check:?}");
    drop(client);
    cluster.kill(leader).unwrap();
    let client = Client::new(kho_client::Config { memory, ..config }).unwrap();
    assert_eq!(client.remembered()[0].proven, Some(check.checkpoint.size), "after a restart");
    submit::run(&submit::Place::new(&nodes, &files), "2020-06-13").await.unwrap();
    client.get(id).await.unwrap();
    let other = cluster.nodes().find(|node| *node != leader).unwrap();
    let public = PublicLog::https(&cluster.log_url(other).unwrap().unwrap(), &trust, Duration::from_secs(10)).unwrap();
    let later = client.check_log(&public).await.unwrap();
    assert!(later.checkpoint.size > check.checkpoint.size);
    cluster.terminate_all().await.unwrap();
}

/// Nobody leads, or a node has too much to do: the record is good, and the next call brings it in.
#[tokio::test(flavor = "multi_thread")]
async fn the_examples_wait_for_who_takes_no_record_now() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = DevCluster::create(&dir.path().join("c"), 3).unwrap();
    cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
    let alone = cluster.launch().await.unwrap();
    let files = dir.path().join("files");
    let nodes = hand_out(&cluster, &files);
    cluster.kill_all().unwrap();
    cluster.start(alone).unwrap();
    cluster.wait_until("one node to answer", READY_TIMEOUT, |statuses, _| statuses.len() == 1).await.unwrap();
    let majority = async {
        // until more than one call has ended
        tokio::time::sleep(kho_client::DEADLINE * 3).await;
        cluster.start_all().unwrap();
        cluster.wait_ready().await.unwrap();
    };
    let (one, many) = (submit::Place::new(&nodes, &files), batch::Place::new(&nodes, &files));
    let (id, accepted, ()) = tokio::join!(submit::run(&one, "2020-06-12"), batch::run(&many, 3), majority);
    assert!(files.join(format!("{}.tlog-proof", id.unwrap())).exists());
    assert_eq!(accepted.unwrap(), 3);
    cluster.terminate_all().await.unwrap();
}
