//! The report as one HTML file: no script, nothing from elsewhere, for people with and without eyes.

mod chart;
mod details;

use std::fmt::Write;

use kho::page::{FOOT, Values, escape, head};

use self::details::{configuration, fault, leaders, log, method, read_back};
use super::report::Report;
use crate::exit::Result;

/// The page.
pub fn render(report: &Report) -> Result<String> {
    let values = Values(serde_json::to_value(report)?);
    let title = format!("Kho failover drill: {}", values.text("/drill"));
    let mut page = head(&title, "");
    let parts =
        [opening, figures, requirements, charts, fault, read_back, log, leaders, configuration, method, time_line];
    for part in parts {
        page.push_str(&part(report, &values));
        page.push('\n');
    }
    page.push_str(FOOT);
    Ok(page)
}

fn opening(report: &Report, v: &Values) -> String {
    let (class, word) = if report.passed { ("pass", "Passed") } else { ("fail", "Not passed") };
    let problems: Vec<String> = report.cluster.problems_before.iter().map(|problem| escape(problem)).collect();
    let forced = match problems.is_empty() {
        true => String::new(),
        false => format!("<p class=\"fail\">Forced on a cluster that was not healthy: {}.</p>", problems.join("; ")),
    };
    format!(
        "<p class=\"soft\">Cluster <code>{}</code>. <time>{}</time> to <time>{}</time>. Drill {}.</p>\
         <div class=\"verdict {class}\"><strong>{word}</strong><p>{}</p>{forced}</div>",
        v.text("/cluster/id"),
        v.text("/started_at"),
        v.text("/ended_at"),
        v.text("/drill_id"),
        v.text("/fault/proof"),
    )
}

fn figures(_: &Report, v: &Values) -> String {
    let m = "/measured";
    let rows = [
        ("longest time without an acknowledgement", v.ms(&format!("{m}/longest_gap_ms"))),
        ("the same before the fault", v.ms(&format!("{m}/longest_gap_before_ms"))),
        (
            "from the fault to the new leader's first acknowledgement",
            v.ms(&format!("{m}/first_acknowledged_by_new_leader_after_fault_ms")),
        ),
        ("from the fault until all nodes were back", v.ms(&format!("{m}/recovered_after_fault_ms"))),
        ("acknowledged records lost", v.number("/checks/lost")),
        ("records sent", v.number(&format!("{m}/submitted"))),
        ("acknowledged at once", v.number(&format!("{m}/acknowledged"))),
        ("failed", v.number(&format!("{m}/failed"))),
        ("outcome unknown at first", v.number(&format!("{m}/unknown"))),
        ("of these settled", v.number(&format!("{m}/settled"))),
        ("of these still unknown", v.number(&format!("{m}/unsettled"))),
        ("left out while senders waited", v.number(&format!("{m}/missed"))),
    ];
    let latency = |of: &str, name: &str| {
        let cell = |part: &str| format!("<td class=\"n\">{}</td>", v.ms(&format!("{m}/{of}/{part}")));
        format!("<tr><th scope=\"row\">{name}</th>{}{}{}</tr>", cell("p50_ms"), cell("p99_ms"), cell("max_ms"))
    };
    let figures: String =
        rows.iter().map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>")).collect();
    format!(
        "<h2>What senders noticed</h2><dl class=\"figures\">{figures}</dl>\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Latency\"><table><thead><tr><th scope=\"col\">latency</th>\
         <th scope=\"col\" class=\"n\">median</th><th scope=\"col\" class=\"n\">99 %</th><th scope=\"col\" class=\"n\">slowest</th></tr></thead>\
         <tbody>{}{}</tbody></table></div>",
        latency("latency_before", "before the fault"),
        latency("latency_after", "from the fault on"),
    )
}

