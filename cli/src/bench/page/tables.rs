//! The figures.

use std::fmt::Write;

use super::super::report::Report;
use super::scroll;
use crate::page::{Values, escape};

/// Median, and the lowest and highest of the rounds where there were several.
fn spread(v: &Values, at: &str, digits: usize, rounds: usize) -> String {
    if v.at(at).is_null() {
        return "<td class=\"n\">&ndash;</td>".to_owned();
    }
    let part = |name: &str| v.rounded(&format!("{at}/{name}"), digits);
    if rounds == 1 {
        return format!("<td class=\"n\">{}</td>", part("median"));
    }
    format!("<td class=\"n\">{}<br><span class=\"spread\">{}..{}</span></td>", part("median"), part("min"), part("max"))
}

fn header(columns: &[&str], text: usize) -> String {
    let cell = |(n, name): (usize, &&str)| {
        format!("<th scope=\"col\"{}>{name}</th>", if n < text { "" } else { " class=\"n\"" })
    };
    format!("<thead><tr>{}</tr></thead>", columns.iter().enumerate().map(cell).collect::<String>())
}

fn table(name: &str, columns: &[&str], text: usize, rows: &str) -> String {
    scroll(name, &format!("<table>{}<tbody>{rows}</tbody></table>", header(columns, text)))
}

pub fn opening(report: &Report, _: &Values) -> String {
    let dev = report.machine.get("build").is_some_and(|build| build.starts_with("dev"));
    let warning =
        if dev { "<p class=\"fail\">Of an unoptimised build: its figures compare with nothing.</p>" } else { "" };
    format!(
        "<p class=\"soft\"><time>{}</time>. Compare ratios within one run, not figures of two.</p>{warning}",
        escape(&report.began_at)
    )
}

pub fn goals(report: &Report, _: &Values) -> String {
    if report.goals.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for goal in &report.goals {
        let (class, word) = match goal.met {
            Some(true) => ("pass", "&#10003; met"),
            Some(false) => ("fail", "&#10007; missed"),
            None => ("not-shown", "&ndash; not judged"),
        };
        let (text, found) = (escape(&goal.goal), escape(&goal.found));
        let _ = write!(rows, "<tr><td>{text}</td><td>{found}</td><td class=\"badge {class}\">{word}</td></tr>");
    }
    format!("<h2>Goals</h2>{}", table("Goals", &["goal", "found", ""], 3, &rows))
}

pub fn series(report: &Report, v: &Values) -> String {
    let mut rows = String::new();
    for (place, series) in report.series.iter().enumerate() {
        let at = |name: &str| format!("/series/{place}/summary/{name}");
        let label = escape(&series.of.label());
        let _ = write!(rows, "<tr><th scope=\"row\">{label}</th>");
        let figures = [
            ("records_per_s", 0),
            ("p50_ms", 2),
            ("p99_ms", 2),
            ("p999_ms", 1),
            ("max_ms", 1),
            ("cpu_us_per_record", 0),
            ("generator_cpu_us_per_record", 0),
            ("written_bytes_per_record", 0),
            ("rss_own_mib", 0),
        ];
        figures.iter().for_each(|(name, digits)| rows.push_str(&spread(v, &at(name), *digits, series.rounds.len())));
        let (errors, lost) = (v.number(&at("errors")), v.number(&at("lost")));
        let class = if series.summary.errors + series.summary.lost > 0 { "n fail" } else { "n" };
        let _ = write!(rows, "<td class=\"{class}\">{errors}</td><td class=\"{class}\">{lost}</td></tr>");
    }
    let columns = [
        "series",
        "records/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "longest ms",
        "CPU µs per record, nodes",
        "generator",
        "bytes written per record",
        "MiB of the largest node",
        "failed",
        "lost",
    ];
    format!(
        "<h2>All figures</h2><p>Median of the rounds, and the lowest and highest below it.</p>{}",
        table("All figures", &columns, 1, &rows)
    )
}

pub fn rest(report: &Report, v: &Values) -> String {
    [ratios(report, v), syncs(report, v), failovers(report, v), ramps(report, v), idle(report, v)].concat()
}

fn ratios(report: &Report, v: &Values) -> String {
    if report.ratios.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for (place, ratio) in report.ratios.iter().enumerate() {
        let (of, over, figure) = (escape(&ratio.of), escape(&ratio.over), escape(&ratio.figure));
        let cell = spread(
            v,
            &format!("/ratios/{place}/ratio"),
            2,
            usize::from(ratio.ratio.min.total_cmp(&ratio.ratio.max).is_eq()),
        );
        let _ = write!(rows, "<tr><th scope=\"row\">{of} / {over}</th><td>{figure}</td>{cell}</tr>");
    }
    format!(
        "<h2>Ratios</h2><p>Of rounds that lay beside each other. Above 1 is better for records/s, below 1 for p99 and CPU.</p>{}",
        table("Ratios", &["systems", "figure", "ratio"], 2, &rows)
    )
}

