//! How far a transfer is, on standard error; on a terminal in one line, else a line now and then.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between lines of a log.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Between updates of a line on a terminal.
const UPDATE_INTERVAL: Duration = Duration::from_millis(200);
const MIB: f64 = 1_048_576.0;

/// One transfer.
pub struct Progress {
    what: String,
    length: u64,
    begun: Instant,
    told: Instant,
    terminal: bool,
}

impl Progress {
    /// Of so many bytes.
    pub fn new(what: String, length: u64) -> Self {
        let now = Instant::now();
        Self { what, length, begun: now, told: now, terminal: std::io::stderr().is_terminal() }
    }

    /// So many bytes are there.
    pub fn at(&mut self, at: u64) {
        let interval = if self.terminal { UPDATE_INTERVAL } else { LINE_INTERVAL };
        if self.told.elapsed() < interval {
            return;
        }
        self.told = Instant::now();
        let percent = at.saturating_mul(100) / self.length.max(1);
        let text = format!("{}: {:.1} of {:.1} MiB, {percent} %", self.what, at as f64 / MIB, self.length as f64 / MIB);
        if self.terminal {
            eprint!("\r{text}  ");
            // a terminal that is gone is no reason to stop
            drop(std::io::stderr().flush());
        } else {
            eprintln!("{text}");
        }
    }

    /// All are.
    pub fn done(self) {
        let (start, seconds) = (if self.terminal { "\r" } else { "" }, self.begun.elapsed().as_secs_f64());
        eprintln!("{start}{}: {:.1} MiB in {seconds:.1} s          ", self.what, self.length as f64 / MIB);
    }
}
