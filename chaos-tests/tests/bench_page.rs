//! The report of `kho bench` in a browser: every figure of the JSON's summaries is in the rendered page, and the page needs
//! nothing from elsewhere.

use std::process::Command;

use anyhow::{Result, ensure};
use kho::dev::DevCluster;
use kho_chaos_tests::page::{ACTIVE, BROWSER, browse, shown};
use kho_chaos_tests::skip;
use serde_json::Value;

/// Figures of the summaries, with their places.
fn figures(report: &Value) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    for (place, series) in report["series"].as_array().into_iter().flatten().enumerate() {
        for (name, value) in series["summary"].as_object().into_iter().flatten() {
            let at = format!("/series/{place}/summary/{name}");
            match value {
                Value::Number(number) => found.push((at, number.as_f64().unwrap_or(f64::NAN))),
                Value::Object(spread) => {
                    found.extend(
                        spread.iter().map(|(part, value)| (format!("{at}/{part}"), value.as_f64().unwrap_or(f64::NAN))),
                    );
                }
                _ => {}
            }
        }
    }
    found
}

/// Figures that the page does not show, or shows otherwise: the mark holds the value, the text the value rounded.
fn missing(report: &Value, dom: &str) -> Vec<String> {
    let shown = shown(dom);
    let expected = figures(report);
    assert!(expected.len() >= 40, "the report has figures: {}", expected.len());
    let differs = |(at, number): (String, f64)| {
        let Some((value, text)) = shown.get(&at) else { return Some(format!("{at} is not shown")) };
        let read = |text: &str| text.replace(',', "").parse::<f64>().unwrap_or(f64::NAN);
        let rounded = (read(text) - number).abs() <= 0.5;
        (read(value) != number || !rounded).then(|| format!("{at}: {number} is shown as {text} ({value})"))
    };
    expected.into_iter().filter_map(differs).collect()
}

#[test]
fn every_figure_of_a_report_is_in_its_page() -> Result<()> {
    if !skip::can_run("every_figure_of_a_report_is_in_its_page", false, &[BROWSER, "timeout"]) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let (json, html) = (dir.path().join("bench.json"), dir.path().join("bench.html"));
    let executable = DevCluster::create(&dir.path().join("none"), 1)?.executable().to_owned();
    let output = Command::new(executable)
        .args([
            "bench",
            "--op",
            "single,stream",
            "--connections",
            "4",
            "--duration",
            "1",
            "--warm-up",
            "0.2",
            "--rounds",
            "2",
        ])
        .args(["--syncs", "10", "--ramp", "50:50:100"])
        .arg("--local")
        .arg(dir.path().join("cluster"))
        .arg("--json")
        .arg(&json)
        .arg("--html")
        .arg(&html)
        .env_remove("KHO_CONFIG")
        .output()?;
    let err = String::from_utf8_lossy(&output.stderr);
    // a disk may stand still for a whole round: then the command fails, with a report of just that
    ensure!(output.status.success() || err.contains("no record was acknowledged or read"), "{err}");
    let report: Value = serde_json::from_slice(&std::fs::read(json)?)?;
    let source = std::fs::read_to_string(&html)?.to_lowercase();
    for word in ACTIVE {
        ensure!(!source.contains(word), "the page has {word}");
    }
    let profile = dir.path().join("profile");
    let dom = browse(&["--dump-dom"], &html, &profile)?;
    assert_eq!(missing(&report, &dom), Vec::<String>::new());
    // rates, CPU, latencies, time: each says in words what it is
    assert_eq!(dom.matches("role=\"img\"").count(), 4);
    assert_eq!(dom.matches("<desc id=").count(), 4);
    // browsers leave out a path that they cannot read; none has
    assert!(!dom.contains("NaN"));

    // the check sees a figure that is wrong, and one that is not there
    let mut wrong = report.clone();
    wrong["series"][0]["summary"]["p99_ms"]["median"] = Value::from(123_456.7);
    wrong["series"][0]["summary"]["new"] = Value::from(1);
    let found = missing(&wrong, &dom);
    assert_eq!(found.len(), 2, "{found:?}");

    // it is drawn, in both schemes and widths
    for (name, size, scheme) in [("wide", "1200,3000", &[][..]), ("narrow", "400,4000", &["--force-dark-mode"])] {
        let picture = dir.path().join(format!("{name}.png"));
        let (picture_argument, size) = (format!("--screenshot={}", picture.display()), format!("--window-size={size}"));
        let arguments: Vec<&str> =
            [size.as_str(), &picture_argument].into_iter().chain(scheme.iter().copied()).collect();
        browse(&arguments, &html, &profile)?;
        ensure!(std::fs::metadata(&picture)?.len() > 20_000, "{name}: an empty picture");
    }
    Ok(())
}
