//! Which way the crates point, and what each must never see (docs/architecture.md), read from the
//! manifests and the sources. Each rule is proven by a planted breach.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a source file, at most: more is a room with two tenants.
const FILE_LINES_MAX: usize = 500;

/// What each crate may build upon. Development dependencies of the two lowest crates count as well.
const MAY_USE: &[(&str, &[&str])] = &[
    ("kho-proto", &[]),
    ("kho-transport", &[]),
    ("kho-ledger", &["kho-proto"]),
    ("kho-catalogue", &["kho-proto"]),
    ("kho-node", &["kho-catalogue", "kho-ledger", "kho-proto", "kho-transport"]),
    ("kho-client", &["kho-proto", "kho-transport"]),
    ("kho-sample", &[]),
    ("kho", &["kho-catalogue", "kho-client", "kho-node", "kho-proto", "kho-sample"]),
    ("kho-chaos-tests", &["kho", "kho-client", "kho-proto", "kho-sample"]),
    ("kho-simulation", &["kho-chaos-tests", "kho-client", "kho-node", "kho-proto"]),
    ("kho-fuzz", &["kho-ledger", "kho-node", "kho-proto"]),
    ("kho-benches", &["kho", "kho-client", "kho-proto", "kho-sample"]),
    ("kho-instructions", &["kho-ledger", "kho-proto"]),
    ("kho-log-engines", &["kho-chaos-tests", "kho-node"]),
];

/// A word that may stand only at some places.
struct Rule {
    /// Where it counts.
    under: &'static str,
    /// In code, not in comments.
    word: &'static str,
    /// Where it may stand none the less.
    except: &'static [&'static str],
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule { under: "", word: "openraft::", except: &["node/src/consensus/"], why: "only consensus/ imports openraft" },
    Rule {
        under: "",
        word: "rocksdb::",
        except: &["node/src/storage/", "benches/log-engines/src/rocks/"],
        why: "only storage/ opens databases, and what measures its options",
    },
    Rule { under: "", word: "redb::", except: &["client/src/outbox/"], why: "only the outbox opens its store" },
    Rule {
        under: "",
        word: "tokio_postgres::",
        except: &["benches/src/systems/"],
        why: "others are compared with there alone",
    },
    Rule {
        under: "",
        word: "amqprs::",
        except: &["benches/src/systems/"],
        why: "others are compared with there alone",
    },
    Rule { under: "proto/src/", word: "SystemTime::now", except: &[], why: "time is handed in" },
    Rule {
        under: "node/src/",
        word: "SystemTime::now",
        except: &["node/src/seams.rs"],
        why: "time comes through Clock",
    },
    Rule {
        under: "node/src/",
        word: "TcpStream::connect",
        except: &["node/src/seams.rs"],
        why: "dialling goes through Net",
    },
    Rule {
        under: "node/src/",
        word: "TcpListener::bind",
        except: &["node/src/seams.rs", "node/src/consensus/cluster_tests/"],
        why: "listening goes through Net",
    },
    Rule {
        under: "node/src/",
        word: "spawn_blocking",
        except: &["node/src/seams.rs"],
        why: "what blocks is a seam: in a simulation it takes virtual time",
    },
    Rule { under: "ledger/src/", word: "SystemTime", except: &[], why: "apply has no clock" },
    Rule { under: "ledger/src/", word: "Instant", except: &[], why: "apply has no clock" },
    Rule { under: "ledger/src/", word: "HashMap", except: &[], why: "apply has no random order" },
    Rule { under: "ledger/src/", word: "HashSet", except: &[], why: "apply has no random order" },
    Rule { under: "ledger/src/", word: "f64", except: &[], why: "apply has no floats" },
    Rule { under: "ledger/src/", word: "f32", except: &[], why: "apply has no floats" },
    Rule { under: "ledger/src/", word: "rand::", except: &[], why: "apply draws nothing" },
    Rule { under: "ledger/src/", word: "std::fs", except: &[], why: "apply does no I/O" },
];

/// Crates that the ledger, and the part of proto that it uses, must not pull in.
const NOT_BELOW_THE_LEDGER: &[&str] = &["tokio", "tonic", "openraft", "rocksdb", "librocksdb-sys", "rand"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above this crate").to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo speaks UTF-8")
}

