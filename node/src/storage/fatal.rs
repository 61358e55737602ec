//! What happens after an uncertain write: the process stops. It is never retried (fsyncgate: after a
//! failed fsync the kernel may drop the dirty pages and report success the next time).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops the process, once; later calls do nothing.
#[derive(Clone)]
pub struct FatalSwitch {
    fired: Arc<AtomicBool>,
    action: Arc<dyn Fn(&str) + Send + Sync>,
}

impl FatalSwitch {
    /// A switch that runs `action` with the reason, at most once.
    pub fn new(action: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { fired: Arc::new(AtomicBool::new(false)), action: Arc::new(action) }
    }

    /// Fires.
    pub fn fire(&self, reason: &str) {
        if !self.fired.swap(true, Ordering::SeqCst) {
            tracing::error!(reason, "storage failed, stopping");
            (self.action)(reason);
        }
    }

    /// Whether it was fired.
    pub fn fired(&self) -> bool {
        self.fired.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for FatalSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FatalSwitch(fired: {})", self.fired())
    }
}
