//! The report as one HTML file: no script, nothing from elsewhere, for people with and without eyes.

mod chart;
mod value;

use std::fmt::Write;

use self::value::{Values, escape};
use super::report::Report;
use crate::exit::Result;

const STYLE: &str = include_str!("style.css");

/// The page.
pub fn render(report: &Report) -> Result<String> {
    let values = Values(serde_json::to_value(report)?);
    let title = format!("Kho failover drill: {}", values.text("/drill"));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body><main>\n<h1>{title}</h1>\n"
    );
    let parts =
        [opening, figures, requirements, charts, fault, read_back, log, leaders, configuration, method, time_line];
    for part in parts {
        page.push_str(&part(report, &values));
        page.push('\n');
    }
    page.push_str("</main></body></html>\n");
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

fn list(rows: &[(&str, String)]) -> String {
    let rows: String = rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>")).collect();
    format!("<dl class=\"wide\">{rows}</dl>")
}

fn fault(report: &Report, v: &Values) -> String {
    let mended = report.fault.mended_ms.map_or("nothing to mend".to_owned(), |_| v.ms("/fault/mended_ms"));
    let rows = [
        ("took effect", v.yes("/fault/took_effect").to_owned()),
        ("begun", v.ms("/fault/begun_ms")),
        ("command or call returned", v.ms("/fault/done_ms")),
        ("mended", mended),
        (
            "leader before",
            format!("node {}, term {}", v.number("/fault/leader_before"), v.number("/fault/term_before")),
        ),
        ("leader after", format!("node {}, term {}", v.number("/fault/leader_after"), v.number("/fault/term_after"))),
        ("seen to lead, after the fault", v.ms("/fault/new_leader_seen_after_fault_ms")),
    ];
    let mut commands = String::new();
    for place in 0..v.count("/fault/commands") {
        let at = format!("/fault/commands/{place}");
        let _ = write!(
            commands,
            "<h3>{}</h3><pre>{}</pre><p>Exit code {}, after {}.</p>",
            v.text(&format!("{at}/what")),
            v.text(&format!("{at}/command")),
            v.number(&format!("{at}/exit_code")),
            v.ms(&format!("{at}/took_ms")),
        );
        let output = v.text(&format!("{at}/output"));
        if !output.is_empty() {
            let _ = write!(commands, "<pre>{output}</pre>");
        }
    }
    format!("<h2>The fault</h2><p class=\"soft\">Times since the load began.</p>{}{commands}", list(&rows))
}

fn read_back(report: &Report, v: &Values) -> String {
    let mut rows = String::new();
    for place in 0..report.checks.nodes.len() {
        let at = format!("/checks/nodes/{place}");
        let cell = |part: &str| format!("<td class=\"n\">{}</td>", v.number(&format!("{at}/{part}")));
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td>{}{}{}</tr>",
            v.text(&format!("{at}/address")),
            v.yes(&format!("{at}/reachable")),
            cell("good"),
            cell("lost"),
            cell("unanswered"),
        );
    }
    let complaints: String = (0..v.count("/checks/complaints"))
        .map(|place| format!("<li>{}</li>", v.text(&format!("/checks/complaints/{place}"))))
        .collect();
    let complaints =
        if complaints.is_empty() { complaints } else { format!("<p>Complaints:</p><ul>{complaints}</ul>") };
    let facts = [
        ("acknowledged, settled ones included", v.number("/checks/records")),
        ("receipts that verify offline", v.number("/checks/receipts_verified")),
        ("receipts that do not", v.number("/checks/receipts_failed")),
        ("senders' certificates checked, too", v.yes("/checks/certificates_checked").to_owned()),
        ("all nodes have the same tree", v.yes("/checks/trees_equal").to_owned()),
    ];
    format!(
        "<h2>What became of the records</h2>{}<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Records read back\">\
         <table><thead><tr><th scope=\"col\">read back from</th><th scope=\"col\">answered</th><th scope=\"col\" class=\"n\">good</th>\
         <th scope=\"col\" class=\"n\">lost</th><th scope=\"col\" class=\"n\">unanswered</th></tr></thead><tbody>{rows}</tbody></table></div>{complaints}",
        list(&facts)
    )
}

