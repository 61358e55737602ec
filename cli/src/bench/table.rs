//! A report on the terminal.

use comfy_table::{CellAlignment, Table, presets};

use super::report::{Report, Spread};

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().copied());
    table
}

fn right(table: &mut Table, from: usize) {
    table.column_iter_mut().skip(from).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
}

/// `3,054 (2,990..3,100)`, or without the ends where there is one round.
pub fn spread(spread: &Spread, digits: usize) -> String {
    let Spread { median, min, max } = spread;
    if min.total_cmp(max).is_eq() {
        return format!("{median:.digits$}");
    }
    format!("{median:.digits$} ({min:.digits$}..{max:.digits$})")
}

fn or_dash(value: Option<&Spread>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| spread(value, digits))
}

fn series(report: &Report) -> Table {
    let mut table = table(&[
        "system",
        "operation",
        "bytes",
        "conns",
        "asked/s",
        "records/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "CPU µs/record",
        "generator",
        "written/record",
        "errors",
    ]);
    for series in &report.series {
        let (of, all) = (&series.of, &series.summary);
        let errors = if all.lost > 0 { format!("{} + {} lost", all.errors, all.lost) } else { all.errors.to_string() };
        table.add_row([
            of.system.clone(),
            of.operation.clone(),
            of.size_bytes.to_string(),
            of.connections.to_string(),
            of.rate_per_s.map_or_else(|| "closed".to_owned(), |rate| format!("{rate:.0}")),
            spread(&all.records_per_s, 0),
            spread(&all.p50_ms, 2),
            spread(&all.p99_ms, 2),
            spread(&all.max_ms, 0),
            or_dash(all.cpu_us_per_record.as_ref(), 0),
            spread(&all.generator_cpu_us_per_record, 0),
            or_dash(all.written_bytes_per_record.as_ref(), 0),
            errors,
        ]);
    }
    right(&mut table, 2);
    table
}

fn list(values: &[f64]) -> String {
    values.iter().map(|value| format!("{value:.0}")).collect::<Vec<_>>().join(", ")
}

/// All of it as lines.
pub fn render(report: &Report) -> String {
    let mut parts = vec![series(report).trim_fmt()];
    for ramp in &report.ramps {
        let mut table = table(&["asked/s", "records/s", "p99 ms", "errors", "lost", "goal"]);
        for step in &ramp.steps {
            let goal = if step.held { "held" } else { "broken" };
            let figures = [
                format!("{:.0}", step.rate_per_s),
                format!("{:.0}", step.records_per_s),
                format!("{:.2}", step.p99_ms),
            ];
            table.add_row(figures.into_iter().chain([step.errors.to_string(), step.lost.to_string(), goal.to_owned()]));
        }
        right(&mut table, 0);
        let held = ramp.held_per_s.map_or_else(|| "none".to_owned(), |rate| format!("{rate:.0}/s"));
        parts.push(format!(
            "{}: highest rate with p99 of {} ms at most: {held}\n{}",
            ramp.label,
            ramp.p99_ms_max,
            table.trim_fmt()
        ));
    }
    if !report.syncs.is_empty() {
        let mut table = table(&["syncs of", "load", "records", "each node", "per record", "majority", "counted by"]);
        for syncs in &report.syncs {
            let nodes: Vec<String> = syncs.nodes.iter().map(|node| node.total.to_string()).collect();
            let majority = syncs.majority.map_or("-", |majority| if majority { "yes" } else { "NO" });
            table.add_row([
                syncs.system.clone(),
                syncs.load.clone(),
                syncs.records.to_string(),
                nodes.join(", "),
                format!("{:.2}", syncs.per_record),
                majority.to_owned(),
                syncs.tool.clone(),
            ]);
        }
        parts.push(table.trim_fmt());
    }
    if !report.ratios.is_empty() {
        let mut table = table(&["ratio", "figure", "median (min..max) of rounds"]);
        for ratio in &report.ratios {
            table.add_row([format!("{} / {}", ratio.of, ratio.over), ratio.figure.clone(), spread(&ratio.ratio, 2)]);
        }
        parts.push(table.trim_fmt());
    }
    for failover in &report.failovers {
        parts.push(format!(
            "{}: {} of the leader, {}: longest gap {} ms (each: {}), slowest record {} ms",
            failover.system,
            failover.fault,
            failover.by,
            spread(&failover.gap_ms, 0),
            list(&failover.gaps_ms),
            list(&failover.slowest_ms)
        ));
    }
    for idle in &report.idle {
        let of = |value: &dyn Fn(&super::process::Usage) -> f64| idle.nodes.iter().map(value).collect::<Vec<_>>();
        let cpu: Vec<String> =
            of(&|node| node.cpu_s() / idle.seconds * 100.0).iter().map(|cpu| format!("{cpu:.2}")).collect();
        let rss = list(&of(&|node| node.rss_mib));
        parts.push(format!(
            "{}: idle for {:.0} s: {rss} MiB resident, {} % of a core",
            idle.system,
            idle.seconds,
            cpu.join(", ")
        ));
    }
    if !report.goals.is_empty() {
        let mut table = table(&["goal", "found", ""]);
        for goal in &report.goals {
            let met = goal.met.map_or("not judged", |met| if met { "met" } else { "MISSED" });
            table.add_row([goal.goal.as_str(), goal.found.as_str(), met]);
        }
        parts.push(table.trim_fmt());
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_part_has_its_lines() {
        let text = super::render(&crate::bench::report::tests::whole());
        for part in [
            "1117 (1000..1234)",
            "closed",
            "highest rate with p99 of 50 ms at most: 500/s",
            "kho / etcd",
            "2.00 (1.90..2.10)",
            "longest gap 590 (580..600) ms (each: 580, 600)",
            "0 + 3 lost",
            "MISSED",
            "not judged",
            "1.67 % of a core",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
