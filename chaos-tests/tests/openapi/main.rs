//! The OpenAPI document is valid, and a cluster keeps to it, whether a platform asks or schemathesis, with a fixed seed. It has a
//! catalogue, so that statistics are counted and figures are judged.

mod answers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use kho::dev::{Identity, NodeId, Options, Plane};
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::skip;
use serde_json::json;

use answers::{Records, scene};

/// How long the attack goes on; set by `make test-openapi`.
const SECONDS: &str = "KHO_SECONDS";
/// Within `make test`.
const SECONDS_DEFAULT: u64 = 20;
/// Always the same requests, as far as time lets them come.
const SEED: &str = "20201126";
/// Records that are there to be read.
const RECORDS: usize = 12;
/// What requests are made of for the most part; a list for a parameter itself would be sent as a list. Any two of these periods
/// are a range.
const SETTINGS: &str = r#"
[dictionaries.begins]
values = ["2016", "2020-01", "2020-W24", "2020-06-12"]
[dictionaries.ends]
values = ["2020-12", "2020-W52", "2020-12-31", "2021"]
[parameters]
"path.id" = { dictionary = "ids", probability = 0.8 }
[[operations]]
include-path = "/v1/stats"
[operations.parameters]
"query.period_from" = { dictionary = "begins", probability = 0.8 }
"query.period_to" = { dictionary = "ends", probability = 0.8 }
"#;
/// Operations that a request drawn at random is hardly ever good for.
const RARELY_GOOD: [&str; 4] = ["statistics", "getRecord", "getReceipt", "historyOfRecord"];
/// Good answers of each, at least: those of this test's own calls, and some more. Refusals alone would say little.
const GOOD_MIN: u64 = 10;
/// No 5xx, and no status, media type or body that is not described.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance";

/// The tools as scripts/setup installs them beside the build; none: the test is skipped.
fn tools(rig: &Rig) -> Option<PathBuf> {
    let build = rig.cluster.executable().ancestors().nth(2)?;
    let tools = build.join("openapi-venv/bin");
    if !tools.join("schemathesis").is_file() {
        skip::skip("openapi", "needs scripts/setup openapi, which takes schemathesis from PyPI");
        return None;
    }
    Some(tools)
}

fn run(command: &mut Command) -> Result<(bool, String)> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// How often a node has answered well to each of [`RARELY_GOOD`], as its metrics have it.
fn good(rig: &Rig, tools: &Path, node: NodeId) -> Result<[u64; 4]> {
    let operator = rig.cluster.layout().identity(&Identity::Operator);
    let get = "import requests, sys; url, trust, *cert = sys.argv[1:]; print(requests.get(url, verify=trust, cert=tuple(cert)).text)";
    let mut python = Command::new(tools.join("python"));
    python.args(["-c", get]).arg(format!("https://{}/metrics", rig.cluster.member(node)?.admin));
    python.arg(rig.cluster.layout().trust(Plane::Admin)).arg(operator.certificate).arg(operator.key);
    let (answered, text) = run(&mut python)?;
    ensure!(answered, "metrics: {text}");
    Ok(RARELY_GOOD.map(|operation| {
        let metric = format!("kho_http_requests_total{{operation=\"{operation}\",status=\"200\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&metric)?.parse().ok()).unwrap_or(0)
    }))
}

#[test]
fn a_cluster_keeps_to_its_description() -> Result<()> {
    let mut rig = Rig::create_with("openapi", 14, &Options::default().with_catalogue())?;
    let Some(tools) = tools(&rig) else { return Ok(()) };
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json").canonicalize()?;
    let (valid, text) = run(Command::new(tools.join("openapi-spec-validator")).arg(&document))?;
    ensure!(valid, "openapi-spec-validator: {text}");

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let leader = runtime.block_on(rig.launch())?;
    let (records, ids) = runtime.block_on(async {
        let client = rig.cluster.client()?;
        let records = Records::fill(&rig, &client).await?;
        let mut ids = records.ids();
        for _ in 0..RECORDS {
            let record = rig.senders.next(&client).await?;
            ids.push(client.submit(&record).await?.record_id);
        }
        anyhow::Ok((records, ids))
    })?;
    let files = rig.cluster.layout().identity(&Identity::Platform);
    let (url, trust) =
        (format!("https://{}", rig.cluster.member(leader)?.client), rig.cluster.layout().trust(Plane::Client));
    let node = json!({
        "document": document, "url": url, "trust": trust, "certificate": files.certificate, "key": files.key,
    });
    let asked = rig.path().join("scene.json");
    fs::write(&asked, serde_json::to_vec(&scene(node, records.calls()))?)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/answers.py");
    let (described, text) = run(Command::new(tools.join("python")).arg("-B").arg(script).arg(&asked))?;
    ensure!(described, "answers: {text}");
    print!("{text}");

    // without real ids nothing would be found, and no record would be held against its schema; of periods drawn at random most
    // end before they begin
    let known: Vec<_> = ids.iter().map(|id| format!("{:?}", id.to_string())).collect();
    let settings = format!("[dictionaries.ids]\nvalues = [{}]\n{SETTINGS}", known.join(", "));
    fs::write(rig.path().join("schemathesis.toml"), settings)?;

    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS_DEFAULT);
    let begun = Instant::now();
    let mut attack = Command::new(tools.join("schemathesis"));
    attack.current_dir(rig.path()).arg("run").arg(&document);
    attack.arg("--url").arg(url).arg("--tls-verify").arg(trust);
    attack.arg("--request-cert").arg(&files.certificate).arg("--request-cert-key").arg(&files.key);
    attack.args(["--checks", CHECKS, "--seed", SEED, "--generation-database", "none", "--no-color"]);
    attack.args(["--phases", "examples,coverage,fuzzing", "--warnings", "off", "--continue-on-failure"]);
    attack.args(["--suppress-health-check", "all"]);
    attack.args(["--max-time", &seconds.to_string(), "--request-timeout", "20"]);
    let (kept, text) = run(&mut attack)?;
    fs::write(rig.path().join("schemathesis.txt"), &text)?;
    let summary = text.rfind("SUMMARY").map_or(text.as_str(), |place| &text[place..]);
    println!("{} s of schemathesis:\n{summary}", begun.elapsed().as_secs());
    ensure!(kept, "schemathesis: {text}");
    // it has asked for something, and nothing of it is in the log
    ensure!(text.contains("generated"), "schemathesis has sent nothing: {text}");
    let good = good(&rig, &tools, leader)?;
    println!("good answers of {RARELY_GOOD:?}: {good:?}");
    ensure!(good.iter().all(|count| *count > GOOD_MIN), "expected more than {GOOD_MIN} each, found {good:?}");
    runtime.block_on(rig.finish())
}
