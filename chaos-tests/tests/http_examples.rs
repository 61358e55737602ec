//! The examples for teams without gRPC work as they stand: each submits a signed report over HTTP, with each kind of key, and
//! those that verify receipts refuse one of another log.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use kho::dev::{Identity, Plane};
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::skip;
use kho_client::Signer;
use kho_sample::Generator;

/// Beyond what a byte can say as a length.
const TEXT: &str = "tỉnh,số ca mắc\nHà Giang,12\n";

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/http")
}

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

/// What every example is given.
struct Scene {
    rig: Rig,
    url: String,
    key: String,
    /// A unit for each algorithm.
    units: BTreeMap<String, String>,
}

impl Scene {
    fn new(runtime: &tokio::runtime::Runtime, name: &str, seed: u64) -> Result<Self> {
        let mut rig = Rig::create(name, seed, toml::Table::new())?;
        let leader = runtime.block_on(rig.launch())?;
        let (mut generator, mut units) = (Generator::new(seed), BTreeMap::new());
        for _ in 0..1_000 {
            let unit = generator.next().unit;
            let algorithm = rig.cluster.signer(&unit.parse()?)?.algorithm().to_string();
            units.entry(algorithm).or_insert(unit);
        }
        ensure!(units.len() == 4, "expected units with four algorithms, found {:?}", units.keys());
        let url = format!("https://{}", rig.cluster.member(leader)?.client);
        let key = rig.cluster.verifier_key()?.to_string();
        Ok(Self { rig, url, key, units })
    }

    fn trust(&self) -> PathBuf {
        self.rig.cluster.layout().trust(Plane::Client)
    }

    /// Certificate and key of the connection.
    fn connection(&self) -> (PathBuf, PathBuf) {
        let files = self.rig.cluster.layout().identity(&Identity::Platform);
        (files.certificate, files.key)
    }

    /// Certificate and key of a unit. Ed25519 as openssl makes it: it does not read keys of PKCS #8 version 2.
    fn signer(&self, unit: &str, algorithm: &str) -> Result<(PathBuf, PathBuf)> {
        let layout = self.rig.cluster.layout();
        if algorithm != "ed25519" {
            return Ok(layout.signer(&unit.parse()?));
        }
        let authority = layout.trust(Plane::Signers);
        let make = "openssl genpkey -algorithm ed25519 -out own.key.pem
            printf 'subjectAltName=URI:urn:kho:unit:%s\nkeyUsage=digitalSignature\n' \"$1\" >own.ext
            openssl req -new -key own.key.pem -subj /CN=own -out own.csr
            openssl x509 -req -in own.csr -CA \"$2\" -CAkey \"$3\" -CAcreateserial -CAserial own.srl -days 2 -extfile own.ext -out own.pem";
        let mut shell = Command::new("sh");
        shell.args(["-ec", make, "sh", unit]).arg(&authority).arg(authority.with_extension("key.pem"));
        must(shell.current_dir(self.rig.path()))?;
        Ok((self.rig.path().join("own.pem"), self.rig.path().join("own.key.pem")))
    }

