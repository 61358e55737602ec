//! The report as one HTML file: tables that hold every figure, charts that show them.

mod chart;
mod tables;

use std::collections::BTreeMap;

use self::chart::{Bar, Line, Part, bars, lines, milliseconds};
use super::process::Usage;
use super::report::{Report, Round, Series};
use super::table::spread;
use crate::page::{FOOT, Values, escape, head, step};

const STYLE: &str = include_str!("style.css");

/// The page.
pub fn render(report: &Report) -> serde_json::Result<String> {
    let values = Values(serde_json::to_value(report)?);
    let mut page = head(&escape(&report.title), STYLE);
    let parts = [
        tables::opening,
        tables::goals,
        throughput,
        tables::series,
        cpu,
        curves,
        over_time,
        tables::rest,
        tables::settings,
    ];
    for part in parts {
        page.push_str(&part(report, &values));
        page.push('\n');
    }
    page.push_str(FOOT);
    Ok(page)
}

fn figure(caption: &str, drawing: &str) -> String {
    format!("<figure><figcaption>{caption}</figcaption>{drawing}</figure>")
}

fn scroll(name: &str, content: &str) -> String {
    format!("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{name}\">{content}</div>")
}

/// Each system has a colour.
fn colours(report: &Report) -> BTreeMap<&str, usize> {
    let mut colours = BTreeMap::new();
    for series in &report.series {
        let next = colours.len();
        colours.entry(series.of.system.as_str()).or_insert(next);
    }
    colours
}

fn throughput(report: &Report, _: &Values) -> String {
    let colours = colours(report);
    let bar = |series: &Series| {
        let rate = series.summary.records_per_s;
        Bar {
            name: series.of.label(),
            colour: colours[series.of.system.as_str()],
            parts: vec![Part { value: rate.median, class: "user" }],
            spread: (series.rounds.len() > 1).then_some((rate.min, rate.max)),
            value: spread(&rate, 0),
        }
    };
    let all: Vec<Bar> = sorted(report).into_iter().map(bar).collect();
    let description = "Bars: median of the rounds, in records per second; whiskers: slowest and fastest round. The figures stand in the table below.";
    let drawing = bars("throughput", "Records per second", description, &all);
    let caption = "Median of the rounds; the whiskers are the slowest and the fastest one.";
    format!("<h2>Records per second</h2>{}", figure(caption, &scroll("Chart of records per second", &drawing)))
}

/// What is alike beside each other: single records of one size and number of connections of all systems.
fn sorted(report: &Report) -> Vec<&Series> {
    let mut all: Vec<&Series> = report.series.iter().collect();
    let order: Vec<&str> = report.series.iter().map(|series| series.of.operation.as_str()).collect();
    let place = |series: &Series| order.iter().position(|operation| *operation == series.of.operation);
    all.sort_by_key(|series| (place(series), series.of.size_bytes, series.of.connections));
    all
}

fn cpu(report: &Report, _: &Values) -> String {
    let colours = colours(report);
    let bar = |series: &Series| {
        let cpu = series.summary.cpu_us_per_record?;
        let middle = middle(series)?;
        let per_record =
            |time: fn(&Usage) -> f64| middle.nodes.iter().map(time).sum::<f64>() * 1e6 / middle.records.max(1) as f64;
        // parts as in the middle round, as long together as the median
        let (user, system) = (per_record(|node| node.user_s), per_record(|node| node.system_s));
        let share = cpu.median / (user + system).max(f64::MIN_POSITIVE);
        let generator = series.summary.generator_cpu_us_per_record;
        Some(Bar {
            name: series.of.label(),
            colour: colours[series.of.system.as_str()],
            parts: vec![
                Part { value: user * share, class: "user" },
                Part { value: system * share, class: "system" },
                Part { value: generator.median, class: "generator" },
            ],
            spread: None,
            value: format!("{:.0} + {:.0} µs", cpu.median, generator.median),
        })
    };
    let all: Vec<Bar> = sorted(report).into_iter().filter_map(bar).collect();
    if all.is_empty() {
        return String::new();
    }
    let description = "Bars: microseconds of CPU time per record; first of all nodes in user mode, then of all nodes in the kernel, \
                       then of the load generator. The figures stand in the table above.";
    let drawing = bars("cpu", "CPU time per record", description, &all);
    let caption = "Medians, in µs: <span class=\"box user\"></span>all nodes, user mode, <span class=\"box system\"></span>all nodes, \
                   kernel, <span class=\"box generator\"></span>load generator (not part of any system).";
    format!("<h2>CPU time per record</h2>{}", figure(caption, &scroll("Chart of CPU time", &drawing)))
}

/// The round that lies in the middle by its rate.
fn middle(series: &Series) -> Option<&Round> {
    let mut rounds: Vec<&Round> = series.rounds.iter().collect();
    rounds.sort_by(|one, other| one.records_per_s.total_cmp(&other.records_per_s));
    rounds.get(rounds.len() / 2).copied()
}

/// What shares a chart: the same payloads over the same connections.
fn groups(report: &Report) -> BTreeMap<(usize, usize), Vec<&Series>> {
    let mut groups: BTreeMap<(usize, usize), Vec<&Series>> = BTreeMap::new();
    for series in sorted(report) {
        groups.entry((series.of.size_bytes, series.of.connections)).or_default().push(series);
    }
    groups
}

