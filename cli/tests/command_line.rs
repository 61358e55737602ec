//! The binary as scripts see it: output, files, exit codes. No node runs here.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{kho, text};

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn cluster() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let made = kho(&["cluster", "new", "--dir", text(&dir.path().join("c"))]);
    assert_eq!(code(&made), 0, "{}", err(&made));
    dir
}

/// Pins a log's key in the client file, as if the cluster had been formed; returns the file.
fn pin(dir: &Path) -> PathBuf {
    let (config, keyring) = (dir.join("c/client.toml"), dir.join("c/keyring"));
    let cluster = std::fs::read_to_string(dir.join("c/cluster.toml")).unwrap();
    let id = cluster.lines().find_map(|line| line.strip_prefix("cluster_id = ")).unwrap().trim_matches('"').to_owned();
    let public = kho(&["keys", "public", "--keyring", text(&keyring), "--origin", &format!("{id}/1/4b1d5a0c9e8f7a6b")]);
    let pinned = format!("verifier_key = {:?}\n{}", out(&public).trim(), std::fs::read_to_string(&config).unwrap());
    std::fs::write(&config, pinned).unwrap();
    config
}

#[test]
fn version_names_the_formats() {
    assert!(out(&kho(&["version"])).starts_with("kho 0."));
    let json: serde_json::Value = serde_json::from_str(&out(&kho(&["version", "--json"]))).unwrap();
    assert_eq!(json["formats"]["header"], "1");
}

#[test]
fn wrong_usage_ends_with_2() {
    assert_eq!(code(&kho(&["no-such-command"])), 2);
    assert_eq!(code(&kho(&["certs", "signer", "--dir", "x", "--unit", "Bộ Y tế"])), 2);
}

#[test]
fn a_new_cluster_has_configurations_that_check() {
    let dir = cluster();
    let dir = dir.path().join("c");
    for node in 1..=3 {
        let checked = kho(&["config", "check", text(&dir.join(format!("node{node}.toml")))]);
        assert_eq!(code(&checked), 0, "{}", err(&checked));
        assert!(out(&checked).contains(&format!("node {node}")));
    }
    let again = kho(&["cluster", "new", "--dir", text(&dir)]);
    assert_eq!(code(&again), 1);
    assert!(err(&again).contains("holds a cluster already"), "{}", err(&again));
}

