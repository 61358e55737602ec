//! Points at which a machine may be cut off: right before or right after the nth operation of a kind. Times that are drawn
//! by chance hit these rarely.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::storage::{Durability, Profile};

use super::SimDisk;

/// A kind of operation on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// A batch of the log is synced: entries, a vote, a truncation, a purge.
    LogSync,
    /// An entry's rows go into the state, in memory.
    Apply,
    /// The state goes to disk.
    Flush,
    /// The state's files are copied: a snapshot is made.
    Checkpoint,
    /// The first row of a state that came from elsewhere is synced.
    Install,
    /// A state is opened: at the start, or one that came from elsewhere.
    OpenState,
    /// The file that [`SimDisk::watch`] names was written, and nothing of the log since: the cut comes before its next
    /// sync, whatever side is asked for.
    Mark,
}

impl Point {
    /// Of a write to a database.
    pub(super) fn of_write(profile: Profile, durability: Durability) -> Option<Self> {
        match (profile, durability) {
            (Profile::Log, Durability::Sync) => Some(Point::LogSync),
            (Profile::Log, Durability::Buffered) => None,
            (Profile::State, Durability::Buffered) => Some(Point::Apply),
            (Profile::State, Durability::Sync) => Some(Point::Install),
        }
    }
}

/// On which side of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// It was not done.
    Before,
    /// It was done, and nobody heard of it.
    After,
}

/// A cut that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// Where.
    pub point: Point,
    /// At the nth operation of that kind from now on, from 1.
    pub nth: u64,
    /// On which side of it.
    pub side: Side,
    /// The machine loses its power; else its process is killed.
    pub power: bool,
}

/// What a disk waits for, and whether it happened.
#[derive(Default)]
pub(super) struct Points {
    armed: Option<Cut>,
    /// The machine is cut off: nothing works until it crashes for good.
    dead: bool,
    mark: Option<(PathBuf, Option<Vec<u8>>)>,
}

impl SimDisk {
    /// A file whose writes are [`Point::Mark`].
    pub fn watch(&self, mark: PathBuf) {
        self.points.lock().mark = Some((mark, None));
    }

    /// The machine is cut at this point, once, however often its process begins again before; none: at no point.
    pub fn arm(self: &Arc<Self>, cut: Option<Cut>) {
        let mut points = self.points.lock();
        points.armed = cut;
        if let Some((mark, content)) = &mut points.mark {
            *content = fs::read(mark).ok();
        }
    }

    /// Where it is to be cut.
    pub fn armed(&self) -> Option<Cut> {
        self.points.lock().armed
    }

    /// Whether the machine was cut at a point, and has not crashed for good yet: its process may run on for a moment, and
    /// nothing of what it does may be heard.
    pub fn is_cut(&self) -> bool {
        self.points.lock().dead
    }

    pub(super) fn revive(&self) {
        self.points.lock().dead = false;
    }

    /// Whether the machine is cut here and now.
    pub(super) fn cut(&self, point: Point, side: Side) -> bool {
        let mut points = self.points.lock();
        let Some(armed) = points.armed.as_mut().filter(|cut| cut.point == point && cut.side == side) else {
            return false;
        };
        armed.nth = armed.nth.saturating_sub(1);
        if armed.nth > 0 {
            return false;
        }
        let power = armed.power;
        points.armed = None;
        points.dead = true;
        drop(points);
        self.databases_crash(power);
        true
    }

    /// The same before a sync of the log, where the watched file was written since the last.
    pub(super) fn cut_at_mark(&self) -> bool {
        let side = {
            let mut points = self.points.lock();
            let Some(cut) = points.armed.filter(|cut| cut.point == Point::Mark) else { return false };
            let Some((mark, content)) = &mut points.mark else { return false };
            let now = fs::read(mark).ok();
            if std::mem::replace(content, now.clone()) == now {
                return false;
            }
            cut.side
        };
        self.cut(Point::Mark, side)
    }
}
