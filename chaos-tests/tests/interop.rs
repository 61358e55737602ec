//! Others' tools judge what the store hands out: Go's checksum-database packages verify checkpoint, inclusion and
//! consistency, tlog-scales walks the public log, `openssl` verifies each algorithm's sender signature. All through the binary that
//! users run. R-C1, I4, I5.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use kho::dev::Plane;
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::skip;
use kho_sample::{Generator, Report};

/// Leaves that the public log gets besides: more than a tile, so that full and partial ones of two levels are walked.
const WALKED: usize = 300;
/// Of these at once.
const AT_ONCE: usize = 16;
/// A bit is flipped in every such byte of a receipt: a prime, so that all kinds of lines are met.
const FLIP_STEP: usize = 13;

fn interop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// Runs to the end; its output, whatever its verdict.
fn run(command: &mut Command) -> Result<(bool, String)> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

fn must(command: &mut Command) -> Result<String> {
    let (success, text) = run(command)?;
    ensure!(success, "{command:?}: {text}");
    Ok(text)
}

/// Debian's packages lie below /usr/share/gocode; nothing is fetched.
fn go() -> Command {
    let mut go = Command::new("go");
    go.envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", "")]);
    go.current_dir(interop().join("verify"));
    go
}

/// A report of a unit of each signing algorithm.
fn reports(rig: &Rig) -> Result<BTreeMap<String, Report>> {
    use kho_client::Signer;
    let mut generator = Generator::new(11);
    let mut by_algorithm = BTreeMap::new();
    for _ in 0..1_000 {
        let report = generator.next();
        let algorithm = rig.cluster.signer(&report.unit.parse()?)?.algorithm().to_string();
        by_algorithm.entry(algorithm).or_insert(report);
    }
    ensure!(by_algorithm.len() == 4, "expected units with four algorithms, found {:?}", by_algorithm.keys());
    Ok(by_algorithm)
}

/// Flips one bit of `from` at `place` into `to`.
fn flip(from: &Path, to: &Path, place: usize) -> Result<()> {
    let mut bytes = fs::read(from)?;
    bytes[place] ^= 1;
    Ok(fs::write(to, bytes)?)
}

/// Whether Go and its checksum database's packages are here.
fn have_go(test: &str) -> bool {
    if !skip::can_run(test, false, &["go", "openssl", "curl"]) {
        return false;
    }
    let there = Path::new("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog").is_dir();
    if !there {
        skip::skip(test, "needs golang-golang-x-mod-dev");
    }
    there
}

/// Tests and builds the Go program.
fn verifier(rig: &Rig) -> Result<PathBuf> {
    let verify = rig.path().join("verify");
    must(go().env("GOCACHE", rig.path().join("gocache")).arg("test"))?;
    must(go().env("GOCACHE", rig.path().join("gocache")).arg("build").arg("-o").arg(&verify))?;
    Ok(verify)
}

#[test]
fn go_and_openssl_verify_what_the_store_hands_out() -> Result<()> {
    if !have_go("interop") {
        return Ok(());
    }
    let mut rig = Rig::create("interop", 11, toml::Table::new())?;
    let verify = verifier(&rig)?;

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(rig.launch())?;
    let key = rig.cluster.verifier_key()?.to_string();
    for (algorithm, report) in reports(&rig)? {
        let id = runtime.block_on(submit(&rig, report))?;
        let out = rig.path().join(&algorithm);
        fs::create_dir_all(&out)?;
        let config = rig.cluster.layout().client_file();
        let mut kho = Command::new(rig.cluster.executable());
        must(kho.arg("get").arg(&id).arg("--config").arg(config).arg("--out").arg(&out).arg("--export").arg(&out))?;
        receipt(&verify, &key, &out.join(format!("{id}.tlog-proof")))?;
        sender(&rig, &algorithm, &out)?;
        println!("{algorithm}: verified by go and openssl, changes rejected");
    }
    runtime.block_on(rig.finish())
}

