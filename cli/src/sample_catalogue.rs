//! The sample's units and regimes as documents of the catalogue. Committed in `sample/catalogue/`, for `kho catalogue load`.
//!
//! Cut-off days are those of Decree 09/2019/ND-CP, article 12; deadlines and days of effect are the sample's own.

use kho_catalogue::{
    Deadline, FieldDocument, FieldType, Frequency, Kind, Mode, Names, PolicyDocument, RegimeDocument, Reporters,
    UnitDocument,
};
use kho_sample::{Country, Field, Regime, Unit, UnitKind};
use serde::Serialize;

/// The first day of the series that are loaded in bulk.
const FROM: &str = "2010-01-01";

/// Files, and what stands in them.
pub fn files() -> Vec<(&'static str, String)> {
    let country = Country::load();
    let units: Vec<UnitDocument> = country.units().iter().map(unit).collect();
    let regimes: Vec<RegimeDocument> = country.regimes().iter().map(|of| regime(&country, of)).collect();
    let policy = PolicyDocument {
        kind: Kind::Policy,
        code: "catalogue".to_owned(),
        effective_from: FROM.to_owned(),
        enforced: true,
    };
    vec![("policy.json", pretty(&policy)), ("regimes.json", pretty(&regimes)), ("units.json", pretty(&units))]
}

fn pretty(documents: &impl Serialize) -> String {
    serde_json::to_string_pretty(documents).expect("documents are JSON") + "\n"
}

fn named(vi: &str) -> Names {
    Names { vi: vi.to_owned(), en: None }
}

fn kind_name(kind: UnitKind) -> String {
    let name = match kind {
        UnitKind::Centre => "centre",
        UnitKind::Ministry => "ministry",
        UnitKind::Agency => "agency",
        UnitKind::Committee => "committee",
        UnitKind::Group => "group",
        UnitKind::Province => "province",
    };
    name.to_owned()
}

fn unit(unit: &Unit) -> UnitDocument {
    UnitDocument {
        kind: Kind::Unit,
        code: unit.code.clone(),
        effective_from: FROM.to_owned(),
        name: named(&unit.name),
        unit_kind: kind_name(unit.kind),
        parent: unit.parent.clone(),
        valid_from: None,
        valid_to: None,
        successors: Vec::new(),
    }
}

fn regime(country: &Country, regime: &Regime) -> RegimeDocument {
    use kho_sample::Frequency as Sample;
    let through_25th = Some(Deadline::DayOfMonth { day: 25, months_after: 0 });
    let (frequency, cutoff_day, deadline) = match regime.frequency {
        Sample::Daily => (Frequency::Daily, None, Some(Deadline::HoursAfter(12))),
        Sample::Weekly => (Frequency::Weekly, None, Some(Deadline::DaysAfter(2))),
        Sample::Monthly => (Frequency::Monthly, Some(15), through_25th),
        Sample::Quarterly => (Frequency::Quarterly, Some(15), through_25th),
        Sample::HalfYearly => (Frequency::HalfYearly, Some(15), through_25th),
        Sample::Yearly => (Frequency::Yearly, Some(15), through_25th),
        Sample::TwoYearly => (Frequency::TwoYearly, Some(15), through_25th),
        Sample::AdHoc => (Frequency::AdHoc, None, Some(Deadline::HoursAfter(24))),
    };
    let every_province = regime.owner == "*province";
    let reporters = match every_province {
        true => Reporters { units: Vec::new(), unit_kinds: vec!["province".to_owned()] },
        false => {
            let codes = country.reporters(regime).into_iter().map(|unit| unit.code.clone());
            Reporters { units: codes.collect(), unit_kinds: Vec::new() }
        }
    };
    RegimeDocument {
        kind: Kind::Regime,
        code: regime.code.clone(),
        effective_from: FROM.to_owned(),
        name: named(&regime.name),
        owner: if every_province { "VPCP".to_owned() } else { regime.owner.clone() },
        legal_basis: Some("Công văn 4699/VPCP-KSTT năm 2020".to_owned()),
        valid_from: None,
        valid_to: None,
        frequency,
        cutoff_day,
        deadline,
        reporters,
        receivers: vec!["VPCP".to_owned()],
        attachments: regime.attachments,
        mode: Mode::Checked,
        rows: regime.rows,
        fields: regime.fields.iter().map(field).collect(),
        checks: regime.checks.iter().map(ToString::to_string).collect(),
        subject: regime.subject.clone(),
    }
}