fn requirements(report: &Report, v: &Values) -> String {
    let mut rows = String::new();
    for (place, requirement) in report.requirements.iter().enumerate() {
        let at = format!("/requirements/{place}");
        let class = v.text(&format!("{at}/verdict"));
        let word = match class.as_str() {
            "pass" => "&#10003; met",
            "fail" => "&#10007; not met",
            _ => "&ndash; not shown",
        };
        let mut conditions = String::new();
        for (place, condition) in requirement.conditions.iter().enumerate() {
            let at = format!("{at}/conditions/{place}");
            let bound = v.text(&format!("{at}/bound")).replace('-', " ");
            let (holds, class) = if condition.holds { ("&#10003;", "pass") } else { ("&#10007; broken:", "fail") };
            let _ = write!(
                conditions,
                "<li><span class=\"{class}\">{holds}</span> {}: {}, {bound} {}</li>",
                v.text(&format!("{at}/what")),
                v.with(&format!("{at}/measured"), &condition.unit),
                v.limit(&format!("{at}/threshold"), &condition.unit),
            );
        }
        let why = v.text(&format!("{at}/why"));
        let conditions = if conditions.is_empty() { String::new() } else { format!("<ul>{conditions}</ul>") };
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"badge {class}\">{word}</td><td>{why}{conditions}</td></tr>",
            v.text(&format!("{at}/id")),
            v.text(&format!("{at}/text")),
        );
    }
    format!(
        "<h2>Requirements</h2><table class=\"stack\"><thead><tr><th scope=\"col\">id</th><th scope=\"col\">requirement</th>\
         <th scope=\"col\">verdict</th><th scope=\"col\">shown by</th></tr></thead><tbody>{rows}</tbody></table>"
    )
}

fn charts(report: &Report, v: &Values) -> String {
    let scroll = |name: &str, svg: String| {
        format!("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{name}\">{svg}</div>")
    };
    let key = |class: &str, name: &str| {
        format!(
            "<span class=\"key\"><svg viewBox=\"0 0 32 12\" aria-hidden=\"true\"><path class=\"line {class}\" d=\"M1 6H31\"/></svg>{name}</span>"
        )
    };
    let piece = v.number("/timeline/bucket_ms");
    format!(
        "<h2>Over time</h2><figure><figcaption>Acknowledgements in each {piece}&nbsp;ms. Shaded: the longest time without one, from {} to {}. \
         Red: failed or unknown.</figcaption>{}</figure>\
         <figure><figcaption>Latency in each piece, logarithmic: {}{}{}</figcaption>{}</figure>",
        v.ms("/measured/gap_begun_ms"),
        v.ms("/measured/gap_ended_ms"),
        scroll("Chart of acknowledgements", chart::throughput(report)),
        key("p50", "median"),
        key("p99", "99 %"),
        key("max", "slowest"),
        scroll("Chart of latency", chart::latency(report)),
    )
}

fn time_line(report: &Report, v: &Values) -> String {
    let mut rows = String::new();
    for place in 0..report.timeline.buckets.len() {
        let at = format!("/timeline/buckets/{place}");
        let count = |part: &str| format!("<td class=\"n\">{}</td>", v.number(&format!("{at}/{part}")));
        let latency = |part: &str| {
            let pointer = format!("{at}/latency/{part}");
            let shown = if v.at(&pointer).is_null() { "&ndash;".to_owned() } else { v.ms(&pointer) };
            format!("<td class=\"n\">{shown}</td>")
        };
        let _ = write!(
            rows,
            "<tr>{}{}{}{}{}{}{}</tr>",
            count("at_ms"),
            count("acknowledged"),
            count("failed"),
            count("unknown"),
            latency("p50_ms"),
            latency("p99_ms"),
            latency("max_ms"),
        );
    }
    let heads: String = ["from, ms", "acknowledged", "failed", "unknown", "median", "99 %", "slowest"]
        .iter()
        .map(|name| format!("<th scope=\"col\" class=\"n\">{name}</th>"))
        .collect();
    format!(
        "<h2>Time line</h2><details><summary>All values of the charts</summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" \
         aria-label=\"Time line\"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )
}
