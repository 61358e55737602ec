//! `kho stats`

use std::path::PathBuf;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use kho::client_file::ClientFile;
use kho_client::{Stats, StatsBy, StatsLeftOut, StatsQuery, StatsRow};
use kho_proto::id::{RegimeCode, UnitCode};
use kho_proto::period::Period;
use serde_json::{Value, json};

use super::csv;
use super::entries::{Format, Output, freshness};
use super::filter::{Moment, check_range};
use crate::exit::Result;
use crate::lang::{self, Lang};

/// What is added up, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// A row for each unit, regime and period.
    Period,
    /// A row for each unit and regime.
    UnitRegime,
    /// A row for each unit.
    Unit,
    /// A row for each regime.
    Regime,
    /// One row.
    Total,
}

/// Counts reports: expected, on time, late, missing, corrected.
#[derive(clap::Args)]
#[command(after_help = "\
What is expected comes from the catalogue (kho catalogue list). A report is on time if its first revision was accepted before the
deadline's end, `open` if it is not there and may still come in time, `unscheduled` if nothing expected it, as with ad-hoc
regimes. expected = on time + late + missing + open. Records that the catalogue does not ask for are in no row: how many, and
why, is told on standard error, as it is when no catalogue is loaded. A unit sees its own reports, and those of the regimes that it receives;
platforms and operators see all.

Examples:
  kho stats --from 2020-06 --to 2020-06 --config client.toml
  kho stats --from 2020-01 --to 2020-12 --regime KTXH-01 --by period --format csv
  kho stats --from 2020 --to 2020 --by total --as-of 2020-12-26")]
pub struct Args {
    /// Units that report; all if absent; repeatable.
    #[arg(long = "unit", value_name = "CODE")]
    units: Vec<UnitCode>,
    /// Regimes; all if absent; repeatable.
    #[arg(long = "regime", value_name = "CODE")]
    regimes: Vec<RegimeCode>,
    /// Periods, of whatever kind, that lie between the first day of this one...
    #[arg(long, value_name = "PERIOD")]
    from: Period,
    /// ...and the last day of this one.
    #[arg(long, value_name = "PERIOD")]
    to: Period,
    /// Takes this moment for now, and counts only what was accepted before it.
    #[arg(long, value_name = "MOMENT")]
    as_of: Option<Moment>,
    /// What is a row.
    #[arg(long, value_enum, default_value_t = By::Unit)]
    by: By,
    /// Takes one node's state as it is.
    #[arg(long)]
    stale: bool,
    #[command(flatten)]
    output: Output,
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
}

const COUNTS: [&str; 9] =
    ["expected", "on_time", "late", "missing", "open", "corrected", "superseded", "unscheduled", "records"];

fn counts(row: &StatsRow) -> [u64; COUNTS.len()] {
    let counts = &row.counts;
    [
        counts.expected,
        counts.on_time,
        counts.late,
        counts.missing,
        counts.open,
        counts.corrected,
        counts.superseded,
        counts.unscheduled,
        counts.records,
    ]
}

/// Names of a row that are not added up over.
fn names(by: By) -> &'static [&'static str] {
    match by {
        By::Period => &["regime", "unit", "period", "deadline"],
        By::UnitRegime => &["regime", "unit"],
        By::Unit => &["unit"],
        By::Regime => &["regime"],
        By::Total => &[],
    }
}

fn name<'a>(row: &'a StatsRow, of: &str) -> &'a str {
    match of {
        "regime" => &row.regime,
        "unit" => &row.unit,
        "period" => &row.period,
        _ => &row.deadline,
    }
}

/// A field's name for people.
fn heading(field: &str) -> String {
    let text = match field {
        "regime" => lang::REGIME,
        "unit" => lang::UNIT,
        "period" => lang::PERIOD,
        "deadline" => lang::DEADLINE,
        "expected" => lang::EXPECTED,
        "on_time" => lang::ON_TIME,
        "late" => lang::LATE,
        "missing" => lang::MISSING,
        "open" => lang::OPEN,
        "corrected" => lang::CORRECTED,
        "superseded" => lang::SUPERSEDED,
        "unscheduled" => lang::UNSCHEDULED,
        "records" => lang::COUNTED,
        other => return other.to_owned(),
    };
    text.get().to_owned()
}

fn table(stats: &Stats, by: By) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(names(by).iter().copied().chain(COUNTS).map(heading));
    let mut sum = [0; COUNTS.len()];
    for row in &stats.rows {
        let counts = counts(row);
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        let cells = names(by).iter().map(|of| name(row, of).to_owned());
        table.add_row(cells.chain(counts.map(|count| count.to_string())));
    }
    if let Some(rest) = names(by).len().checked_sub(1) {
        let cells = std::iter::once(lang::TOTAL.get().to_owned()).chain(std::iter::repeat_n(String::new(), rest));
        table.add_row(cells.chain(sum.map(|count| count.to_string())));
    }
    for column in names(by).len()..names(by).len() + COUNTS.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn object(row: &StatsRow, by: By) -> Value {
    let mut object = json!({});
    for of in names(by) {
        object[*of] = json!(name(row, of));
    }
    for (of, count) in COUNTS.iter().zip(counts(row)) {
        object[*of] = json!(count);
    }
    object
}

fn cells(row: &StatsRow, by: By) -> Vec<String> {
    let cells = names(by).iter().map(|of| name(row, of).to_owned());
    cells.chain(counts(row).map(|count| count.to_string())).collect()
}

