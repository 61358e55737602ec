//! The catalogues of units and regimes, embedded.

use serde::Deserialize;

use crate::regime::{FieldType, Regime};

const UNITS: &str = include_str!("../data/units.json");
const REGIMES: &str = include_str!("../data/regimes.json");

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitKind {
    /// The Government Office, which receives.
    Centre,
    /// A ministry or ministerial agency.
    Ministry,
    /// An agency under the Government.
    Agency,
    /// A national committee.
    Committee,
    /// A state group.
    Group,
    /// A province or centrally run city.
    Province,
}

/// A reporting unit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Code, e.g. `BYT`, `T01`.
    pub code: String,
    /// Name in Vietnamese.
    pub name: String,
    /// What it is.
    pub kind: UnitKind,
    /// Code of the unit above it.
    pub parent: Option<String>,
}

/// All units and regimes.
#[derive(Debug, Clone)]
pub struct Country {
    units: Vec<Unit>,
    regimes: Vec<Regime>,
}

impl Country {
    /// Parses the embedded catalogues.
    pub fn load() -> Self {
        let units: Vec<Unit> = serde_json::from_str(UNITS).expect("the embedded units parse");
        let mut regimes: Vec<Regime> = serde_json::from_str(REGIMES).expect("the embedded regimes parse");
        for field in regimes.iter_mut().flat_map(|regime| &mut regime.fields) {
            if let (FieldType::ReportingUnit, Some(kind), []) = (field.kind, field.unit_kind, field.one_of.as_slice()) {
                field.one_of = units.iter().filter(|unit| unit.kind == kind).map(|unit| unit.code.clone()).collect();
            }
        }
        Self { units, regimes }
    }

    /// Units in the order of the catalogue, the centre first.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// Regimes in the order of the catalogue.
    pub fn regimes(&self) -> &[Regime] {
        &self.regimes
    }

    /// The unit of a code.
    pub fn unit(&self, code: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.code == code)
    }

    /// The regime of a code.
    pub fn regime(&self, code: &str) -> Option<&Regime> {
        self.regimes.iter().find(|regime| regime.code == code)
    }

    /// Who reports under `regime`: its owner, or every province. A vote belongs to a member of the
    /// Government and is signed by that member, so each central unit hands in its head's.
    pub fn reporters(&self, regime: &Regime) -> Vec<&Unit> {
        let every_province = regime.owner == "*province";
        let votes = regime.subject.iter().any(|key| key == "member");
        let reports = |unit: &&Unit| match unit.kind {
            UnitKind::Province => every_province,
            _ => votes || unit.code == regime.owner,
        };
        self.units.iter().filter(reports).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogues_hold_90_units_and_25_regimes() {
        let country = Country::load();
        let count = |kind| country.units().iter().filter(|unit| unit.kind == kind).count();
        assert_eq!(
            [UnitKind::Centre, UnitKind::Ministry, UnitKind::Agency, UnitKind::Committee, UnitKind::Group].map(count),
            [1, 21, 1, 2, 2]
        );
        assert_eq!(count(UnitKind::Province), 63);
        assert_eq!(country.regimes().len(), 25);
    }

    #[test]
    fn every_regime_has_reporters_and_every_unit_reports() {
        let country = Country::load();
        let mut reporting = std::collections::BTreeSet::new();
        for regime in country.regimes() {
            let reporters = country.reporters(regime);
            assert!(!reporters.is_empty(), "{}", regime.code);
            reporting.extend(reporters.into_iter().map(|unit| unit.code.clone()));
        }
        assert_eq!(reporting.len(), country.units().len());
    }

    #[test]
    fn unit_fields_are_resolved_to_codes() {
        let country = Country::load();
        let field = |regime: &str| country.regime(regime).expect("in the catalogue").fields[0].clone();
        assert_eq!(field("NN-01").one_of.len(), 63);
        assert_eq!(field("TNMT-01").one_of, ["T01", "T79", "T31", "T48", "T92"]);
    }
}
