//! What second attempts may cost: a share of the reads, so that a cluster that is slow because it is full is not filled further.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// One read in so many may be asked of a second node...
pub const HEDGE_EVERY: u32 = 10;
/// ...and so many at once, when there were none for a while.
const SAVED_MAX: u32 = 10;

/// Second attempts that may be made, in tenths ([`HEDGE_EVERY`]).
pub(crate) struct Budget {
    tenths: Mutex<u32>,
    spent: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { tenths: Mutex::new(SAVED_MAX * HEDGE_EVERY), spent: AtomicU64::new(0) }
    }
}

impl Budget {
    /// A read begins.
    pub fn earn(&self) {
        let mut tenths = self.tenths.lock();
        *tenths = (*tenths + 1).min(SAVED_MAX * HEDGE_EVERY);
    }

    /// Whether a second attempt may be made: it is counted.
    pub fn spend(&self) -> bool {
        let mut tenths = self.tenths.lock();
        let Some(left) = tenths.checked_sub(HEDGE_EVERY) else { return false };
        *tenths = left;
        self.spent.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Second attempts that were made.
    pub fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_read_in_ten_may_be_asked_twice() {
        let budget = Budget::default();
        let first = (0..100).filter(|_| budget.spend()).count();
        assert_eq!(first, SAVED_MAX as usize, "what was saved");
        let later = (0..1000).filter(|_| {
            budget.earn();
            budget.spend()
        });
        assert_eq!(later.count(), 1000 / HEDGE_EVERY as usize);
        assert_eq!(budget.spent(), 110);
    }
}
