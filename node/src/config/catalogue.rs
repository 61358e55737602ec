//! Who keeps the catalogue.

use kho_proto::id::{DRILL_UNIT, UnitCode};
use serde::Deserialize;

use super::error::Error;

/// The catalogue of units and regimes. The same on every node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogueConfig {
    /// Code of the unit whose entries count; none: there is no catalogue.
    pub unit: Option<String>,
}

impl CatalogueConfig {
    /// Of a validated configuration.
    pub(crate) fn keeper(&self) -> Option<UnitCode> {
        self.unit.as_ref()?.parse().ok()
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        match &self.unit {
            Some(unit) if self.keeper().is_none_or(|unit| unit.as_str() == DRILL_UNIT) => {
                Err(Error::range("catalogue.unit", format!("{unit:?}"), "the code of a unit"))
            }
            _ => Ok(()),
        }
    }
}