/// The binary that the cluster runs.
async fn submit(rig: &Rig, report: Report) -> Result<String> {
    let client = rig.cluster.client()?;
    let signer = rig.cluster.signer(&report.unit.parse()?)?;
    let record = kho_chaos_tests::rig::draft(report)?.sign(&signer, client.surroundings()).await?;
    Ok(client.submit(&record).await?.record_id.to_string())
}

/// Go takes the receipt, and no receipt with a bit flipped anywhere.
fn receipt(verify: &Path, key: &str, proof: &Path) -> Result<()> {
    must(Command::new(verify).arg(key).arg(proof))?;
    let changed = proof.with_extension("changed");
    let length = fs::read(proof)?.len();
    // sumdb/note decodes signatures leniently: in the last character of a checkpoint's ("?=" and a newline) two bits mean nothing
    let lenient = length - "?=\n".len();
    for place in (0..length).step_by(FLIP_STEP).filter(|place| *place != lenient) {
        flip(proof, &changed, place)?;
        let (accepted, text) = run(Command::new(verify).arg(key).arg(&changed))?;
        ensure!(!accepted && text.contains("REJECTED"), "go accepts a receipt with byte {place} changed: {text}");
    }
    Ok(())
}

/// openssl takes the signature, and neither another text nor another signature.
fn sender(rig: &Rig, algorithm: &str, out: &Path) -> Result<()> {
    let trust = rig.cluster.layout().trust(Plane::Signers);
    let check =
        |directory: &Path| run(Command::new(interop().join("check-sender")).arg(algorithm).arg(directory).arg(&trust));
    let (accepted, text) = check(out)?;
    ensure!(accepted, "openssl: {text}");
    for file in ["signed.bin", "signature.bin", "payload"] {
        let copy = out.join("changed");
        must(
            Command::new("sh")
                .arg("-c")
                .arg("rm -rf changed && mkdir changed && cp *.bin *.pem payload changed")
                .current_dir(out),
        )?;
        let place = fs::read(out.join(file))?.len() - 1;
        flip(&out.join(file), &copy.join(file), place)?;
        ensure!(!check(&copy)?.0, "openssl accepts the sender with {file} changed");
    }
    Ok(())
}

/// Python with tlog-scales, as scripts/setup installs it beside the build; none: its part is skipped.
fn tlog_scales(rig: &Rig) -> Option<PathBuf> {
    let build = rig.cluster.executable().ancestors().nth(2)?;
    let python = build.join("interop-venv/bin/python");
    if !python.is_file() {
        skip::skip("tlog-scales", "needs scripts/setup interop, which takes it from PyPI");
        return None;
    }
    Some(python)
}

/// The steps "by hand" of the monitor's guide, as one script.
fn steps_by_hand() -> Result<String> {
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitor.md"))?;
    let part = guide.split("\n## ").find(|part| part.starts_with("By hand")).context("docs/monitor.md, By hand")?;
    // every second part stands between fences
    let steps: Vec<&str> = part.split("```\n").skip(1).step_by(2).collect();
    ensure!(steps.len() == 3 && steps[0].starts_with("U="), "three blocks of steps, found {}", steps.len());
    Ok(steps.concat())
}

/// What the guide tells people to type works, and says what the guide says it does.
fn by_hand(directory: &Path, url: &str, key: &str, trust: &Path) -> Result<()> {
    let directory = directory.join("by-hand");
    fs::create_dir_all(&directory)?;
    fs::copy(trust, directory.join("log-ca.pem"))?;
    fs::write(directory.join("log.vkey"), key)?;
    let steps = steps_by_hand()?.replacen("U=https://kho1:7110", &format!("U={url}"), 1);
    let said = must(Command::new("bash").args(["-euo", "pipefail", "-c", &steps]).current_dir(&directory))?;
    let lines: Vec<&str> = said.lines().collect();
    ensure!(lines.contains(&"Signature Verified Successfully"), "{said}");
    let hashes: Vec<_> = lines.iter().filter(|line| line.len() == 64).collect();
    ensure!(hashes.len() == 2 && hashes[0] == hashes[1], "the leaf's hash, twice: {said}");
    ensure!(lines.contains(&"cache-control: public, max-age=31536000, immutable"), "{said}");
    ensure!(lines.last() == Some(&"304"), "{said}");
    Ok(())
}

