//! A control group per machine, to take its process's memory away.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Memory limits, version 1 and version 2.
const FILES: [(&str, &str, &str, &str); 2] = [
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.failcnt"),
    ("/sys/fs/cgroup", "memory.max", "memory.current", "memory.events"),
];
/// Left to a process above what it holds when it is squeezed.
const SLACK_BYTES: u64 = 1 << 20;

/// A control group of one process.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
    version: usize,
}

impl Drop for Group {
    fn drop(&mut self) {
        // it is empty once the node is gone; what is left over is an empty directory
        let _ = fs::remove_dir(&self.path);
    }
}

impl Group {
    /// Makes one; `Ok(None)` where the machine lets nobody.
    pub fn create(name: &str) -> Option<Self> {
        (0..FILES.len()).find_map(|version| {
            let path = Path::new(FILES[version].0).join(name);
            fs::create_dir(&path).ok()?;
            let group = Self { path, version };
            // dropped again where there is no control of memory
            (group.read(FILES[version].2).is_ok() && group.free().is_ok()).then_some(group)
        })
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = self.path.join(file);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    fn limit(&self, value: &str) -> std::io::Result<()> {
        fs::write(self.path.join(FILES[self.version].1), value)
    }

    /// What a command line begins with to run in it.
    pub fn launcher(&self) -> Vec<String> {
        let join = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.path.display());
        ["sh", "-c", &join, "sh"].map(str::to_owned).to_vec()
    }

    /// Takes away all that its process does not hold now, file pages first, and a little more with every call.
    pub fn squeeze(&self) -> Result<()> {
        let usage: u64 = self.read(FILES[self.version].2)?.trim().parse()?;
        let stat = self.read("memory.stat")?;
        let held = stat.lines().find_map(|line| {
            let (name, bytes) = line.split_once(' ')?;
            ["total_rss", "anon"].contains(&name).then(|| bytes.parse::<u64>().ok())?
        });
        let limit = held.context("memory.stat names what is held")? + SLACK_BYTES;
        // version 1 refuses a limit that it can't reach at once: then what is used now is the limit, or was just now
        for bytes in [limit, usage, usage + SLACK_BYTES] {
            match self.limit(&bytes.to_string()) {
                Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {}
                done => return Ok(done?),
            }
        }
        // it grows as we look: the next call finds it elsewhere
        Ok(())
    }

    /// As much as it wants.
    pub fn free(&self) -> Result<()> {
        self.limit(if self.version == 0 { "-1" } else { "max" })?;
        Ok(())
    }

    /// How often its process wanted more than it may have.
    pub fn refused(&self) -> Result<u64> {
        let text = self.read(FILES[self.version].3)?;
        if self.version == 0 {
            return Ok(text.trim().parse()?);
        }
        let max = text.lines().find_map(|line| line.strip_prefix("max ")?.parse().ok());
        max.context("memory.events counts")
    }

    /// Whether nothing runs in it.
    pub fn check_empty(&self) -> Result<()> {
        let left = self.read("cgroup.procs")?;
        ensure!(left.trim().is_empty(), "{}: still runs: {left}", self.path.display());
        Ok(())
    }
}
