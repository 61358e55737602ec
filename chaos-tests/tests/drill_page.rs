//! The drill's report in a browser: every number of the JSON is in the rendered page, as text that says the same, and the
//! page needs nothing from elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use kho::dev::DevCluster;
use kho_chaos_tests::page::{ACTIVE, BROWSER, browse, shown};
use kho_chaos_tests::skip;
use serde_json::Value;

fn numbers(value: &Value, at: &str, found: &mut BTreeMap<String, f64>) {
    match value {
        Value::Number(number) => drop(found.insert(at.to_owned(), number.as_f64().unwrap_or(f64::NAN))),
        Value::Array(all) => all.iter().enumerate().for_each(|(n, one)| numbers(one, &format!("{at}/{n}"), found)),
        Value::Object(all) => all.iter().for_each(|(name, one)| numbers(one, &format!("{at}/{name}"), found)),
        _ => {}
    }
}

/// Numbers of the report that the page does not show, or shows otherwise.
fn missing(report: &Value, dom: &str) -> Vec<String> {
    let (mut expected, shown) = (BTreeMap::new(), shown(dom));
    numbers(report, "", &mut expected);
    assert!(expected.len() > 100, "the report has numbers");
    let differs = |(at, number): (&String, &f64)| {
        let Some((value, text)) = shown.get(at) else { return Some(format!("{at} is not shown")) };
        let read = |text: &str| text.replace(',', "").parse::<f64>().unwrap_or(f64::NAN);
        (read(value) != *number || read(text) != *number)
            .then(|| format!("{at}: {number} is shown as {text} ({value})"))
    };
    expected.iter().filter_map(differs).collect()
}

fn drill(cluster: &DevCluster, out: &Path) -> Result<(PathBuf, PathBuf)> {
    let output = Command::new(cluster.executable())
        .args(["drill", "leader-transfer", "--before", "1", "--after", "1", "--config"])
        .arg(cluster.layout().drill_file())
        .arg("--out")
        .arg(out)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8(output.stdout)?;
    let file = |extension: &str| out.lines().find(|line| line.ends_with(extension)).map(PathBuf::from);
    Ok((file(".json").context("a JSON report")?, file(".html").context("an HTML report")?))
}

#[test]
fn every_number_of_a_report_is_in_its_page() -> Result<()> {
    if !skip::can_run("every_number_of_a_report_is_in_its_page", false, &[BROWSER, "timeout"]) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (json, html) = runtime.block_on(async {
        let mut cluster = DevCluster::create(&dir.path().join("cluster"), 3)?;
        cluster.launch().await?;
        let reports = drill(&cluster, &dir.path().join("reports"))?;
        cluster.terminate_all().await?;
        Ok::<_, anyhow::Error>(reports)
    })?;
    let report: Value = serde_json::from_slice(&std::fs::read(json)?)?;
    let source = std::fs::read_to_string(&html)?.to_lowercase();
    for word in ACTIVE {
        ensure!(!source.contains(word), "the page has {word}");
    }
    let profile = dir.path().join("profile");
    let dom = browse(&["--dump-dom"], &html, &profile)?;
    assert_eq!(missing(&report, &dom), Vec::<String>::new());
    // both charts say in words what they are
    assert_eq!(dom.matches("role=\"img\"").count(), 2);
    assert!(dom.contains("<title id=\"throughput-t\">") && dom.contains("<desc id=\"latency-d\">"));

    // the check sees a number that is wrong, and one that is not there
    let mut wrong = report.clone();
    wrong["measured"]["longest_gap_ms"] = Value::from(123_456.7);
    wrong["timeline"]["buckets"][0]["new"] = Value::from(1);
    let found = missing(&wrong, &dom);
    assert_eq!(found.len(), 2, "{found:?}");

    // it is drawn, in both schemes and widths
    for (name, size, scheme) in [("wide", "1200,2600", &[][..]), ("narrow", "400,4000", &["--force-dark-mode"])] {
        let picture = dir.path().join(format!("{name}.png"));
        let picture_argument = format!("--screenshot={}", picture.display());
        let size = format!("--window-size={size}");
        let arguments: Vec<&str> =
            [size.as_str(), &picture_argument].into_iter().chain(scheme.iter().copied()).collect();
        browse(&arguments, &html, &profile)?;
        ensure!(std::fs::metadata(&picture)?.len() > 20_000, "{name}: an empty picture");
    }
    Ok(())
}