async fn fill(rig: &Rig, count: usize) -> Result<()> {
    use futures::stream::{self, StreamExt, TryStreamExt};
    let client = rig.cluster.client()?;
    let client = &client;
    let submitted = (0..count).map(|_| async move {
        let record = rig.senders.next(client).await?;
        anyhow::Ok(client.submit(&record).await?.record_id)
    });
    stream::iter(submitted).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
    Ok(())
}

#[test]
fn others_walk_the_public_log_of_each_node() -> Result<()> {
    if !have_go("interop") {
        return Ok(());
    }
    let mut rig = Rig::create("walk", 12, toml::Table::new())?;
    let verify = verifier(&rig)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let leader = runtime.block_on(rig.launch())?;
    let key = rig.cluster.verifier_key()?.to_string();
    let trust = rig.cluster.layout().trust(Plane::Log);
    let url = |node| rig.cluster.log_url(node)?.context("development clusters publish their log");
    let urls = rig.cluster.nodes().map(|node| Ok((node, url(node)?))).collect::<Result<BTreeMap<_, _>>>()?;
    let (directory, executable) = (rig.path().to_owned(), rig.cluster.executable().to_owned());
    let older = directory.join("older.checkpoint");
    let kho = |command: &str, url: &str| {
        let mut kho = Command::new(&executable);
        kho.args(["log", command, "--key", &key, "--url", url, "--trust"]).arg(&trust).current_dir(&directory);
        kho
    };

    runtime.block_on(fill(&rig, 40))?;
    must(kho("checkpoint", &urls[&leader]).arg("--save").arg(&older))?;
    runtime.block_on(fill(&rig, WALKED))?;
    runtime.block_on(rig.cluster.wait_equal())?;
    let size = fs::read_to_string(&older)?.lines().nth(1).unwrap_or_default().to_owned();
    let python = tlog_scales(&rig);
    let forged = rig.path().join("forged.checkpoint");
    fs::write(&forged, fs::read_to_string(&older)?.replacen(&size, "7", 1))?;
    for (node, url) in &urls {
        let walked = must(Command::new(&verify).args(["walk", &key, url]).arg(&trust).arg(&older))?;
        ensure!(walked.contains(&format!("leaves extend {size}")), "go: {walked}");
        print!("node {node}: go {walked}");
        if let Some(python) = &python {
            let walk = |older: &Path| {
                let mut walk = Command::new(python);
                walk.arg(interop().join("walk_tiles.py"))
                    .args([&key, url])
                    .arg(older)
                    .env("REQUESTS_CA_BUNDLE", &trust);
                walk
            };
            let walked = must(&mut walk(&older))?;
            ensure!(walked.contains(&format!("leaves extend {size}")), "tlog-scales: {walked}");
            print!("node {node}: tlog-scales {walked}");
            let (accepted, text) = run(&mut walk(&forged))?;
            ensure!(!accepted && text.contains("REJECTED"), "tlog-scales accepts a forged checkpoint: {text}");
        }
        let (accepted, text) = run(Command::new(&verify).args(["walk", &key, url]).arg(&trust).arg(&forged))?;
        ensure!(!accepted && text.contains("REJECTED"), "go accepts a forged checkpoint: {text}");
        must(kho("verify", url).arg("--from").arg(&older))?;
        must(&mut kho("audit", url))?;
    }
    by_hand(&directory, &urls[&leader], &key, &trust)?;
    runtime.block_on(rig.finish())
}
