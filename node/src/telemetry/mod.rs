//! Logs and metrics of the process. What is measured stands beside its owner (`metric_definitions.rs` of each module).

mod process;
mod recorder;

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;

use kho_proto::header::SubmittedAt;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::util::TryInitError;

pub use process::resident_bytes;
pub use recorder::{Recorder, recorder};

use crate::config::{LogFormat, TelemetryConfig};
use crate::seams::{Clock, Seams};

/// Times of log lines, as on every other face: ISO 8601, +07:00. R-D4.
struct Zone(Arc<dyn Clock>);

impl FormatTime for Zone {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", SubmittedAt::from_unix_ms(self.0.now()))
    }
}

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
    let builder = builder.with_timer(Zone(Seams::system().clock));
    match config.format {
        LogFormat::Text => builder.finish().try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kho_proto::id::UnixMs;
    use std::time::Duration;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> UnixMs {
            UnixMs(1_591_938_000_000)
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    // R-D4
    #[test]
    fn log_lines_say_the_time_in_vietnam() {
        let mut text = String::new();
        Zone(Arc::new(Noon)).format_time(&mut Writer::new(&mut text)).unwrap();
        assert_eq!(text, "2020-06-12T12:00:00.000+07:00");
    }
}
