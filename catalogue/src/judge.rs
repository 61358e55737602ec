//! Whether a report is as the catalogue has it. Who and what is valid is judged by the last day of the period, not by today: a
//! province that was merged on the 1st of July still corrects its June.

use kho_proto::error::{Code, Refusal, excerpt};
use kho_proto::header::{Header, SubmittedAt};
use kho_proto::id::{DRILL_UNIT, UnixMs};

use crate::calendar::is_of;
use crate::day::Day;
use crate::document::{Kind, RegimeDocument, UnitDocument};
use crate::entry::Entry;
use crate::figures::{NotAUnit, validate};
use crate::regime::Regime;
use crate::store::Catalogue;

/// A sender's clock may be ahead by so much, as with submitted-at.
const AHEAD_MS: u64 = 5 * 60 * 1000;

impl Catalogue {
    /// Judges a report by the catalogue as of `size` leaves; `now` is the node's clock.
    pub fn judge(&self, size: u64, header: &Header, payload: &[u8], now: UnixMs) -> Result<(), Refusal> {
        let day = Day::last_of(&header.period);
        if header.unit.as_str() == DRILL_UNIT || !self.is_enforced(day, size) {
            return Ok(());
        }
        let (regime_code, unit_code) = (header.regime.as_str(), header.unit.as_str());
        let unit = self.valid_unit(unit_code, day, size)?;
        let regime = self.valid_regime(regime_code, day, size)?;
        let document = regime.document();
        if !regime.asks(unit_code, &unit.unit_kind) {
            let text = format!("{unit_code} does not report under {regime_code}");
            return Err(Refusal::new(Code::RegimeNotOfUnit, text).expected_found(reporters(document), unit_code));
        }
        if !is_of(document.frequency, &header.period) {
            let text = format!("{} is no period of {regime_code}", header.period);
            let expected = format!("a {} period, such as {}", frequency(document), example(document));
            return Err(Refusal::new(Code::PeriodNotOfRegime, text).expected_found(expected, header.period.to_string()));
        }
        let begins = regime.due(&header.period).begins;
        if begins.0 > now.0.saturating_add(AHEAD_MS) {
            let (begins, now) = (SubmittedAt::from_unix_ms(begins), SubmittedAt::from_unix_ms(now));
            let text = format!("the period {} of {regime_code} begins at {begins}", header.period);
            return Err(Refusal::new(Code::PeriodInFuture, text)
                .expected_found(format!("not before {begins}"), now.to_string()));
        }
        if !document.attachments && !header.attachments.is_empty() {
            let text = format!("{regime_code} takes no attachments");
            let found = header.attachments.len().to_string();
            return Err(Refusal::new(Code::AttachmentsNotOfRegime, text).expected_found("none", found));
        }
        self.figures(regime, header, payload, day, size)
    }

    fn valid_unit(&self, code: &str, day: Day, size: u64) -> Result<&UnitDocument, Refusal> {
        match self.unit(code, day, size) {
            Some((unit, true)) => Ok(unit),
            Some((unit, false)) => {
                let successors = match &unit.successors[..] {
                    [] => String::new(),
                    successors => format!("; after it reports {}", successors.join(", ")),
                };
                let text = format!("unit {code} is not valid on {day}, the period's last day{successors}");
                let span = span(unit.valid_from.as_deref(), unit.valid_to.as_deref());
                Err(Refusal::new(Code::UnitNotValid, text).expected_found(span, day.to_string()))
            }
            None => {
                let unknown = (Code::UnitUnknown, Code::UnitNotValid);
                Err(self.absent(Kind::Unit, code, day, size, unknown))
            }
        }
    }

    fn valid_regime(&self, code: &str, day: Day, size: u64) -> Result<&Regime, Refusal> {
        match self.regime(code, day, size) {
            Some((regime, true)) => Ok(regime),
            Some((regime, false)) => {
                let text = format!("regime {code} is not valid on {day}, the period's last day");
                let span = span(regime.document.valid_from.as_deref(), regime.document.valid_to.as_deref());
                Err(Refusal::new(Code::RegimeNotValid, text).expected_found(span, day.to_string()))
            }
            None => Err(self.absent(Kind::Regime, code, day, size, (Code::RegimeUnknown, Code::RegimeNotValid))),
        }
    }

