//! The library that upstream services link: connect to a cluster, sign reports, submit them, read them back,
//! verify every receipt.
//!
//! ```no_run
//! use kho_client::{Client, Config, Draft, PemSigner, ReceiptCheck, SubmitError, Tls};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let tls = Tls::from_files("client.pem".as_ref(), "client.key.pem".as_ref(), "client-ca.pem".as_ref())?;
//! let nodes = vec!["kho1:7101".to_owned(), "kho2:7101".to_owned(), "kho3:7101".to_owned()];
//! let log_key = std::fs::read_to_string("log.vkey")?.trim().parse()?;
//! let client = Client::new(Config::new(nodes, tls, ReceiptCheck::Pinned(log_key)))?;
//!
//! let signer = PemSigner::from_files("signer.pem".as_ref(), "signer.key.pem".as_ref(), None)?;
//! let draft = Draft {
//!     record_id: None,
//!     unit: "BYT".parse()?,
//!     regime: "YT-01".parse()?,
//!     period: "2020-06-12".parse()?,
//!     series: String::new(),
//!     supersedes: None,
//!     receivers: vec!["VPCP".parse()?],
//!     media_type: "application/json".to_owned(),
//!     payload: r#"{"new_cases": 0}"#.into(),
//! };
//! let record = draft.sign(&signer, client.surroundings()).await?;
//! match client.submit(&record).await {
//!     Ok(done) => println!("{} stands at {}", done.record_id, done.receipt.sequence),
//!     // the same bytes again, now or after a restart: never a second record
//!     Err(SubmitError::Unknown { record_id, .. }) => println!("{record_id}: ask again"),
//!     Err(error) => println!("{}: {error}", error.code().as_str()),
//! }
//! # Ok(())
//! # }
//! ```

mod ask;
mod attach;
pub mod attempt;
mod builder;
mod case;
mod catalogue;
mod chains;
pub mod channel;
mod client;
mod clock;
mod config;
mod draft;
mod entry;
mod filter;
mod get;
mod hedge;
mod held;
mod list;
pub mod log;
mod many;
mod nodes;
mod observe;
mod receipts;
mod reload;
mod rounds;
mod signer;
mod stats;
mod stream;
mod submit;
mod timing;
mod watch;

pub use ask::ReadError;
pub use attach::{AttachmentError, Content, Downloading, FileContent, PATIENCE, Part, STALL_MAX, describe};
pub use builder::Builder;
pub use catalogue::{CatalogueEntry, CatalogueKind, CatalogueQuery};
pub use channel::{RELOAD_INTERVAL, Tls, TlsStatus};
pub use client::Client;
pub use clock::{Surroundings, System};
pub use config::{Config, ConfigError, NODES_MAX, Problem};
pub use draft::{Draft, SignDraftError, Signed};
pub use entry::{About, Entry};
pub use filter::{Filter, Order, StateFilter};
pub use get::{Fetched, GetError};
pub use hedge::HEDGE_EVERY;
pub use held::{
    Breach, Evidence, LogCheck, LogCheckError, LogMemory, MemoryError, Remembered, SAVE_INTERVAL, Said, UNPROVEN_MAX,
};
pub use list::{Count, Fresh, ListQuery, Listing, SeriesOf};
pub use nodes::{MESSAGE_BYTES_MAX, Preference};
pub use receipts::{ReceiptCheck, ReceiptError, Rejected};
pub use rounds::ATTEMPT_MIN;
pub use signer::{PemError, PemSigner, SignError, Signer};
pub use stats::{Stats, StatsBy, StatsCounts, StatsQuery, StatsRow};
pub use stream::{IN_FLIGHT_MAX, Settled, StreamClosed, StreamResults, StreamSender};
pub use submit::{Acknowledged, SubmitError};
pub use timing::{ATTEMPT, DEADLINE, HEDGE_AFTER, Timing};
pub use watch::{BREAKS_MAX, Event, SILENCE_MAX, WatchFrom, Watching};
