//! Real processes on loopback, driven as operators and tests drive them.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{cluster, ends, kho, text};
use kho::dev::{DevCluster, Identity, NodeId};
use kho_client::{Client, Draft, Signed, SubmitError, System};
use kho_proto::error::Code;
use kho_proto::id::UnitCode;

async fn signed(cluster: &DevCluster, unit: &str, series: &str) -> Signed {
    let unit: UnitCode = unit.parse().unwrap();
    let draft = Draft {
        record_id: None,
        unit: unit.clone(),
        regime: "YT-01".parse().unwrap(),
        period: "2020-06-12".parse().unwrap(),
        series: series.to_owned(),
        supersedes: None,
        receivers: vec!["VPCP".parse().unwrap()],
        media_type: "text/plain; charset=utf-8".to_owned(),
        payload: "Không có ca mắc mới".into(),
    };
    draft.sign(&cluster.signer(&unit).unwrap(), &System).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_submits_reads_exports_and_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = cluster(&dir).await;
    let config = cluster.layout().client_file();
    let (config, files) = (text(&config), dir.path().join("files"));
    let report = dir.path().join("report.json");
    let document =
        r#"{"unit":"BYT","regime":"YT-01","period":"2020-06-12","receivers":["VPCP"],"figures":{"new_cases":2}}"#;
    std::fs::write(&report, document).unwrap();

    let (out, _) = ends(&["submit", "--config", config, text(&report), "--out", text(&files)], 0);
    let record = out.lines().find(|line| line.ends_with(".record")).unwrap().to_owned();
    let proof = record.replace(".record", ".tlog-proof");
    let id = Path::new(&record).file_stem().unwrap().to_str().unwrap().to_owned();
    let first = std::fs::read(&proof).unwrap();
    let (_, err) = ends(&["submit", "--config", config, &record, "--out", text(&files)], 0);
    assert!(err.contains("it was there already"), "{err}");
    assert_eq!(std::fs::read(&proof).unwrap(), first, "the first receipt again");
    // the same file again is the same record, also where somebody took the record away
    let again = ["submit", "--config", config, text(&report), "--out", text(&files)];
    let (out, err) = ends(&again, 0);
    assert!(
        out.contains(&proof) && err.contains("signed before") && err.contains("it was there already"),
        "{out}{err}"
    );
    let bytes = std::fs::read(&record).unwrap();
    std::fs::remove_file(&record).unwrap();
    let (out, err) = ends(&again, 0);
    assert!(out.trim() == proof && err.contains("done by an earlier run"), "{out}{err}");
    // its files are elsewhere: the node has another record under the id, and it is said which
    std::fs::rename(&proof, files.join("away")).unwrap();
    let (_, err) = ends(&again, 1);
    assert!(err.contains("[record-id-conflict]") && err.contains(&format!("kho get {id} --out")), "{err}");
    std::fs::rename(files.join("away"), &proof).unwrap();
    std::fs::write(&record, bytes).unwrap();
    // another report of the same series without `supersedes`: what to do is said, and nothing stays that is not in
    let other = dir.path().join("other.json");
    std::fs::write(&other, document.replace(":2}", ":3}")).unwrap();
    let (out, err) = ends(&["submit", "--config", config, text(&other), "--out", text(&files)], 1);
    assert!(err.contains("[series-has-head]") && err.contains("\"supersedes\""), "{err}");
    assert!(err.contains("kho history --unit BYT --regime YT-01 --period 2020-06-12 --newest"), "{err}");
    assert!(!Path::new(out.trim()).exists(), "{out}");
    // several at once: the bad one among them does not sink the others
    let several: Vec<_> = ["2020-06-13", "2020-06-12", "2020-06-14"]
        .map(|day| {
            let path = dir.path().join(format!("{day}.json"));
            std::fs::write(&path, document.replace("2020-06-12", day).replace(":2}", ":4}")).unwrap();
            path
        })
        .to_vec();
    let submit = ["submit", "--config", config, "--out", text(&files)].into_iter();
    let (out, err) = ends(&submit.chain(several.iter().map(|path| text(path))).collect::<Vec<_>>(), 1);
    assert_eq!(out.lines().filter(|line| line.ends_with(".tlog-proof")).count(), 2, "{out}");
    assert_eq!(err.matches("[series-has-head]").count(), 1, "{err}");

    // what can't be read neither, and nothing is signed that is not sent
    let (good, bad, absent) = (dir.path().join("15.json"), dir.path().join("bad.json"), dir.path().join("absent.json"));
    std::fs::write(&good, document.replace("2020-06-12", "2020-06-15")).unwrap();
    std::fs::write(&bad, "{bad}").unwrap();
    let mixed = dir.path().join("mixed");
    let submit = ["submit", "--config", config, "--out", text(&mixed), text(&bad), text(&good), text(&absent)];
    let (out, err) = ends(&submit, 1);
    assert_eq!(out.lines().filter(|line| line.ends_with(".tlog-proof")).count(), 1, "{out}");
    assert_eq!(std::fs::read_dir(&mixed).unwrap().count(), 3, "a record, its receipt, and what it is known by");
    assert!(err.contains("bad.json: ") && err.contains("absent.json") && err.contains("2 of 3 files failed"), "{err}");

    let (out, _) = ends(&["get", &id, "--config", config], 0);
    assert_eq!(out.trim(), r#"{"new_cases":2}"#);
    let (again, exported) = (dir.path().join("again"), dir.path().join("exported"));
    ends(&["get", &id, "--config", config, "--out", text(&again), "--export", text(&exported)], 0);
    assert_eq!(std::fs::read(again.join(format!("{id}.record"))).unwrap(), std::fs::read(&record).unwrap());
    assert!(exported.join("README").is_file());

    let key = cluster.verifier_key().unwrap().to_string();
    let trust = cluster.layout().trust(kho::dev::Plane::Signers);
    let (_, err) = ends(&["verify", "--key", &key, &record, &proof], 2);
    assert!(err.contains("the other way round"), "{err}");
    let other = "0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e/1/4b1d5a0c9e8f7a6b";
    let (other, _) = ends(&["keys", "public", "--keyring", text(&cluster.layout().keyring()), "--origin", other], 0);
    let (_, err) = ends(&["verify", "--key", other.trim(), &proof, &record], 1);
    assert!(err.contains("[receipt-invalid]") && err.contains("of another log than --key"), "{err}");
    let (out, _) = ends(&["--lang", "vi", "verify", "--key", &key, &proof, &record], 0);
    assert!(out.contains("đạt") && out.contains("bỏ qua  người ký") && !out.contains("skipped"), "{out}");
    let (out, _) = ends(&["verify", "--key", &key, "--trust", text(&trust), &proof, &record], 0);
    assert!(!out.contains("FAILED") && out.lines().count() == 9, "{out}");
    let (out, _) = ends(&["keys", "public", "--keyring", text(&cluster.layout().keyring()), "--receipt", &proof], 0);
    assert_eq!(out.trim(), key);
    let mut bytes = std::fs::read(&record).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&record, bytes).unwrap();
    let (out, _) = ends(&["verify", "--key", &key, "--trust", text(&trust), &proof, &record], 1);
    assert!(out.contains("FAILED"), "{out}");

    let (_, err) = ends(&["get", "0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e", "--config", config], 1);
    assert!(err.contains("[record-unknown]"), "{err}");
    // forming a formed cluster changes nothing and says the same, by client file or node's configuration
    let size = cluster.wait_equal().await.unwrap();
    for config in [config, text(&cluster.layout().node_file(NodeId(3)))] {
        assert_eq!(ends(&["cluster", "init", "--config", config], 0).0.trim(), key);
    }
    assert_eq!(cluster.wait_equal().await.unwrap(), size);

    cluster.kill(NodeId(2)).unwrap();
    let status = |config: &str| -> serde_json::Value {
        serde_json::from_str(&ends(&["status", "--config", config, "--format", "json"], 0).0).unwrap()
    };
    let (out, _) = ends(&["status", "--config", config, "--json"], 0);
    assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok(), "as it was written before: {out}");
    let nodes = status(config);
    let reachable: Vec<_> = nodes["nodes"].as_array().unwrap().iter().map(|node| node["reachable"] == true).collect();
    assert_eq!(reachable, [true, false, true]);
    assert_eq!((&nodes["majority"]["reachable"], &nodes["majority"]["answering"]), (&true.into(), &2.into()));
    let (out, _) = ends(&["status", "--config", config], 0);
    assert!(out.contains("unreachable") && !out.contains("majority"), "{out}");
    let (csv, _) = ends(&["status", "--config", config, "--format", "csv"], 0);
    assert!(csv.starts_with("address,reachable,configured,node_id,role,") && csv.lines().count() == 4, "{csv}");
    // a client file that knows one node: the cluster knows the others
    let (one, admin) = (cluster.layout().dir().join("one.toml"), cluster.member(NodeId(1)).unwrap().admin.clone());
    let mut file: toml::Table = std::fs::read_to_string(config).unwrap().parse().unwrap();
    file.insert("admin_nodes".to_owned(), toml::Value::Array(vec![admin.clone().into()]));
    std::fs::write(&one, file.to_string()).unwrap();
    let known: Vec<_> = status(text(&one))["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["node_id"].as_u64().unwrap(), node["configured"] == true, node["reachable"] == true))
        .collect();
    assert_eq!(known, [(1, true, true), (2, false, false), (3, false, true)]);
    // the majority is lost: who is left says so, and the command does its work
    cluster.kill(NodeId(3)).unwrap();
    let (out, _) = ends(&["status", "--config", text(&one)], 0);
    assert!(out.contains("no majority: 1 of 3 voting members answer here, 2 are needed"), "{out}");
    let (out, _) = ends(&["--lang", "vi", "status", "--config", text(&one)], 0);
    assert!(
        out.contains("không đủ đa số") && out.contains("không liên lạc được") && !out.contains("unreachable"),
        "{out}"
    );
    assert_eq!(status(text(&one))["majority"]["reachable"], false);
}

