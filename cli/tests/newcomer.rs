//! The binary as somebody meets it who has nothing else: no file beside it, and no idea yet which of two files is which; its
//! completions and manual pages. No node runs here.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{ends, kho, text, verifier_key};

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn each_configuration_is_told_from_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = dir.path().join("c");
    ends(&["cluster", "new", "--dir", text(&cluster)], 0);
    let (node, client) = (cluster.join("node1.toml"), cluster.join("client.toml"));
    let (out, _) = ends(&["config", "check", text(&client)], 0);
    for part in ["ok: client file: 3 nodes", "no verifier_key yet", "an operator of 3 nodes", "a signer"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (_, err) = ends(&["serve", "--config", text(&client)], 78);
    assert!(err.contains("[config-invalid]") && err.contains("expected a node's configuration"), "{err}");
    let (_, err) = ends(&["list", "--config", text(&node)], 1);
    assert!(err.contains("[config-invalid]") && err.contains("found a node's configuration"), "{err}");
    // there is none: how to come by one
    let (_, err) = ends(&["list", "--config", text(&cluster.join("absent.toml"))], 1);
    assert!(err.contains("kho config example --client") && err.contains("KHO_CONFIG"), "{err}");

    // a certificate and a key that don't belong together, before anybody is asked
    let good = std::fs::read_to_string(&client).unwrap();
    let bad = good.replace("key = \"identities/platform.key.pem\"", "key = \"identities/operator.key.pem\"");
    std::fs::write(&client, format!("{}\n{bad}", verifier_key())).unwrap();
    for (arguments, code) in [(["config", "check", text(&client)], 78), (["list", "--config", text(&client)], 1)] {
        let (_, err) = ends(&arguments, code);
        assert!(err.contains("[tls-file-invalid]"), "{err}");
        assert!(err.contains("operator.key.pem does not belong to the certificate in "), "{err}");
    }
}

#[test]
fn examples_are_printed_that_check() {
    let dir = tempfile::tempdir().unwrap();
    let (node, client) = (dir.path().join("node1.toml"), dir.path().join("client.toml"));
    std::fs::write(&node, ends(&["config", "example", "--server"], 0).0).unwrap();
    ends(&["config", "check", text(&node)], 0);
    // its certificates are still to be put there
    std::fs::write(&client, ends(&["config", "example", "--client"], 0).0).unwrap();
    let (_, err) = ends(&["config", "check", text(&client)], 78);
    assert!(err.contains("platform.key.pem"), "{err}");
    ends(&["config", "example"], 2);
    let (out, err) = ends(&["catalogue", "example"], 0);
    assert!(serde_json::from_str::<Vec<serde_json::Value>>(&out).unwrap().len() > 2, "{out}");
    assert!(err.contains("frequency"), "{err}");
}

#[test]
fn a_binary_of_another_name_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("kho-0.1");
    if std::fs::hard_link(env!("CARGO_BIN_EXE_kho"), &other).is_err() {
        std::fs::copy(env!("CARGO_BIN_EXE_kho"), &other).unwrap();
    }
    let made = Command::new(&other).args(["cluster", "new", "--dir", text(&dir.path().join("c"))]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn a_key_that_is_none_is_told_as_one() {
    let verify = |key: &str| ends(&["verify", "--key", key, "x.tlog-proof", "x.record"], 1).1;
    let absent = verify("log.vkey");
    assert!(absent.contains("no verifier key, and no file that can be read"), "{absent}");
    let empty = verify("");
    assert!(empty.contains("--key is empty: is the variable set?"), "{empty}");
}

/// Words that bash offers behind `line`, as its completion function leaves them.
fn completed(script: &Path, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let program = format!(
        "source {}; COMP_WORDS=({}); COMP_CWORD={}; {}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        text(script),
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1,
        format_args!("_kho kho '{}' '{}'", words[words.len() - 1], words[words.len() - 2]),
    );
    let output = Command::new("bash").args(["--norc", "-c", &program]).output().unwrap();
    assert_eq!(err(&output), "", "{program}");
    out(&output).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    if Command::new("bash").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no bash here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("kho.bash");
    std::fs::write(&script, kho(&["completions", "bash"]).stdout).unwrap();
    assert_eq!(completed(&script, "kho comp"), ["completions"]);
    assert_eq!(completed(&script, "kho list --for"), ["--format"]);
    assert_eq!(completed(&script, "kho list --format "), ["table", "json", "csv"]);
    assert_eq!(completed(&script, "kho log a"), ["audit"]);
    assert_eq!(completed(&script, "kho certs signer --algorithm "), ["ed25519", "p256", "rsa2048"]);
    assert_eq!(completed(&script, "kho certs client --plane "), ["client", "peer", "admin", "log", "signers"]);
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(out(&kho(&["completions", shell])).contains("submit"), "{shell}");
    }
    ends(&["completions", "cmd"], 2);
}

#[test]
fn every_command_has_a_manual_page_that_groff_takes() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("pages");
    ends(&["man", "--dir", text(&pages)], 0);
    let mut names: Vec<_> = std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for page in ["kho.1", "kho-submit.1", "kho-log-audit.1", "kho-completions.1"] {
        assert!(names.contains(&pages.join(page)), "{page}: {names:?}");
    }
    assert!(std::fs::read_to_string(pages.join("kho.1")).unwrap().contains("outcome unknown"));
    if Command::new("groff").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no groff here");
        return;
    }
    let page = pages.join("kho-outbox-retry.1");
    assert!(std::fs::read_to_string(&page).unwrap().contains(".SH \"EXAMPLES\""), "{}", page.display());
    let shown = out(&Command::new("groff").args(["-man", "-Tascii", "-P-c"]).arg(page).output().unwrap());
    let command = "kho outbox retry --dir /var/lib/reports/outbox 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e";
    assert!(shown.lines().any(|line| line.trim() == command), "a command stays a line: {shown}");
    assert!(shown.trim_end().lines().last().unwrap_or_default().contains("kho 0."), "{shown}");
    for page in &names {
        let shown = Command::new("groff").args(["-man", "-ww", "-Tutf8", "-Kutf8"]).arg(page).output().unwrap();
        assert!(shown.status.success() && err(&shown).is_empty(), "{}: {}", page.display(), err(&shown));
        assert!(out(&shown).contains("kho"), "{}", page.display());
    }
}
