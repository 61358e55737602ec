//! The library that upstream services link: connect to a cluster, sign reports, submit them, read them back,
//! verify every receipt.
//!
//! ```no_run
//! use kho_client::{Client, Draft, PemSigner, SubmitError};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder()
//!     .site(["kho1:7101", "kho2:7101", "kho3:7101"])
//!     .tls_files("client.pem", "client.key.pem", "client-ca.pem")
//!     .log_key_text(&std::fs::read_to_string("log.vkey")?)
//!     .remember_in("log-memory.json")
//!     .evidence_in("evidence")
//!     .build()?;
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
//!
//! # What is where
//! | to do | begin at |
//! | --- | --- |
//! | connect: nodes, sites, TLS, log keys | [`Client::builder`] |
//! | send one record, many, or a stream | [`Client::submit`], [`Client::submit_many`], [`Client::submit_stream`] |
//! | read | [`Client::get`], [`Client::list`], [`Client::history`], [`Client::count`], [`Client::stats`], [`Client::catalogue`] |
//! | follow the log | [`Client::watch`] |
//! | large files | [`Client::upload`], [`Client::download`] |
//! | hold the log to its promise | [`Client::check_log`], [`Client::remembered`], [`log::PublicLog`] |
//! | another deadline for one call | [`Client::within`] |
//!
//! # What it promises
//! - A call ends within its deadline ([`DEADLINE`] unless told otherwise), retries and pauses included.
//!   A watch that has begun waits for nodes as long as its patience goes ([`Watching::patience`]).
//! - *Refused* and *unreachable* mean certainly not done. What may have been done is [`SubmitError::Unknown`], and the same
//!   [`Signed`] may be submitted any number of times: it is taken once.
//! - No receipt reaches the caller before it was verified against a pinned log key and the record, and held against every
//!   checkpoint that this client has accepted before ([`Breach`]).
//! - Any call may be dropped while it waits; each says what it leaves behind.
//!
//! Three examples that run are in `client/examples/`; `docs/client.md` says the rest: bounds and why they are as they are,
//! what is detected of a log that forks and what is not, spans and metrics (feature `metrics`).

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
mod faults;
mod filter;
mod foreign;
mod get;
mod hedge;
mod held;
mod list;
pub mod log;
mod many;
mod nodes;
mod observe;
mod outbox;
mod passage;
mod receipts;
mod reload;
mod rounds;
mod signer;
mod stats;
mod stream;
mod submit;
mod timing;
mod tour;
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
pub use faults::FAULTS_MAX;
pub use filter::{Filter, Order, StateFilter};
pub use get::{Fetched, GetError};
pub use hedge::HEDGE_EVERY;
pub use held::{
    Breach, Evidence, LogCheck, LogCheckError, LogMemory, MemoryError, Remembered, SAVE_INTERVAL, Said, UNPROVEN_MAX,
};
pub use list::{Count, Fresh, ListQuery, Listing, SeriesOf};
pub use nodes::{MESSAGE_BYTES_MAX, Preference};
pub use outbox::{
    Added, BYTES_MAX, DOUBT, Drained, EVENTS_MAX, KEPT_BYTES_MAX, KEPT_RECORDS_MAX, Limits, Listed, Outbox,
    OutboxAbout, OutboxError, OutboxEvent, OutboxStatus, PAUSE_MAX, PAUSE_MIN, Pace, Place, RECORDS_MAX,
    ROUND_BYTES_MAX, ROUND_RECORDS_MAX, Stored,
};
#[doc(hidden)]
pub use outbox::{Step, Steps};
pub use receipts::{ReceiptCheck, ReceiptError, Rejected};
pub use rounds::ATTEMPT_MIN;
pub use signer::{PemError, PemSigner, SignError, Signer};
pub use stats::{Stats, StatsBy, StatsCounts, StatsLeftOut, StatsQuery, StatsRow};
pub use stream::{IN_FLIGHT_MAX, Settled, StreamClosed, StreamResults, StreamSender};
pub use submit::{Acknowledged, SubmitError};
pub use timing::{ATTEMPT, DEADLINE, HEDGE_AFTER, Timing};
pub use watch::{Event, SILENCE_MAX, WATCH_PAUSE_MAX, WATCH_PAUSE_MIN, WatchFrom, Watching};
