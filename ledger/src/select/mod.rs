//! Lists of records: which path over the rows, and one bounded step along it.
//!
//! Nothing is sorted and nothing is kept between steps: a step begins behind a [`Cursor`] and ends when whoever asked has
//! enough, when its [`Budget`] is spent, or at the end. A query names the size that it is about, so that steps which are
//! taken while records come in are parts of one answer. Rows hold tokens: what must be compared with names is the matter of
//! whoever can open a record, in `visit`.

mod accepted;
mod budget;
mod gather;
mod index;
mod plan;
mod query;
mod sent;
mod series;
mod walk;

pub use accepted::first_accepted_from;
pub use budget::{Budget, KEY_WORK, ROW_WORK};
pub use gather::GATHER_KEYS_MAX;
pub use query::{Audience, Eyes, Order, Periods, Query, State};
pub use sent::{Pair, Sent, sent, sent_pair};
pub use series::{revisions, superseded};
pub use walk::{Candidate, Cursor, Look, count, follow, select};