#[test]
fn a_wrong_configuration_is_named() {
    let dir = cluster();
    let file = dir.path().join("c/node1.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("colour = 1\n{config}")).unwrap();
    let checked = kho(&["config", "check", text(&file)]);
    assert_eq!(code(&checked), 78);
    assert!(err(&checked).contains("[config-invalid]") && err(&checked).contains("colour"), "{}", err(&checked));
    std::fs::write(&file, format!("{config}\n[raft]\nheartbeat_ms = 1\n")).unwrap();
    let checked = kho(&["config", "check", text(&file)]);
    assert!(
        err(&checked).contains("[config-out-of-range]") && err(&checked).contains("10 to 5000"),
        "{}",
        err(&checked)
    );
}

#[test]
fn what_a_restart_does_not_help_ends_with_78() {
    let dir = cluster();
    let file = dir.path().join("c/node1.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let bad = [
        (format!("colour = 1\n{good}"), "[config-invalid]"),
        (format!("{good}\n[raft]\nheartbeat_ms = 1\n"), "[config-out-of-range]"),
        (format!("{good}\n[telemetry]\nlog = \"kho=loud\"\n"), "[config-invalid]"),
    ];
    for (config, named) in bad {
        std::fs::write(&file, config).unwrap();
        for command in [&["serve", "--config", text(&file)][..], &["config", "check", text(&file)]] {
            let ended = kho(command);
            assert_eq!(code(&ended), 78, "{command:?}: {}", err(&ended));
            assert!(err(&ended).contains(named), "{command:?}: {}", err(&ended));
        }
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(code(&kho(&["serve", "--config", text(&file)])), 78);
}

#[test]
fn a_node_without_its_data_directory_does_not_begin_again() {
    let dir = cluster();
    let file = dir.path().join("c/node1.toml");
    let config: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    let data = dir.path().join("c").join(config["data_dir"].as_str().unwrap());
    std::fs::remove_dir_all(&data).unwrap();
    let create = || kho(&["data", "create", "--config", text(&file)]);
    // absent, then empty: a mount point without its disk
    for make in [false, true] {
        if make {
            std::fs::create_dir(&data).unwrap();
        }
        let ended = kho(&["serve", "--config", text(&file)]);
        assert_eq!(code(&ended), 78);
        assert!(
            err(&ended).contains("[data-dir-missing]") && err(&ended).contains("kho data create"),
            "{}",
            err(&ended)
        );
        assert_eq!(data.exists(), make);
    }
    let made = create();
    assert_eq!(code(&made), 0, "{}", err(&made));
    assert!(out(&made).contains("node 1 of cluster"), "{}", out(&made));
    let again = create();
    assert_eq!(code(&again), 78);
    assert!(err(&again).contains("[data-dir-not-empty]"), "{}", err(&again));
}

#[test]
fn a_keyring_is_never_overwritten_and_has_one_fingerprint() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keyring");
    let make =
        || kho(&["keys", "init", "--keyring", text(&file), "--cluster-id", "0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e"]);
    let made = make();
    assert_eq!(code(&made), 0, "{}", err(&made));
    let shown = kho(&["keys", "fingerprint", "--keyring", text(&file)]);
    assert_eq!(out(&shown), out(&made));
    let again = make();
    assert_eq!(code(&again), 1);
    assert!(err(&again).contains("[keyring-exists]") && err(&again).contains("never written over"), "{}", err(&again));
    assert_eq!(out(&kho(&["keys", "fingerprint", "--keyring", text(&file)])), out(&made));
    let absent = kho(&["keys", "fingerprint", "--keyring", text(&dir.path().join("absent"))]);
    assert_eq!(code(&absent), 1);
    assert!(err(&absent).contains("[keyring-unreadable]"), "{}", err(&absent));
    let origin = "0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e/1/4b1d5a0c9e8f7a6b";
    let public = kho(&["keys", "public", "--keyring", text(&file), "--origin", origin]);
    assert!(out(&public).starts_with(&format!("{origin}+")), "{}", err(&public));
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = kho(&["keys", "fingerprint", "--keyring", text(&file)]);
    assert_eq!(code(&open), 1);
    assert!(err(&open).contains("[keyring-permissions]"), "{}", err(&open));
}

#[test]
fn certificates_come_from_their_authorities() {
    let dir = tempfile::tempdir().unwrap();
    let pki = text(dir.path());
    let cluster = "0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e";
    for arguments in [
        &["certs", "ca", "--dir", pki][..],
        &[
            "certs",
            "node",
            "--dir",
            pki,
            "--cluster-id",
            cluster,
            "--node",
            "1",
            "--host",
            "kho1.example",
            "--host",
            "10.0.0.1",
        ],
        &[
            "certs",
            "client",
            "--dir",
            pki,
            "--name",
            "platform",
            "--role",
            "submitter",
            "--role",
            "reader",
            "--all-units",
        ],
        &["certs", "client", "--dir", pki, "--name", "operator", "--plane", "admin", "--role", "operator"],
        &["certs", "signer", "--dir", pki, "--unit", "BYT", "--algorithm", "ed25519"],
    ] {
        let made = kho(arguments);
        assert_eq!(code(&made), 0, "{arguments:?}: {}", err(&made));
    }
    for file in ["ca/peer-ca.pem", "nodes/node1/admin.key.pem", "identities/operator.pem", "signers/BYT.key.pem"] {
        assert!(dir.path().join(file).is_file(), "{file}");
    }
    // a key may be in use: it is not written over, and of a node's four nothing is touched
    let keys = ["signers/BYT.key.pem", "identities/operator.key.pem", "nodes/node1/client.key.pem"];
    let read = || keys.map(|key| std::fs::read(dir.path().join(key)).unwrap());
    let (before, signer) = (read(), ["certs", "signer", "--dir", pki, "--unit", "BYT"]);
    let node = ["certs", "node", "--dir", pki, "--cluster-id", cluster, "--node", "1", "--host", "127.0.0.1"];
    std::fs::remove_file(dir.path().join("nodes/node1/client.pem")).unwrap();
    let operator = ["certs", "client", "--dir", pki, "--name", "operator", "--plane", "admin", "--role", "operator"];
    for again in [signer.as_slice(), &node, &operator] {
        let refused = kho(again);
        assert_eq!(code(&refused), 1, "{again:?}");
        assert!(err(&refused).contains("exists"), "{}", err(&refused));
    }
    assert_eq!(read(), before);
    assert_eq!(code(&kho(&[signer.as_slice(), &["--force"]].concat())), 0);
    assert_ne!(read()[0], before[0], "what is asked for is done");
    // `make test` installs openssl
    for algorithm in ["ed25519", "p256", "rsa2048"] {
        let made = kho(&["certs", "signer", "--dir", pki, "--unit", "BTC", "--algorithm", algorithm]);
        assert_eq!(code(&made), 0, "{algorithm}: {}", err(&made));
        let key = dir.path().join("signers/BTC.key.pem");
        let read = Command::new("openssl").args(["pkey", "-noout", "-in"]).arg(&key).output().unwrap();
        assert!(read.status.success(), "{algorithm}: {}", String::from_utf8_lossy(&read.stderr));
        std::fs::remove_file(&key).unwrap();
        std::fs::remove_file(dir.path().join("signers/BTC.pem")).unwrap();
    }
    let without = kho(&["certs", "signer", "--dir", text(&dir.path().join("nowhere")), "--unit", "BYT"]);
    assert_eq!(code(&without), 1);
}

#[test]
fn nobody_there_ends_with_4() {
    let dir = cluster();
    let config = dir.path().join("c/client.toml");
    let status = kho(&["status", "--config", text(&config)]);
    assert_eq!(code(&status), 4, "{}", err(&status));
    let vi = kho(&["--lang", "vi", "status", "--config", text(&config)]);
    assert!(
        err(&vi).contains("không liên lạc được nút ở 127.0.0.1:") && err(&vi).ends_with("lỗi: không nút nào trả lời\n")
    );
    let without_key = kho(&["get", "0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e", "--config", text(&config)]);
    assert_eq!(code(&without_key), 1);
    assert!(err(&without_key).contains("verifier_key"), "{}", err(&without_key));

    pin(dir.path());
    let report = dir.path().join("report.json");
    std::fs::write(&report, r#"{"unit":"BYT","regime":"YT-01","period":"2020-06-12","text":"Không có ca mới"}"#)
        .unwrap();
    let submitted = kho(&["submit", "--config", text(&config), text(&report), "--out", text(dir.path())]);
    assert_eq!(code(&submitted), 4, "{}", err(&submitted));
    assert!(out(&submitted).contains(".record"), "the signed record is kept: {}", out(&submitted));
}

#[test]
fn a_report_that_was_edited_under_its_id_is_refused() {
    let dir = cluster();
    let config = pin(dir.path());
    let report = dir.path().join("report.json");
    let submit = |document: &serde_json::Value| {
        std::fs::write(&report, document.to_string()).unwrap();
        kho(&["submit", "--config", text(&config), text(&report), "--out", text(dir.path())])
    };
    let document = serde_json::json!({
        "id": "0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e", "unit": "BYT", "regime": "YT-01", "period": "2020-06-12",
        "receivers": ["VPCP", "BTC"], "text": "Không có ca mới",
    });
    assert_eq!(code(&submit(&document)), 4);
    let mut again = document.clone();
    again["receivers"] = serde_json::json!(["BTC", "VPCP", "BTC"]);
    let sent = submit(&again);
    assert!(err(&sent).contains("signed before"), "the order of receivers is no difference: {}", err(&sent));
    for (field, value) in [
        ("unit", "BTC"),
        ("regime", "YT-02"),
        ("period", "2020-06-13"),
        ("series", "1"),
        ("supersedes", "0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0d"),
        ("media_type", "text/markdown"),
        ("text", "Có 2 ca mới"),
    ] {
        let mut edited = document.clone();
        edited[field] = value.into();
        let refused = submit(&edited);
        assert_eq!(code(&refused), 1, "{field}: {}", err(&refused));
        let field = if field == "text" { "payload" } else { field };
        assert!(err(&refused).contains("[record-id-conflict]"), "{}", err(&refused));
        assert!(
            err(&refused).contains("signed for other content") && err(&refused).contains(field),
            "{}",
            err(&refused)
        );
    }
    let mut edited = document.clone();
    edited["receivers"] = serde_json::json!(["VPCP"]);
    let refused = submit(&edited);
    assert!(code(&refused) == 1 && err(&refused).contains("receivers"), "{}", err(&refused));
}

#[test]
fn what_a_report_says_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = cluster();
    let config = pin(dir.path());
    let report = dir.path().join("report.json");
    std::fs::write(&report, r#"{"unit":"BYT","regime":"YT-01","period":"2020-06-12","text":"Không có ca mới"}"#)
        .unwrap();
    let submitted = kho(&["submit", "--config", text(&config), text(&report), "--out", text(dir.path())]);
    let record = out(&submitted).trim().to_owned();
    assert_eq!(std::fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600, "{record}");
}

#[test]
fn errors_name_their_stable_code() {
    let dir = cluster();
    let config = pin(dir.path());
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let submit = |file: &str| kho(&["submit", "--config", text(&config), file, "--out", text(dir.path())]);
    let key = std::fs::read_to_string(&config).unwrap();
    let key = key.lines().find_map(|line| line.strip_prefix("verifier_key = ")).unwrap().trim_matches('"').to_owned();
    let (proof, record) = (file("x.tlog-proof", "no proof"), file("x.record", "no record"));
    let unit = r#"{"unit":"BYT","regime":"YT-01","period":"2020-06-12","text":"x","#;
    let client = std::fs::read_to_string(&config).unwrap();
    let get = |client: &str| {
        let client = file("c/other.toml", client);
        kho(&["get", "0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e", "--config", &client])
    };
    for (ended, expected) in [
        (submit(&file("report.json", "{}")), "report-invalid"),
        (
            submit(&file("report.json", r#"{"unit":"BYT","regime":"YT-01","period":"June","text":"x"}"#)),
            "period-invalid",
        ),
        (submit(&file("report.json", &format!("{unit}\"media_type\":\"text\"}}"))), "header-field-invalid"),
        (submit(&record), "request-malformed"),
        (submit(&file("empty.record", "")), "header-field-invalid"),
        (kho(&["verify", "--key", &key, &proof, &record]), "receipt-invalid"),
        (kho(&["verify", "--key", "no key", &proof, &record]), "receipt-invalid"),
        (kho(&["verify", "--key", &key, "--trust", &record, &proof, &record]), "certificate-malformed"),
        (get(&client.replace("platform.pem", "nobody.pem")), "tls-file-invalid"),
        (get(&format!("colour = 1\n{client}")), "config-invalid"),
    ] {
        assert_eq!(code(&ended), 1, "{}", err(&ended));
        assert!(err(&ended).contains(&format!("error [{expected}]")), "{expected}: {}", err(&ended));
    }
    let algorithm = client.lines().find(|line| line.starts_with("algorithm = ")).unwrap();
    std::fs::write(&config, client.replace(algorithm, "algorithm = \"sha1\"")).unwrap();
    let ended = submit(&file("report.json", &format!("{}}}", unit.trim_end_matches(','))));
    assert!(err(&ended).contains("error [algorithm-unsupported]"), "{}", err(&ended));
}

#[test]
fn authorities_are_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let pki = text(dir.path());
    let make = |arguments: &[&str]| kho(&[&["certs"], arguments, &["--dir", pki]].concat());
    assert_eq!(code(&make(&["ca", "--plane", "signers"])), 0);
    let key = dir.path().join("ca/signers-ca.key.pem");
    let before = std::fs::read(&key).unwrap();
    let id = "0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e";
    for arguments in [&["ca", "--plane", "signers"][..], &["ca"], &["dev", "--cluster-id", id]] {
        let refused = make(arguments);
        assert_eq!(code(&refused), 1, "{arguments:?}");
        assert!(err(&refused).contains("signers-ca"), "{}", err(&refused));
    }
    assert_eq!(std::fs::read(&key).unwrap(), before);
    assert!(!dir.path().join("ca/client-ca.pem").exists(), "nothing is half made");
}

#[test]
fn forming_a_cluster_names_the_file_that_is_wrong() {
    let dir = cluster();
    let node = dir.path().join("c/node1.toml");
    let pin = kho(&["cluster", "init", "--config", text(&node), "--pin"]);
    assert_eq!(code(&pin), 1, "before anything is formed: {}", err(&pin));
    assert!(err(&pin).contains("--pin"), "{}", err(&pin));
    let config = std::fs::read_to_string(&node).unwrap();
    std::fs::write(&node, format!("{config}\n[raft]\nheartbeat_ms = 1\n")).unwrap();
    let init = kho(&["cluster", "init", "--config", text(&node)]);
    assert!(err(&init).contains("heartbeat_ms"), "the node's configuration is at fault: {}", err(&init));
    let client = dir.path().join("c/client.toml");
    let config = std::fs::read_to_string(&client).unwrap();
    std::fs::write(&client, format!("colour = 1\n{config}")).unwrap();
    let init = kho(&["cluster", "init", "--config", text(&client)]);
    assert!(err(&init).contains("colour"), "{}", err(&init));
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = Command::new(env!("CARGO_BIN_EXE_kho"))
        .args(["version"])
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(code(&ended), 0, "{}", err(&ended));
}

#[test]
fn a_failed_demo_leaves_the_logs_that_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_kho"))
        .args(["demo", "--reports", "10"])
        .env("KHO_BIN", "/bin/false")
        .env("TMPDIR", dir.path())
        .output()
        .unwrap();
    assert_eq!(code(&demo), 1);
    let err = err(&demo);
    let log = err.split_whitespace().map(|word| word.trim_end_matches([':', ','])).find(|word| word.ends_with(".log"));
    assert!(log.is_some_and(|log| Path::new(log).is_file()), "{err}");
}

#[test]
fn messages_follow_the_locale_and_codes_stay() {
    let absent = ["list", "--config", "absent.toml", "--format", "json"];
    let run = |more: &[&str], variables: &[(&str, &str)]| {
        let mut kho = Command::new(env!("CARGO_BIN_EXE_kho"));
        for name in ["LC_ALL", "LC_MESSAGES", "LANG", "KHO_CONFIG"] {
            kho.env_remove(name);
        }
        let output = kho.args(more).args(absent).envs(variables.iter().copied()).output().unwrap();
        assert_eq!(code(&output), 1);
        err(&output)
    };
    let english = "error [config-invalid]: absent.toml: ";
    let vietnamese = "lỗi [config-invalid]: tệp cấu hình không đọc được hoặc có trường không hợp lệ\n  absent.toml: ";
    for (more, variables, expected) in [
        (&[][..], &[][..], english),
        (&[], &[("LANG", "vi_VN.UTF-8")], vietnamese),
        (&[], &[("LANG", "vi_VN.UTF-8"), ("LC_ALL", "C")], english),
        (&["--lang", "en"], &[("LC_ALL", "vi_VN")], english),
        (&["--lang", "vi"], &[], vietnamese),
    ] {
        let told = run(more, variables);
        assert!(told.starts_with(expected), "{more:?} {variables:?}: {told}");
    }
    assert_eq!(code(&kho(&["--lang", "fr", "version"])), 2);
    for (arguments, said) in [
        (&["list", "--order", "size", "--lang", "vi"][..], "lỗi: một giá trị không hợp lệ\n"),
        (&["--lang=vi", "no-such-command"], "lỗi: không có lệnh này\n"),
        (&["--lang", "vi", "outbox", "retry"], "lỗi: cần nêu mã các bản ghi bị từ chối, hoặc --all"),
    ] {
        let wrong = kho(arguments);
        assert_eq!(code(&wrong), 2, "{}", err(&wrong));
        assert!(err(&wrong).starts_with(said), "{arguments:?}: {}", err(&wrong));
    }
    assert!(
        err(&kho(&["list", "--order", "size"])).starts_with("error: invalid value 'size'"),
        "in English clap says it"
    );
}
