/// Work of a row that a scan passes; the unit of a budget, about a microsecond.
pub const KEY_WORK: u64 = 1;
/// Work of a row that is looked up.
pub const ROW_WORK: u64 = 4;

/// Between questions whether the time is over: asking costs about as much as that.
const ASK_EVERY: u64 = 64;

/// What one step may cost. It always allows one record, so that every step gets on.
pub struct Budget<'a> {
    left: u64,
    since: u64,
    ended: bool,
    end: Box<dyn Fn() -> bool + 'a>,
}

impl<'a> Budget<'a> {
    /// So many units of work, or until `end` says so.
    pub fn new(work: u64, end: impl Fn() -> bool + 'a) -> Self {
        Self { left: work, since: 0, ended: false, end: Box::new(end) }
    }

    /// Takes so many units.
    pub fn spend(&mut self, work: u64) {
        self.left = self.left.saturating_sub(work);
        self.since = self.since.saturating_add(work);
    }

    /// Whether nothing is left.
    pub fn over(&mut self) -> bool {
        if self.since >= ASK_EVERY {
            self.since = 0;
            self.ended |= (self.end)();
        }
        self.ended || self.left == 0
    }
}
