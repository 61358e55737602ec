//! The country in miniature: the reporting units and report regimes of 2020 (facts), and seeded reports
//! (invented) that keep to every regime's limits and checks. Demo, tests and benches all draw from here.
//!
//! ```
//! let country = kho_sample::Country::load();
//! let mut generator = kho_sample::Generator::new(2020);
//! let report = generator.next();
//! let regime = country.regime(&report.regime).expect("the generator draws from the catalogue");
//! assert_eq!(kho_sample::validate(regime, &report.payload), Ok(()));
//! ```

mod check;
mod country;
mod decimal;
mod draw;
mod generator;
mod phrases;
mod regime;
mod timetable;
mod validate;

pub use country::{Country, Unit, UnitKind};
pub use generator::{Generator, MEDIA_TYPE, Report};
pub use regime::{Field, FieldType, Frequency, Regime};
pub use validate::{Violation, validate};