/// What the numbers say nothing of, and why, a line each.
fn left_out(stats: &Stats, lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    if stats.catalogue_regimes == Some(0) {
        lines.push(lang::NO_CATALOGUE.of(lang).to_owned());
    }
    for (text, codes) in [(lang::NO_REGIME, &stats.unknown_regimes), (lang::NO_UNIT, &stats.unknown_units)] {
        lines.extend(codes.iter().map(|code| text.with(lang, &[("code", code)])));
    }
    for StatsLeftOut { regime, records, in_catalogue } in &stats.left_out {
        let text = match (in_catalogue, regime.as_str()) {
            (true, _) => lang::LEFT_OUT_UNITS,
            (false, "") => lang::LEFT_OUT_UNNAMED,
            (false, _) => lang::LEFT_OUT_REGIME,
        };
        lines.push(text.with(lang, &[("records", &lang::records(lang, *records)), ("regime", regime)]));
    }
    if stats.left_out_more {
        lines.push(lang::LEFT_OUT_MORE.of(lang).to_owned());
    }
    lines
}

pub async fn run(args: Args) -> Result {
    check_range(Some(&args.from), Some(&args.to))?;
    let client = ClientFile::load(&args.config)?.client()?;
    let by = match args.by {
        By::Period => StatsBy::UnitRegimePeriod,
        By::UnitRegime => StatsBy::UnitRegime,
        By::Unit => StatsBy::Unit,
        By::Regime => StatsBy::Regime,
        By::Total => StatsBy::Total,
    };
    let stats = client
        .stats(&StatsQuery {
            units: args.units,
            regimes: args.regimes,
            from: args.from,
            to: args.to,
            as_of: args.as_of.map(Moment::at),
            by,
            stale: args.stale,
        })
        .await?;
    match args.output.format() {
        Format::Table => outln!("{}", table(&stats, args.by))?,
        Format::Json => {
            for row in &stats.rows {
                outln!("{}", object(row, args.by))?;
            }
        }
        Format::Csv => {
            outln!("{}", csv::line(names(args.by).iter().copied().chain(COUNTS))?)?;
            for row in &stats.rows {
                outln!("{}", csv::line(cells(row, args.by))?)?;
            }
        }
    }
    eprintln!("{}", lang::AS_OF.with(lang::current(), &[("moment", &stats.as_of), ("of", &freshness(stats.fresh))]));
    left_out(&stats, lang::current()).iter().for_each(|line| eprintln!("{line}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use kho_client::{Fresh, StatsCounts};
    use kho_proto::id::NodeId;

    use super::*;

    fn stats() -> Stats {
        let row = |unit: &str, late| StatsRow {
            regime: "KTXH-01".to_owned(),
            unit: unit.to_owned(),
            period: "2020-06".to_owned(),
            deadline: "2020-06-26T00:00:00.000+07:00".to_owned(),
            counts: StatsCounts { expected: 3, late, records: 7, ..StatsCounts::default() },
        };
        let fresh = Fresh { linearizable: true, age: None, size: 9, node: NodeId(2) };
        Stats {
            rows: vec![row("T01", 1), row("T02", 2)],
            as_of: String::new(),
            fresh,
            left_out: Vec::new(),
            left_out_more: false,
            catalogue_regimes: Some(25),
            unknown_regimes: Vec::new(),
            unknown_units: Vec::new(),
        }
    }

    #[test]
    fn what_is_left_out_is_told_with_its_reason() {
        assert_eq!(left_out(&stats(), Lang::En), [""; 0]);
        let found =
            |regime: &str, records, in_catalogue| StatsLeftOut { regime: regime.to_owned(), records, in_catalogue };
        let silent = Stats { catalogue_regimes: None, ..stats() };
        assert_eq!(left_out(&silent, Lang::En), [""; 0], "a node that does not say");
        let all = Stats {
            catalogue_regimes: Some(0),
            left_out: vec![found("X-01", 1, false), found("YT-01", 3, true), found("", 2, false)],
            left_out_more: true,
            unknown_regimes: vec!["X-02".to_owned()],
            ..stats()
        };
        let told = left_out(&all, Lang::En);
        assert_eq!(told.len(), 6);
        for (line, part) in told.iter().zip([
            "no catalogue is loaded",
            "no regime X-02",
            "left out: 1 record of regime X-01, which the catalogue does not have",
            "left out: 3 records of regime YT-01 by units that do not report under it by the catalogue",
            "left out: 2 records of a regime that the catalogue does not have",
            "more",
        ]) {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(left_out(&all, Lang::Vi)[2].contains("1 bản ghi"), "{:?}", left_out(&all, Lang::Vi));
    }

    #[test]
    fn every_way_to_write_has_the_same_numbers() {
        let stats = stats();
        let row = &stats.rows[1];
        let csv = |by| csv::line(cells(row, by)).expect("a line");
        assert_eq!(csv(By::Period), "KTXH-01,T02,2020-06,2020-06-26T00:00:00.000+07:00,3,0,2,0,0,0,0,0,7");
        assert_eq!(csv(By::Total), "3,0,2,0,0,0,0,0,7");
        let object = object(row, By::Unit);
        assert_eq!((&object["unit"], &object["late"], &object["regime"]), (&json!("T02"), &json!(2), &Value::Null));
        let table = table(&stats, By::UnitRegime).to_string();
        let last: Vec<&str> = table.lines().rev().nth(1).unwrap_or_default().split_whitespace().collect();
        assert_eq!(last[1..], ["all", "6", "0", "3", "0", "0", "0", "0", "0", "14", "│"], "{table}");
    }
}