fn field(field: &Field) -> FieldDocument {
    use kho_sample::FieldType as Sample;
    // of units all of a kind, unless the sample names some
    let unit_kind = field.unit_kind.map(kind_name);
    let country = Country::load();
    let all_of_kind = field.unit_kind.is_some_and(|kind| {
        country.units().iter().filter(|unit| unit.kind == kind).map(|unit| &unit.code).eq(&field.one_of)
    });
    FieldDocument {
        key: field.key.clone(),
        label: named(&field.label),
        field_type: match field.kind {
            Sample::Integer => FieldType::Integer,
            Sample::Decimal => FieldType::Decimal,
            Sample::Text => FieldType::Text,
            Sample::ReportingUnit => FieldType::ReportingUnit,
        },
        unit_kind,
        measure: field.measure.clone(),
        scale: u8::try_from(field.scale).unwrap_or(u8::MAX),
        min: field.min,
        max: field.max,
        max_words: field.max_words.and_then(|words| u32::try_from(words).ok()),
        one_of: if all_of_kind { Vec::new() } else { field.one_of.clone() },
        optional: false,
        required_if: field.required_if.as_ref().map(|condition| format!("{} = {}", condition.key, condition.value)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use kho_catalogue::{Catalogue, Entry, Version};
    use kho_proto::header::SubmittedAt;
    use kho_proto::id::{RecordId, Seq, UnixMs};
    use kho_proto::record::Draft;
    use kho_sample::Generator;
    use serde_json::Value;

    use super::*;

    /// 2021-01-01T00:00:00+07:00
    const NOW: UnixMs = UnixMs(1_609_434_000_000);

    #[test]
    fn the_committed_files_are_the_samples() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample/catalogue");
        for (name, text) in files() {
            let path = folder.join(name);
            if std::env::var_os("KHO_WRITE_CATALOGUE").is_some() {
                std::fs::create_dir_all(&folder).expect("a folder");
                std::fs::write(&path, &text).expect("written");
            }
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == text, "sample/catalogue/{name}: run with KHO_WRITE_CATALOGUE=1");
        }
    }

    fn catalogue() -> Catalogue {
        let mut catalogue = Catalogue::default();
        let mut seq = 0;
        for (_, text) in files() {
            let documents = match serde_json::from_str(&text).expect("JSON") {
                Value::Array(documents) => documents,
                one => vec![one],
            };
            for document in documents {
                seq += 1;
                let entry = Entry::from_json(document.to_string().as_bytes()).expect("every rule holds");
                catalogue.insert(Version {
                    effective_from: entry.effective_from().parse().expect("a day"),
                    seq: Seq(seq),
                    record_id: RecordId::new_v7(seq, &[0; 10]),
                    revision: 1,
                    document: entry.canonical().into(),
                    entry: Arc::new(entry),
                });
            }
        }
        catalogue
    }

    /// What the sample generates keeps to the rules that it was converted to, and a changed figure does not.
    #[test]
    fn generated_reports_are_taken_by_the_converted_catalogue() {
        let catalogue = catalogue();
        let mut generator = Generator::new(2020);
        let mut refused = 0;
        for n in 0..5_000 {
            let report = generator.next();
            let draft = Draft {
                record_id: RecordId::new_v7(1, &[0; 10]),
                unit: report.unit.parse().expect("a code"),
                regime: report.regime.parse().expect("a code"),
                period: report.period.parse().expect("a period"),
                series: report.series.clone(),
                supersedes: None,
                receivers: Vec::new(),
                submitted_at: SubmittedAt::from_unix_ms(NOW),
                media_type: report.media_type.clone(),
                salt: [0; 16],
            };
            let header = draft.header(&report.payload).expect("a header");
            let verdict = catalogue.judge(u64::MAX, &header, &report.payload, NOW);
            assert_eq!(
                verdict,
                Ok(()),
                "{n}: {} {} {}",
                report.unit,
                report.regime,
                String::from_utf8_lossy(&report.payload)
            );
            let text = String::from_utf8(report.payload).expect("UTF-8");
            let broken = text.replacen(':', ":-", 1);
            refused += u64::from(catalogue.judge(u64::MAX, &header, broken.as_bytes(), NOW).is_err());
        }
        assert_eq!(refused, 5_000, "figures that are no JSON any more, or below their limit");
    }
}
