//! The same over HTTPS: of real nodes, and of nobody.

use std::fs;

use kho::dev::{DevCluster, NodeId, Plane};

use crate::monitor::{json, kho};
use crate::published::Log;

#[test]
fn nobody_there_and_nothing_of_a_log_are_told_apart() {
    let key = Log::key().to_string();
    let dir = tempfile::tempdir().unwrap();
    let trust = dir.path().join("ca.pem");
    let made = kho(&["certs", "ca", "--dir", dir.path().to_str().unwrap(), "--plane", "log"]);
    fs::copy(made.ok().trim(), &trust).unwrap();
    let trust = trust.to_str().unwrap();
    let at = |url: &str| kho(&["log", "checkpoint", "--url", url, "--trust", trust, "--key", &key, "--patience", "0"]);
    assert_eq!(at("https://127.0.0.1:1").exit, 4);
    for url in ["http://127.0.0.1:1", "127.0.0.1:1", "https://", "https://a@b", "https://127.0.0.1:1/?x"] {
        at(url).refused("config-invalid");
    }
    assert_eq!(kho(&["log", "checkpoint", "--key", &key]).exit, 2);
    fs::write(dir.path().join("empty.pem"), "").unwrap();
    let empty = dir.path().join("empty.pem");
    kho(&["log", "checkpoint", "--url", "https://127.0.0.1:1", "--trust", empty.to_str().unwrap(), "--key", &key])
        .refused("tls-file-invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn real_nodes_publish_their_log_over_https() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = DevCluster::create(&dir.path().join("c"), 3).unwrap();
    cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
    cluster.launch().await.unwrap();
    let trust = cluster.layout().trust(Plane::Log);
    let (key, trust) = (cluster.verifier_key().unwrap().to_string(), trust.to_str().unwrap().to_owned());
    let client = cluster.client().unwrap();
    let signer = cluster.signer(&"BYT".parse().unwrap()).unwrap();
    let submit = async |count: usize, offset: usize| {
        for n in 0..count {
            let draft = kho_client::Draft {
                record_id: None,
                unit: "BYT".parse().unwrap(),
                regime: "YT-01".parse().unwrap(),
                period: "2020-06-12".parse().unwrap(),
                series: format!("series {}", n + offset),
                supersedes: None,
                receivers: vec!["VPCP".parse().unwrap()],
                media_type: "text/plain; charset=utf-8".to_owned(),
                payload: "Không có ca mắc mới".into(),
            };
            client.submit(&draft.sign(&signer, &kho_client::System).await.unwrap()).await.unwrap();
        }
    };
    let state = dir.path().join("state").to_str().unwrap().to_owned();
    let last = dir.path().join("last").to_str().unwrap().to_owned();
    let urls: Vec<String> = (1..=3).map(|node| cluster.log_url(NodeId(node)).unwrap().unwrap()).collect();
    let run = |command: &str, url: &str, more: &[&str]| {
        kho(&[&["log", command, "--url", url, "--trust", &trust, "--key", &key], more].concat())
    };
    submit(20, 0).await;
    cluster.wait_equal().await.unwrap();
    run("checkpoint", &urls[0], &["--save", &last]).ok();
    run("audit", &urls[0], &["--state", &state]).ok();
    submit(20, 20).await;
    cluster.wait_equal().await.unwrap();
    for url in &urls {
        let report = json(&run("verify", url, &["--from", &last, "--format", "json"]).ok());
        assert_eq!((report["old"]["size"].as_u64(), report["new"]["size"].as_u64()), (Some(21), Some(41)));
        let report = json(&run("audit", url, &["--format", "json"]).ok());
        assert_eq!(report["checkpoint"]["size"], 41);
    }
    let report = json(&run("audit", &urls[1], &["--state", &state, "--format", "json"]).ok());
    assert_eq!((report["read_from"].as_u64(), report["checkpoint"]["size"].as_u64()), (Some(21), Some(41)));
    // a server that another authority names is none
    let other = cluster.layout().trust(Plane::Client);
    let ran = kho(&[
        "log",
        "checkpoint",
        "--url",
        &urls[0],
        "--trust",
        other.to_str().unwrap(),
        "--key",
        &key,
        "--patience",
        "0",
    ]);
    assert_eq!(ran.exit, 4, "{}", ran.err);
    let config = cluster.layout().client_file();
    let status = kho(&["status", "--config", config.to_str().unwrap(), "--json"]).ok();
    assert_eq!(format!("https://{}", json(&status)["nodes"][0]["log_address"].as_str().unwrap()), urls[0]);
    cluster.terminate_all().await.unwrap();
}