/// Each crate's own crates that it may not use.
fn wrong_arrows(metadata: &serde_json::Value) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let empty = Vec::new();
    let may_use: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap_or(&empty) {
        let name = text(&package["name"]);
        let Some(allowed) = may_use.get(name.as_str()) else {
            wrong.push(format!("{name} is not in the table: say what it may use"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap_or(&empty) {
            let used = text(&dependency["name"]);
            let own = may_use.contains_key(used.as_str());
            // tests of the sample compare digests, those of statistics count the sample's reports; elsewhere development
            // dependencies keep to the table too
            let pair = (name.as_str(), used.as_str());
            let tolerated = dependency["kind"] == "dev"
                && [("kho-sample", "kho-proto"), ("kho-node", "kho-sample")].contains(&pair);
            if own && !tolerated && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{name} uses {used}"));
            }
        }
    }
    wrong
}

/// Rust sources below `top`, with paths relative to it.
fn sources(top: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                let relative = path.strip_prefix(top).expect("below the top").to_string_lossy().into_owned();
                found.push((relative, fs::read_to_string(&path).expect("UTF-8")));
            }
        }
    }
    found.sort();
    found
}

/// Whether `word` stands in `line` outside a comment, as a word of its own.
fn uses(line: &str, word: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices(word).any(|(place, _)| {
        let before = code[..place].chars().next_back();
        let after = code[place + word.len()..].chars().next();
        let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !part(before) && (word.ends_with(':') || !part(after))
    })
}

fn breaches(top: &Path) -> Vec<String> {
    let mut breaches = Vec::new();
    for (path, text) in sources(top) {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            breaches.push(format!("{path}: {lines} lines"));
        }
        for rule in RULES.iter().filter(|rule| path.starts_with(rule.under)) {
            // this file spells the words out
            if rule.except.iter().any(|place| path.starts_with(place)) || path == "chaos-tests/tests/dependencies.rs" {
                continue;
            }
            let place = text.lines().position(|line| uses(line, rule.word));
            breaches.extend(place.map(|n| format!("{path}:{}: {}: {}", n + 1, rule.word, rule.why)));
        }
    }
    breaches
}

#[test]
fn crates_point_one_way() {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata = serde_json::from_str(&metadata).expect("cargo metadata is JSON");
    assert_eq!(wrong_arrows(&metadata), Vec::<String>::new());
}

#[test]
fn the_ledger_pulls_in_no_runtime_network_or_database() {
    let tree = cargo(&["tree", "-p", "kho-ledger", "-e", "normal", "--prefix", "none", "--format", "{p}"]);
    let crates: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains("kho-proto"), "the tree was read: {tree}");
    let seen: Vec<_> = NOT_BELOW_THE_LEDGER.iter().filter(|name| crates.contains(**name)).collect();
    assert!(seen.is_empty(), "kho-ledger pulls in {seen:?}");
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let folders = ["proto", "ledger", "catalogue", "node", "client", "sample", "cli", "chaos-tests", "benches", "fuzz"];
    for folder in folders.into_iter().chain(["benches/log-engines"]) {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{folder}");
    }
}

#[test]
fn sources_keep_to_the_rules() {
    assert_eq!(breaches(&root()), Vec::<String>::new());
}

#[test]
fn a_planted_breach_of_each_rule_is_found() {
    for rule in RULES {
        let top = tempfile::tempdir().expect("a temporary folder");
        let folder = top.path().join(if rule.under.is_empty() { "client/src/" } else { rule.under });
        fs::create_dir_all(&folder).expect("a folder");
        let plant = |text: &str| fs::write(folder.join("planted.rs"), text).expect("written");
        plant(&format!("fn f() {{ let _ = {}x; }}\n", rule.word.trim_end_matches(':').to_owned() + "::"));
        assert_eq!(breaches(top.path()).len(), 1, "{} under {}", rule.word, rule.under);
        plant(&format!("// {} in a comment\n", rule.word));
        assert_eq!(breaches(top.path()), Vec::<String>::new());
    }
    let top = tempfile::tempdir().expect("a temporary folder");
    fs::write(top.path().join("long.rs"), "\n".repeat(FILE_LINES_MAX + 1)).expect("written");
    assert_eq!(breaches(top.path()).len(), 1);
}

#[test]
fn a_planted_arrow_that_turns_round_is_found() {
    let metadata = serde_json::json!({"packages": [
        {"name": "kho-ledger", "dependencies": [{"name": "kho-node", "kind": null}, {"name": "bytes", "kind": null}]},
        {"name": "kho-new", "dependencies": []},
    ]});
    assert_eq!(
        wrong_arrows(&metadata),
        ["kho-ledger uses kho-node", "kho-new is not in the table: say what it may use"]
    );
}
