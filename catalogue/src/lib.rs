//! The catalogue: which units and regimes there are, what a report must be, when it is due, and which are expected.
//!
//! Pure: no I/O, no clock. A node keeps a [`Catalogue`] in memory and [`judge`](Catalogue::judge)s reports by it; the command
//! line reads the same documents from files. `docs/catalogue.md`, `docs/formats/catalogue.md`.

mod calendar;
mod check;
mod day;
mod decimal;
mod document;
mod duties;
mod entry;
mod figures;
mod judge;
mod regime;
mod store;
#[cfg(test)]
mod tests;

pub use calendar::{Due, is_of, periods};
pub use day::Day;
pub use document::{
    Deadline, FieldDocument, FieldType, Frequency, Kind, Mode, Names, PolicyDocument, RegimeDocument, Reporters,
    UnitDocument, schema,
};
pub use duties::{Duty, Expected};
pub use entry::{DOCUMENT_LENGTH_MAX, Entry, MEDIA_TYPE, POLICY_CODE, RESERVED, is_reserved};
pub use regime::Regime;
pub use store::{BYTES_MAX, CODES_MAX, Catalogue, VERSIONS_MAX, Version};
