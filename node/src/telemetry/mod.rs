//! Logs and metrics of the process. What is measured stands beside its owner (`metric_definitions.rs` of each module).

mod process;
mod recorder;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;

pub use process::resident_bytes;
pub use recorder::{Recorder, recorder};

use crate::config::{LogFormat, TelemetryConfig};

/// Why logging was not set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter does not parse.
    #[error("telemetry.log: expected a log filter such as \"info\", found {found:?}: {source}")]
    Filter {
        /// As configured.
        found: String,
        /// Why.
        source: tracing_subscriber::filter::ParseError,
    },
    /// A subscriber is there already.
    #[error(transparent)]
    Taken(#[from] TryInitError),
}

/// The filter of `telemetry.log`: all that can be wrong with it before it is used.
pub fn filter(config: &TelemetryConfig) -> Result<EnvFilter, Error> {
    EnvFilter::try_new(&config.log).map_err(|source| Error::Filter { found: config.log.clone(), source })
}

/// Sets up logging to standard error for this process; once.
pub fn init(config: &TelemetryConfig) -> Result<(), Error> {
    use tracing_subscriber::util::SubscriberInitExt;
    let filter = filter(config)?;
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => builder.finish().try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}