fn log(_: &Report, v: &Values) -> String {
    let rows = [
        ("told by node", "node_id"),
        ("term", "term"),
        ("last entry", "last_log"),
        ("committed", "committed"),
        ("applied", "applied"),
        ("leaves of the tree", "tree_size"),
    ];
    let row = |(name, field): &(&str, &str)| {
        let cell = |when: &str| format!("<td class=\"n\">{}</td>", v.number(&format!("/log/{when}/{field}")));
        format!("<tr><th scope=\"row\">{name}</th>{}{}</tr>", cell("before"), cell("after"))
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<h2>Log and tree</h2><table><thead><tr><td></td><th scope=\"col\" class=\"n\">before</th><th scope=\"col\" class=\"n\">after</th></tr></thead>\
         <tbody>{rows}</tbody></table><p>Root before: <code class=\"hex\">{}</code><br>Root after: <code class=\"hex\">{}</code></p>",
        v.text("/log/before/tree_root"),
        v.text("/log/after/tree_root"),
    )
}

fn leaders(report: &Report, v: &Values) -> String {
    let row = |place: usize| {
        let at = format!("/leaders/{place}");
        format!(
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            v.ms(&format!("{at}/at_ms")),
            v.number(&format!("{at}/node_id")),
            v.number(&format!("{at}/term"))
        )
    };
    let rows: String = (0..report.leaders.len()).map(row).collect();
    format!(
        "<h2>Who led</h2><table><thead><tr><th scope=\"col\">first seen</th><th scope=\"col\" class=\"n\">node</th>\
         <th scope=\"col\" class=\"n\">term</th></tr></thead><tbody>{rows}</tbody></table>"
    )
}

fn configuration(report: &Report, v: &Values) -> String {
    let c = |field: &str| format!("/configuration/{field}");
    let all = |pointer: &str, one: &dyn Fn(&str) -> String| {
        let all: Vec<_> = (0..v.count(pointer)).map(|place| one(&format!("{pointer}/{place}"))).collect();
        all.join(", ")
    };
    let rows = [
        ("voting members", all("/cluster/voters", &|at| v.number(at))),
        ("their versions", all("/cluster/versions", &|at| v.text(at))),
        ("unit and regime of the test records", format!("{}, {}", v.text(&c("unit")), v.text(&c("regime")))),
        ("senders", v.number(&c("writers"))),
        ("records per second", v.number(&c("rate_per_s"))),
        ("payload", v.with(&c("payload_bytes"), "bytes")),
        ("load before the fault", v.with(&c("before_s"), "s")),
        ("outage", v.with(&c("outage_s"), "s")),
        ("load after", v.with(&c("after_s"), "s")),
        ("deadline of a record", v.limit(&c("deadline_ms"), "ms")),
        ("time to be back, after the load", v.with(&c("recover_within_s"), "s")),
        ("forced", v.yes(&c("forced")).to_owned()),
        ("version of this command", escape(&report.kho_version)),
        ("schema of the JSON", escape(&report.schema)),
    ];
    format!("<h2>Configuration</h2>{}", list(&rows))
}

fn method(_: &Report, _: &Values) -> String {
    "<h2>How it was measured</h2>\
     <p>Senders submit test records at a steady pace through the client library that reporting systems use, with its retries. A record \
     counts as acknowledged when its receipt has come and verifies; latency is from its first sending to that. A sender that waits \
     leaves out what was due meanwhile. The longest gap is taken over all senders together, from the last acknowledgement before to \
     the next; it can't be seen finer than the pace. An outcome that the client could not tell is settled by sending the same record \
     again. Lost means: acknowledged, and at the end not there, or not with the same bytes and leaf, on a node that answered. Who leads is \
     looked at every 50&nbsp;ms.</p>"
        .to_owned()
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