fn name(series: &Series) -> String {
    let rate = series.of.rate_per_s.map_or(String::new(), |rate| format!(" at {rate:.0}/s"));
    format!("{} {}{rate}", series.of.system, series.of.operation)
}

fn heading((size, connections): (usize, usize)) -> String {
    format!("<h3>{size} bytes, {connections} connections</h3>")
}

fn curves(report: &Report, _: &Values) -> String {
    /// Percentiles up to here are drawn, as nines: beyond them a round has a handful of calls.
    const NINES: f64 = 4.0;
    let across = |percentile: f64| -(1.0 - percentile / 100.0).max(1e-9).log10() / NINES;
    let ticks: Vec<_> = ["0", "50", "90", "99", "99.9", "99.99"]
        .into_iter()
        .map(|text| (across(text.parse().unwrap_or(0.0)), format!("{text} %")))
        .collect();
    let mut page = "<h2>Latency</h2><p>How many calls were as fast as what: each step to the right leaves a tenth of what was left. From the moment \
                    at which a call was meant to begin; of the middle round.</p>"
        .to_owned();
    for (number, (group, all)) in groups(report).into_iter().enumerate() {
        let drawn = |round: &Round| {
            round
                .curve
                .iter()
                .filter(|point| across(point.percentile) <= 1.0)
                .map(|point| (point.percentile, point.ms))
                .collect::<Vec<_>>()
        };
        let all: Vec<(String, Vec<(f64, f64)>)> =
            all.into_iter().filter_map(|series| Some((name(series), drawn(middle(series)?)))).collect();
        let every = || all.iter().flat_map(|(_, points)| points).map(|(_, ms)| *ms);
        let (up, share) = milliseconds(every().fold(f64::MAX, f64::min), every().fold(0.0, f64::max));
        let line = |(name, points): &(String, Vec<(f64, f64)>)| Line {
            name: name.clone(),
            points: points.iter().map(|(percentile, ms)| (across(*percentile), share(*ms))).collect(),
        };
        let all: Vec<Line> = all.iter().map(line).collect();
        let description = "Lines: latency by percentile, both logarithmic. Median, 99th percentile and longest stand in the table above.";
        page += &heading(group);
        page += &lines(&format!("latency{number}"), "Latency by percentile", description, (&ticks, &up), &all);
    }
    page
}

fn over_time(report: &Report, _: &Values) -> String {
    let mut page =
        "<h2>Over time</h2><p>Records per second in each piece of the measured time, of the middle round.</p>"
            .to_owned();
    for (number, (group, all)) in groups(report).into_iter().enumerate() {
        let rates = |round: &Round| {
            let piece = round.timeline.piece_ms / 1_000.0;
            // the last one may be cut short
            let whole = ((round.seconds / piece + 1e-6).floor() as usize).min(round.timeline.records.len());
            round.timeline.records[..whole]
                .iter()
                .enumerate()
                .map(|(n, records)| ((n as f64 + 0.5) * piece, *records as f64 / piece))
                .collect::<Vec<_>>()
        };
        let all: Vec<_> = all.into_iter().filter_map(|series| Some((name(series), rates(middle(series)?)))).collect();
        let every = || all.iter().flat_map(|(_, points): &(String, Vec<(f64, f64)>)| points.iter().copied());
        let (end, most) = every()
            .fold((f64::MIN_POSITIVE, f64::MIN_POSITIVE), |(end, most), (at, rate)| (end.max(at), most.max(rate)));
        let ticks = |most: f64, parts: f64, unit: &str| {
            let every = step(most, parts);
            let count = (most / every).floor() as u32;
            (0..=count)
                .map(|n| (f64::from(n) * every / most, format!("{}{unit}", round_text(f64::from(n) * every))))
                .collect::<Vec<_>>()
        };
        let (across, up) = (ticks(end, 10.0, " s"), ticks(most, 5.0, "/s"));
        let line = |(name, points): &(String, Vec<(f64, f64)>)| Line {
            name: name.clone(),
            points: points.iter().map(|(at, rate)| (at / end, rate / most)).collect(),
        };
        let all: Vec<Line> = all.iter().map(line).collect();
        let description = "Lines: records per second over the measured time.";
        page += &heading(group);
        page += &lines(&format!("time{number}"), "Records per second over time", description, (&across, &up), &all);
    }
    page
}

/// Without the dust of binary fractions.
fn round_text(value: f64) -> String {
    format!("{}", (value * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_every_part_and_runs_nothing() {
        let report = crate::bench::report::tests::whole();
        let page = render(&report).expect("a page");
        for part in [
            "Kho and &lt;others&gt;",
            "<h2>Records per second</h2>",
            "<h2>CPU time per record</h2>",
            "<h2>Latency</h2>",
            "<h2>Over time</h2>",
            "<h2>Goals</h2>",
            "<h2>Syncs</h2>",
            "<h2>Ratios</h2>",
            "<h2>When the leader goes</h2>",
            "<h2>Rates that were raised</h2>",
            "<h2>At rest</h2>",
            "data-of=\"/series/0/summary/records_per_s/median\"",
        ] {
            assert!(page.contains(part), "{part} is missing");
        }
        for word in ["<script", "src=", "href=", "url(", "@import", "http:", "https:", "NaN", "inf\""] {
            assert!(!page.contains(word), "the page has {word}");
        }
    }

    #[test]
    fn an_empty_report_is_a_page_too() {
        let page = render(&Report::new("x", String::new())).expect("a page");
        assert!(page.ends_with("</html>\n") && !page.contains("NaN"));
    }
}