    fn absent(&self, kind: Kind, code: &str, day: Day, size: u64, codes: (Code, Code)) -> Refusal {
        let kind_text = kind.as_str();
        match self.latest(kind, code, size).next() {
            None => Refusal::new(codes.0, format!("the catalogue has no {kind_text} {code}"))
                .expected_found(format!("a {kind_text} of the catalogue"), code),
            Some(first) => {
                let text = format!("the catalogue has {kind_text} {code} from {} on", first.effective_from);
                let expected = format!("a period that ends on {} or later", first.effective_from);
                Refusal::new(codes.1, text).expected_found(expected, day.to_string())
            }
        }
    }

    fn figures(&self, regime: &Regime, header: &Header, payload: &[u8], day: Day, size: u64) -> Result<(), Refusal> {
        if !regime.is_checked() {
            return Ok(());
        }
        let units = |code: &str, kind: Option<&str>| match self.unit(code, day, size) {
            Some((unit, _)) if kind.is_some_and(|kind| kind != unit.unit_kind) => Some(NotAUnit::OtherKind),
            Some((_, true)) => None,
            Some((_, false)) => Some(NotAUnit::NotValid),
            None if self.knows(Kind::Unit, code, size) => Some(NotAUnit::NotValid),
            None => Some(NotAUnit::Unknown),
        };
        let fields = validate(regime, &header.media_type, payload, &units);
        let Some(first) = fields.kept().first() else { return Ok(()) };
        let text = format!(
            "{} of the figures' fields break a rule of {}: {}",
            fields.total(),
            header.regime,
            first.message_en
        );
        let refusal = Refusal::new(Code::FiguresInvalid, text).expected_found(&first.expected, &first.found);
        Err(Refusal { fields, ..refusal })
    }

    /// Judges an entry that is to be recorded.
    pub fn judge_entry(&self, header: &Header, payload: &[u8]) -> Result<(), Refusal> {
        let Some(_) = Kind::of_regime(&header.regime) else {
            let names = Kind::ALL.map(|kind| kind.regime().to_string()).join(", ");
            let refusal = Refusal::new(Code::CatalogueInvalid, "the regime is reserved and not one of the catalogue's");
            return Err(refusal.expected_found(names, excerpt(header.regime.as_str())));
        };
        let entry = Entry::of_record(header, payload).map_err(|fields| {
            let first = fields.kept().first().cloned().unwrap_or_default();
            let text = format!("{} places of the entry break a rule: {}", fields.total(), first.message_en);
            let refusal = Refusal::new(Code::CatalogueInvalid, text).expected_found(first.expected, first.found);
            Refusal { fields, ..refusal }
        })?;
        self.room_for(&entry, payload.len()).map_err(|full| Refusal::new(Code::CatalogueFull, full.to_string()))
    }
}

fn span(from: Option<&str>, to: Option<&str>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => format!("{from} to {to}"),
        (Some(from), None) => format!("{from} or later"),
        (None, Some(to)) => format!("{to} or before"),
        (None, None) => String::new(),
    }
}

/// Who reports, cut short.
fn reporters(document: &RegimeDocument) -> String {
    let reporters = &document.reporters;
    let kinds = reporters.unit_kinds.iter().map(|kind| format!("every {kind}"));
    let mut all: Vec<String> = kinds.chain(reporters.units.iter().cloned()).take(8).collect();
    if reporters.units.len() + reporters.unit_kinds.len() > all.len() {
        all.push("others".to_owned());
    }
    all.join(", ")
}

fn frequency(document: &RegimeDocument) -> &'static str {
    use crate::document::Frequency::*;
    match document.frequency {
        Daily => "daily",
        Weekly => "weekly",
        Monthly => "monthly",
        Quarterly => "quarterly",
        HalfYearly => "half-yearly",
        Yearly => "yearly",
        TwoYearly => "two-yearly",
        AdHoc => "ad-hoc",
    }
}

fn example(document: &RegimeDocument) -> &'static str {
    use crate::document::Frequency::*;
    match document.frequency {
        Daily => "2020-06-12",
        Weekly => "2020-W24",
        Monthly => "2020-06",
        Quarterly => "2020-04/2020-06",
        HalfYearly => "2020-07/2020-12",
        Yearly => "2020",
        TwoYearly => "2019-01/2020-12",
        AdHoc => "2020-06-12T08:30:00+07:00",
    }
}
