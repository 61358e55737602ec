//! Statistics of reports: expected, on time, late, missing, corrected.

use std::collections::BTreeMap;

use bytes::Bytes;
use kho_proto::header::SubmittedAt;
use kho_proto::id::{RegimeCode, UnitCode};
use kho_proto::pb::v1 as pb;
use kho_proto::period::Period;

use crate::ask::ReadError;
use crate::client::Client;
use crate::list::Fresh;
use crate::nodes::Store;

/// What is added up in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatsBy {
    /// A row for each unit, regime and period.
    UnitRegimePeriod,
    /// A row for each unit and regime.
    UnitRegime,
    /// A row for each unit.
    #[default]
    Unit,
    /// A row for each regime.
    Regime,
    /// One row.
    Total,
}

/// What statistics are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsQuery {
    /// Units that report; empty: all that the client may ask about.
    pub units: Vec<UnitCode>,
    /// Regimes; empty: all.
    pub regimes: Vec<RegimeCode>,
    /// Periods that lie between the first day of this one...
    pub from: Period,
    /// ...and the last day of this one.
    pub to: Period,
    /// Taken for now; none: now.
    pub as_of: Option<SubmittedAt>,
    /// What is added up.
    pub by: StatsBy,
    /// Takes the state of whichever node answers.
    pub stale: bool,
}

/// Counts of a row: expected = on_time + late + missing + open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatsCounts {
    /// Reports that the catalogue expects of periods that had begun.
    pub expected: u64,
    /// Accepted before the deadline's end.
    pub on_time: u64,
    /// Accepted after it.
    pub late: u64,
    /// Not there, and the deadline is over.
    pub missing: u64,
    /// Not there, and the deadline is still to come.
    pub open: u64,
    /// Reports with a later revision.
    pub corrected: u64,
    /// Records that a later revision has taken the place of.
    pub superseded: u64,
    /// Reports that nothing expected.
    pub unscheduled: u64,
    /// Records, revisions too.
    pub records: u64,
}

impl StatsCounts {
    fn add(&mut self, counts: pb::StatsCounts) {
        self.expected += counts.expected;
        self.on_time += counts.on_time;
        self.late += counts.late;
        self.missing += counts.missing;
        self.open += counts.open;
        self.corrected += counts.corrected;
        self.superseded += counts.superseded;
        self.unscheduled += counts.unscheduled;
        self.records += counts.records;
    }
}

/// A row: names that are added up over are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsRow {
    /// Code of the regime.
    pub regime: String,
    /// Code of the unit.
    pub unit: String,
    /// Text of the period.
    pub period: String,
    /// End of the deadline; empty: none, or of more than one period.
    pub deadline: String,
    /// What was counted.
    pub counts: StatsCounts,
}

/// Records that no row counts, since the catalogue does not ask for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsLeftOut {
    /// Code of the regime; empty: the client may not read what says it.
    pub regime: String,
    /// How many.
    pub records: u64,
    /// The catalogue has the regime, but not the units that sent these among those that report under it. Else it does not have
    /// the regime.
    pub in_catalogue: bool,
}

/// Statistics of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// By regime, unit and period.
    pub rows: Vec<StatsRow>,
    /// What was taken for now.
    pub as_of: String,
    /// How new they are.
    pub fresh: Fresh,
    /// What is counted nowhere, by regime.
    pub left_out: Vec<StatsLeftOut>,
    /// There may be more of it.
    pub left_out_more: bool,
    /// Regimes in the catalogue; 0: none is loaded, and nothing is expected. None: the node does not say.
    pub catalogue_regimes: Option<u32>,
    /// Regimes that were asked for and that the catalogue does not have.
    pub unknown_regimes: Vec<String>,
    /// Units likewise.
    pub unknown_units: Vec<String>,
}

impl Client {
    /// Statistics, all parts added up.
    pub async fn stats(&self, query: &StatsQuery) -> Result<Stats, ReadError> {
        let by = match query.by {
            StatsBy::UnitRegimePeriod => pb::StatsBy::UnitRegimePeriod,
            StatsBy::UnitRegime => pb::StatsBy::UnitRegime,
            StatsBy::Unit => pb::StatsBy::ByUnit,
            StatsBy::Regime => pb::StatsBy::ByRegime,
            StatsBy::Total => pb::StatsBy::Total,
        };
        let mut request = pb::StatsRequest {
            units: query.units.iter().map(ToString::to_string).collect(),
            regimes: query.regimes.iter().map(ToString::to_string).collect(),
            period_from: query.from.to_string(),
            period_to: query.to.to_string(),
            as_of: query.as_of.map(|at| at.to_string()).unwrap_or_default(),
            by: by.into(),
            page_size: 5_000,
            page_token: Bytes::new(),
            stale: query.stale,
        };
        let mut rows: BTreeMap<[String; 3], StatsRow> = BTreeMap::new();
        let mut floor = self.receipts().held().floor();
        let mut first: Option<pb::StatsResponse> = None;
        loop {
            let ask = |mut store: Store, request| async move { store.stats(request).await };
            let (mut part, node): (pb::StatsResponse, _) = self.ask(request.clone(), ask).await?;
            let more = std::mem::take(&mut part.rows);
            let first = first.get_or_insert_with(|| part.clone());
            for row in more {
                let key = [row.regime.clone(), row.unit.clone(), row.period.clone()];
                let (deadline, counts) = (row.deadline, row.counts.unwrap_or_default());
                let [regime, unit, period] = key.clone();
                let empty = StatsRow { regime, unit, period, deadline, counts: StatsCounts::default() };
                rows.entry(key).or_insert(empty).counts.add(counts);
            }
            // later parts are of the moment of the first
            let floor = std::mem::take(&mut floor);
            let fresh = Fresh::of(part.freshness, part.size, part.node_id).held(self, &floor, part.epoch, node).await?;
            if part.next_page_token.is_empty() {
                let left_out = std::mem::take(&mut first.left_out).into_iter();
                let left_out = left_out.map(|pb::StatsLeftOut { regime, records, in_catalogue }| StatsLeftOut {
                    regime,
                    records,
                    in_catalogue,
                });
                return Ok(Stats {
                    rows: rows.into_values().collect(),
                    as_of: part.as_of,
                    fresh,
                    left_out: left_out.collect(),
                    left_out_more: first.left_out_more,
                    catalogue_regimes: first.catalogue_regimes,
                    unknown_regimes: std::mem::take(&mut first.unknown_regimes),
                    unknown_units: std::mem::take(&mut first.unknown_units),
                });
            }
            request.page_token = part.next_page_token;
        }
    }
}
