//! The OpenAPI document is valid, and a cluster keeps to it whatever is sent: schemathesis, with a fixed seed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use kho::dev::{Identity, Plane};
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::skip;

/// How long the attack goes on; set by `make test-openapi`.
const SECONDS: &str = "KHO_SECONDS";
/// Within `make test`.
const SECONDS_DEFAULT: u64 = 20;
/// Always the same requests, as far as time lets them come.
const SEED: &str = "20201126";
/// Records that are there to be read.
const RECORDS: usize = 12;
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

#[test]
fn a_cluster_keeps_to_its_description() -> Result<()> {
    let mut rig = Rig::create("openapi", 14, toml::Table::new())?;
    let Some(tools) = tools(&rig) else { return Ok(()) };
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let (valid, text) = run(Command::new(tools.join("openapi-spec-validator")).arg(&document))?;
    ensure!(valid, "openapi-spec-validator: {text}");

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let leader = runtime.block_on(rig.launch())?;
    let ids = runtime.block_on(async {
        let client = rig.cluster.client()?;
        let mut ids = Vec::new();
        for _ in 0..RECORDS {
            let record = rig.senders.next(&client).await?;
            ids.push(client.submit(&record).await?.record_id.to_string());
        }
        anyhow::Ok(ids)
    })?;
    // without real ids nothing would be found, and no record would be held against its schema
    let known: Vec<_> = ids.iter().map(|id| format!("{id:?}")).collect();
    fs::write(rig.path().join("schemathesis.toml"), format!("[parameters]\n\"path.id\" = [{}]\n", known.join(", ")))?;

    let files = rig.cluster.layout().identity(&Identity::Platform);
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS_DEFAULT);
    let begun = Instant::now();
    let mut attack = Command::new(tools.join("schemathesis"));
    attack.current_dir(rig.path()).arg("run").arg(document.canonicalize()?);
    attack.arg("--url").arg(format!("https://{}", rig.cluster.member(leader)?.client));
    attack.arg("--tls-verify").arg(rig.cluster.layout().trust(Plane::Client));
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
    runtime.block_on(rig.finish())
}