fn syncs(report: &Report, v: &Values) -> String {
    if report.syncs.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for (place, syncs) in report.syncs.iter().enumerate() {
        let at = format!("/syncs/{place}");
        let nodes: Vec<String> =
            (0..syncs.nodes.len()).map(|node| v.number(&format!("{at}/nodes/{node}/total"))).collect();
        let (class, majority) = match syncs.majority {
            Some(true) => ("pass", "&#10003; yes"),
            Some(false) => ("fail", "&#10007; no"),
            None => ("", "&ndash;"),
        };
        let (system, load, tool) = (escape(&syncs.system), escape(&syncs.load), escape(&syncs.tool));
        let (records, each) = (v.number(&format!("{at}/records")), v.rounded(&format!("{at}/per_record"), 2));
        let nodes = nodes.join(", ");
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{system}</th><td>{load}</td><td class=\"n\">{records}</td><td class=\"n\">{nodes}</td>\
             <td class=\"n\">{each}</td><td class=\"badge {class}\">{majority}</td><td>{tool}</td></tr>"
        );
    }
    let columns =
        ["system", "load", "records", "syncs of each node", "per record", "enough for a majority", "counted by"];
    format!(
        "<h2>Syncs</h2><p>fsync, fdatasync, msync and syncfs of each node, counted in runs of their own. One after the other, each record needs \
         one on a majority of its own; under load records share them.</p>{}",
        table("Syncs", &columns, 2, &rows)
    )
}

fn failovers(report: &Report, v: &Values) -> String {
    if report.failovers.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for (place, failover) in report.failovers.iter().enumerate() {
        let at = format!("/failovers/{place}");
        let list = |name: &str, count: usize| {
            (0..count).map(|n| v.rounded(&format!("{at}/{name}/{n}"), 0)).collect::<Vec<_>>().join(", ")
        };
        let (gaps, slowest) = (list("gaps_ms", failover.gaps_ms.len()), list("slowest_ms", failover.slowest_ms.len()));
        let (system, fault, by) = (escape(&failover.system), escape(&failover.fault), escape(&failover.by));
        let gap = spread(v, &format!("{at}/gap_ms"), 0, failover.gaps_ms.len());
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{system}</th><td>{fault}</td><td>{by}</td>{gap}<td class=\"n\">{gaps}</td><td class=\"n\">{slowest}</td></tr>"
        );
    }
    let columns = ["system", "fault", "the next leader by", "longest gap, ms", "each", "slowest record, each"];
    format!(
        "<h2>When the leader goes</h2><p>16 senders; the longest time without an acknowledgement to any of them.</p>{}",
        table("When the leader goes", &columns, 3, &rows)
    )
}

fn ramps(report: &Report, v: &Values) -> String {
    let mut page = String::new();
    for (place, ramp) in report.ramps.iter().enumerate() {
        let mut rows = String::new();
        for (step, of) in ramp.steps.iter().enumerate() {
            let cell = |name: &str, digits| {
                format!("<td class=\"n\">{}</td>", v.rounded(&format!("/ramps/{place}/steps/{step}/{name}"), digits))
            };
            let figures = [("rate_per_s", 0), ("records_per_s", 0), ("p99_ms", 2), ("errors", 0), ("lost", 0)];
            let cells: String = figures.iter().map(|(name, digits)| cell(name, *digits)).collect();
            let (class, word) = if of.held { ("pass", "&#10003; held") } else { ("fail", "&#10007; broken") };
            let _ = write!(rows, "<tr>{cells}<td class=\"badge {class}\">{word}</td></tr>");
        }
        let (label, most, held) = (
            escape(&ramp.label),
            v.rounded(&format!("/ramps/{place}/p99_ms_max"), 0),
            v.rounded(&format!("/ramps/{place}/held_per_s"), 0),
        );
        let columns = ["asked/s", "records/s", "p99 ms", "failed", "lost", "goal"];
        let _ = write!(
            page,
            "<h3>{label}</h3><p>Highest rate whose p99 was {most} ms at most: {held}/s.</p>{}",
            table("Ramp", &columns, 0, &rows)
        );
    }
    if page.is_empty() { page } else { format!("<h2>Rates that were raised</h2>{page}") }
}

fn idle(report: &Report, v: &Values) -> String {
    let mut rows = String::new();
    for (place, idle) in report.idle.iter().enumerate() {
        for (node, of) in idle.nodes.iter().enumerate() {
            let at = format!("/idle/{place}/nodes/{node}");
            let cell =
                |name: &str, digits| format!("<td class=\"n\">{}</td>", v.rounded(&format!("{at}/{name}"), digits));
            let cells = [cell("rss_mib", 0), cell("rss_own_mib", 0), cell("user_s", 2), cell("system_s", 2)].concat();
            let (system, name, seconds) =
                (escape(&idle.system), escape(&of.name), v.rounded(&format!("/idle/{place}/seconds"), 0));
            let _ =
                write!(rows, "<tr><th scope=\"row\">{system}, {name}</th><td class=\"n\">{seconds}</td>{cells}</tr>");
        }
    }
    if rows.is_empty() {
        return rows;
    }
    let columns = ["node", "seconds", "MiB resident", "without files' pages", "CPU s, user", "kernel"];
    format!("<h2>At rest</h2>{}", table("At rest", &columns, 1, &rows))
}

pub fn settings(report: &Report, _: &Values) -> String {
    let list = |name: &str, facts: &std::collections::BTreeMap<String, String>| {
        let rows: String =
            facts.iter().map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(value))).collect();
        if rows.is_empty() { rows } else { format!("<h2>{name}</h2><dl class=\"wide\">{rows}</dl>") }
    };
    [list("What each promises", &report.notes), list("Settings", &report.settings), list("Machine", &report.machine)]
        .concat()
}