// R-A2
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_bridged_by_the_client() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = cluster(&dir).await;
    let client = cluster.client().unwrap();
    let before = client.submit(&signed(&cluster, "BYT", "1").await).await.unwrap();
    let after = signed(&cluster, "BYT", "2").await;
    let leader = cluster.leader().await.unwrap().unwrap();
    cluster.kill(leader).unwrap();
    let after = client.submit(&after).await.unwrap();
    assert_eq!(after.receipt.sequence.0, before.receipt.sequence.0 + 1);
    assert_ne!(cluster.wait_ready().await.unwrap(), leader);
    cluster.start(leader).unwrap();
    cluster.wait_ready().await.unwrap();
    let (size, _) = cluster.wait_equal().await.unwrap();
    assert_eq!(size, after.receipt.sequence.0 + 1);
    let fetched = cluster.client_of(leader).unwrap().get(before.record_id).await.unwrap();
    assert_eq!((fetched.node, fetched.receipt.leaf), (leader, before.receipt.leaf));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_leader_hands_over_and_ends_with_0() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = cluster(&dir).await;
    let leader = cluster.leader().await.unwrap().unwrap();
    let status = cluster.terminate(leader).await.unwrap();
    assert_eq!(status.code(), Some(0));
    let start = Instant::now();
    assert_ne!(cluster.wait_ready().await.unwrap(), leader);
    assert!(start.elapsed() < Duration::from_secs(1), "it handed over before it ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_units_own_system_submits_for_itself_only() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster(&dir).await;
    let config = cluster.client_config(&Identity::Unit("BTC".parse().unwrap())).unwrap();
    let client = Client::new(config).unwrap();
    client.submit(&signed(&cluster, "BTC", "").await).await.unwrap();
    let refused = client.submit(&signed(&cluster, "BYT", "").await).await.unwrap_err();
    assert_eq!(refused.code(), Code::UnitNotPermitted, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_no_client_and_a_client_no_operator() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster(&dir).await;
    // each plane has an authority of its own: the node ends the handshake. The client must trust the listener for
    // that, or it would be the client that hangs up.
    let size = || async { cluster.admin(NodeId(1)).unwrap().status().await.unwrap().tree_size };
    let before = size().await;
    let mut config = cluster.client_config(&Identity::Platform).unwrap();
    let mut files = cluster.layout().identity(&Identity::Operator);
    files.trust = cluster.layout().trust(kho::dev::Plane::Client);
    config.tls = Some(files.load().unwrap());
    let error = Client::new(config).unwrap().submit(&signed(&cluster, "BYT", "").await).await.unwrap_err();
    // in TLS 1.3 a client is done before the node has looked at its certificate: a connection that breaks under the
    // first request leaves doubt. Let in, an operator would be refused for its role.
    assert!(matches!(&error, SubmitError::Unreachable { .. } | SubmitError::Unknown { .. }), "{error}");
    assert_eq!(size().await, before);

    let mut files = cluster.layout().identity(&Identity::Platform);
    files.trust = cluster.layout().trust(kho::dev::Plane::Admin);
    let address = &cluster.member(NodeId(1)).unwrap().admin;
    let error = kho::admin::Admin::new(address, &files.load().unwrap()).unwrap().status().await.unwrap_err();
    assert!(matches!(&error, kho::admin::Error::Unreachable { .. }), "{error}");
}

/// What the next leader would take is not called refused: who reads 1 as "never" drops the report.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_a_report_is_put_off_and_goes_in_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = cluster(&dir).await;
    let (config, out) = (cluster.layout().client_file(), dir.path().join("out"));
    let [first, second] = ["2020-06-12", "2020-06-13"].map(|day| {
        let path = dir.path().join(format!("{day}.json"));
        let document = r#"{"unit":"BYT","regime":"YT-01","period":"DAY","figures":{"new_cases":2}}"#;
        std::fs::write(&path, document.replace("DAY", day)).unwrap();
        path
    });
    // the unit has its data key from here on
    ends(&["submit", "--config", text(&config), text(&first), "--out", text(&out)], 0);
    let leader = cluster.leader().await.unwrap().unwrap();
    let left = cluster.nodes().find(|node| *node != leader).unwrap();
    let others: Vec<_> = cluster.nodes().filter(|node| *node != left).collect();
    for node in &others {
        cluster.kill(*node).unwrap();
    }
    // it waits for a leader in vain, and from then on knows of none: nothing is on its way to the old one
    let (_, err) = ends(&["list", "--config", text(&config)], 4);
    assert!(err.contains("[no-leader]"), "{err}");
    // 3 where the time ran out while the node was about to propose it: then nobody can say
    let submitted = kho(&["submit", "--config", text(&config), text(&second), "--out", text(&out)]);
    let [printed, err] = [submitted.stdout, submitted.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!([3, 4].contains(&submitted.status.code().unwrap()), "{err}");
    assert!(err.contains("no-leader") && !err.contains("refused"), "{err}");
    let record = printed.lines().find(|line| line.ends_with(".record")).unwrap().to_owned();
    for node in others {
        cluster.start(node).unwrap();
    }
    cluster.wait_ready().await.unwrap();
    let (printed, _) = ends(&["submit", "--config", text(&config), &record, "--out", text(&out)], 0);
    assert!(printed.contains(".tlog-proof"), "{printed}");
}

/// A client of the admin plane whose certificate has another role: an answer, and no silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_refuses_is_not_unreachable() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster(&dir).await;
    let pki = cluster.layout().dir().to_owned();
    ends(&["certs", "client", "--dir", text(&pki), "--name", "other", "--plane", "admin", "--role", "reader"], 0);
    let client = cluster.layout().client_file();
    let config = std::fs::read_to_string(&client).unwrap().replace("operator.", "other.");
    std::fs::write(&client, config).unwrap();
    let (_, err) = ends(&["status", "--config", text(&client)], 1);
    assert!(err.contains("[role-not-permitted]"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_another_log_is_kept_as_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster(&dir).await;
    let (client, files) = (cluster.layout().client_file(), dir.path().join("files"));
    let key = cluster.verifier_key().unwrap().to_string();
    let origin = key.split('+').next().unwrap().to_owned();
    let keyring = dir.path().join("keyring");
    ends(&["keys", "init", "--keyring", text(&keyring), "--cluster-id", origin.split('/').next().unwrap()], 0);
    let (other, _) = ends(&["keys", "public", "--keyring", text(&keyring), "--origin", &origin], 0);
    let good = std::fs::read_to_string(&client).unwrap();
    std::fs::write(&client, good.replace(&key, other.trim())).unwrap();
    let id = "0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e";
    let report = dir.path().join("report.json");
    let document =
        format!(r#"{{"id":"{id}","unit":"BYT","regime":"YT-01","period":"2020-06-12","figures":{{"new_cases":2}}}}"#);
    std::fs::write(&report, document).unwrap();

    let submit = ["submit", "--config", text(&client), text(&report), "--out", text(&files)];
    let (_, err) = ends(&submit, 3);
    assert!(err.contains("[receipt-invalid]"), "{err}");
    let (proof, rejected) = (files.join(format!("{id}.tlog-proof")), files.join(format!("{id}.tlog-proof.rejected")));
    assert!(rejected.is_file() && !proof.exists(), "{err}");
    let again = dir.path().join("again");
    ends(&["get", id, "--config", text(&client), "--out", text(&again)], 1);
    assert_eq!(std::fs::read(again.join(rejected.file_name().unwrap())).unwrap(), std::fs::read(&rejected).unwrap());
    let (_, err) = ends(&["cluster", "init", "--config", text(&client), "--pin"], 1);
    assert!(err.contains("verifier_key"), "a pinned key is not replaced: {err}");
    assert!(std::fs::read_to_string(&client).unwrap().contains(other.trim()));

    // it is in, and its receipt can't be written: ask again
    std::fs::write(&client, good).unwrap();
    std::fs::create_dir(&proof).unwrap();
    ends(&submit, 3);
    std::fs::remove_dir(&proof).unwrap();
    ends(&submit, 0);
    ends(&["verify", "--key", &key, text(&rejected), text(&files.join(format!("{id}.record")))], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn detached_nodes_end_with_the_cluster_unless_they_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let alive = |pid: u32| Path::new(&format!("/proc/{pid}/cmdline")).exists();
    for keep in [false, true] {
        let mut cluster = DevCluster::create(&dir.path().join(keep.to_string()), 1).unwrap();
        cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
        cluster.detach();
        cluster.launch().await.unwrap();
        let pid = cluster.pid(NodeId(1)).unwrap();
        if keep {
            drop(cluster.keep())
        } else {
            drop(cluster)
        }
        assert_eq!(alive(pid), keep);
        if keep {
            let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    }
}

#[test]
fn the_demo_loses_nothing() {
    let (out, err) = ends(&["demo", "--reports", "120"], 0);
    let row = |name: &str| {
        let line = out.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}\n{out}\n{err}"));
        line.split_whitespace().find_map(|word| word.parse::<u64>().ok()).unwrap()
    };
    assert_eq!((row("sent"), row("acknowledged"), row("lost"), row("duplicates")), (120, 120, 0, 0));
    assert_eq!((row("read back elsewhere"), row("receipts verified")), (120, 120));
}