    /// The same log's name and key id with another key.
    fn other_key(&self) -> Result<String> {
        let make = "openssl genpkey -algorithm ed25519 | openssl pkey -pubout -outform DER | tail -c 32 >other
            { printf '\\001'; cat other; } | openssl base64 -A";
        let key = must(Command::new("sh").args(["-ec", make]).current_dir(self.rig.path()))?;
        let name: Vec<_> = self.key.splitn(3, '+').take(2).collect();
        Ok(format!("{}+{}", name.join("+"), key.trim()))
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

fn file(scene: &Scene, name: &str, text: &str) -> Result<PathBuf> {
    let path = scene.rig.path().join(name);
    fs::write(&path, text)?;
    Ok(path)
}

#[test]
fn python_submits_and_verifies() -> Result<()> {
    let runtime = runtime()?;
    let scene = Scene::new(&runtime, "python", 15)?;
    let python = scene.rig.cluster.executable().ancestors().nth(2).map(|build| build.join("openapi-venv/bin/python"));
    let Some(python) = python.filter(|python| python.is_file()) else {
        skip::skip("http_examples, python", "needs scripts/setup openapi, which takes cryptography from PyPI");
        return Ok(());
    };
    let (certificate, key) = scene.connection();
    for (n, (algorithm, unit)) in scene.units.iter().enumerate() {
        let content =
            if n % 2 == 0 { r#""figures":{"so_ca_mac":12,"ghi_chú":"đã kiểm tra"}"# } else { r#""text":"x""# };
        let report = format!(
            r#"{{"unit":"{unit}","regime":"YT-01","period":"2020-W24","series":"ví dụ {n}","receivers":["VPCP","TTCP"],{content}}}"#
        );
        let report = file(&scene, "report.json", &report)?;
        let (signer, signer_key) = scene.signer(unit, algorithm)?;
        let submit = |log_key: &str| {
            let mut python = Command::new(&python);
            python.arg("-B").arg(examples().join("python/submit.py")).args(["--url", &scene.url, "--log-key", log_key]);
            python.arg("--trust").arg(scene.trust()).arg("--cert").arg(&certificate).arg("--key").arg(&key);
            python.arg("--signer").arg(&signer).arg("--signer-key").arg(&signer_key).arg(&report);
            python
        };
        let said = must(&mut submit(&scene.key))?;
        ensure!(said.contains("accepted and verified"), "{said}");
        print!("{algorithm}: {said}");
        if n == 0 {
            let other = report_of(unit, "khác");
            fs::write(&report, other)?;
            let (accepted, text) = run(&mut submit(&scene.other_key()?))?;
            ensure!(!accepted && text.contains("REJECTED: InvalidSignature"), "another log's key: {text}");
        }
    }
    runtime.block_on(scene.rig.finish())
}

fn report_of(unit: &str, series: &str) -> String {
    format!(r#"{{"unit":"{unit}","regime":"YT-01","period":"2020-W24","series":"{series}","text":"x"}}"#)
}

#[test]
fn java_submits_and_verifies() -> Result<()> {
    if !skip::can_run("http_examples, java", false, &["java", "javac"]) {
        return Ok(());
    }
    let runtime = runtime()?;
    let scene = Scene::new(&runtime, "java", 16)?;
    let (certificate, key) = scene.connection();
    for (n, (algorithm, unit)) in scene.units.iter().enumerate() {
        let text = file(&scene, "report.csv", &TEXT.repeat(n * 10 + 1))?;
        let (signer, signer_key) = scene.signer(unit, algorithm)?;
        let submit = |log_key: &str, series: &str| {
            let mut java = Command::new("java");
            java.arg(examples().join("java/Submit.java"))
                .arg(&scene.url)
                .arg(scene.trust())
                .arg(&certificate)
                .arg(&key);
            java.arg(&signer).arg(&signer_key).args([log_key, unit, "YT-01", "2020-06", series]).arg(&text);
            java
        };
        let said = must(&mut submit(&scene.key, "ví dụ"))?;
        ensure!(said.contains("accepted and verified") && said.contains("HTTP_2"), "{said}");
        print!("{algorithm}: {said}");
        if n == 0 {
            let (accepted, text) = run(&mut submit(&scene.other_key()?, "khác"))?;
            ensure!(!accepted && text.contains("the checkpoint's signature is wrong"), "another log's key: {text}");
        }
    }
    runtime.block_on(scene.rig.finish())
}

#[test]
fn curl_and_openssl_submit() -> Result<()> {
    if !skip::can_run("http_examples, curl", false, &["bash", "curl", "openssl"]) {
        return Ok(());
    }
    let runtime = runtime()?;
    let scene = Scene::new(&runtime, "curl", 17)?;
    let (certificate, key) = scene.connection();
    for (n, (algorithm, unit)) in scene.units.iter().enumerate() {
        let figures = file(&scene, "figures.json", &format!(r#"{{"a":"{}","b":12}}"#, "x".repeat(n * 100)))?;
        let out = scene.rig.path().join(algorithm);
        fs::create_dir_all(&out)?;
        let (signer, signer_key) = scene.signer(unit, algorithm)?;
        let submit = |figures: &Path| {
            let mut curl = Command::new(examples().join("curl/submit.sh"));
            curl.args([unit, "YT-01", "2020-06"]).arg(figures).arg(format!("ví dụ {n}"));
            curl.env("URL", &scene.url).env("TRUST", scene.trust()).env("CERT", &certificate).env("KEY", &key);
            curl.env("SIGNER", &signer).env("SIGNER_KEY", &signer_key).env("ALGORITHM", algorithm).env("OUT", &out);
            curl
        };
        let said = must(&mut submit(&figures))?;
        let id = said.trim().rsplit(' ').next().context("an id")?;
        // the binary that users have takes what curl has saved
        let verified = must(
            Command::new(scene.rig.cluster.executable())
                .arg("verify")
                .arg(out.join(format!("{id}.tlog-proof")))
                .arg(out.join(format!("{id}.record")))
                .args(["--key", scene.key.as_str(), "--trust"])
                .arg(scene.rig.cluster.layout().trust(Plane::Signers)),
        )?;
        println!("{algorithm}: {} {}", said.trim(), verified.lines().next().unwrap_or_default());
        // not canonical: what the node prepares is not what was meant
        let loose = file(&scene, "loose.json", "{ \"b\": 12 }")?;
        let (signed, text) = run(&mut submit(&loose))?;
        ensure!(!signed && text.contains("nothing was signed"), "{text}");
    }
    runtime.block_on(scene.rig.finish())
}
