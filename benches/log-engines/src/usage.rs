//! What this process has used, as the kernel tells it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Since the process began.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// Processor time of all threads that are still there, ns.
    pub cpu_ns: u64,
    /// Ticks in user mode.
    pub user_ticks: u64,
    /// Ticks in the kernel.
    pub kernel_ticks: u64,
    /// Bytes handed to write calls.
    pub write_bytes: u64,
    /// Ticks of all processors that did something for anybody: the file system's own threads are no part of a process.
    pub machine_ticks: u64,
}

/// Ticks of a second (`USER_HZ`).
const TICKS_PER_S: u64 = 100;

impl Used {
    /// Until now.
    pub fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        // the name, in brackets, may hold blanks
        let (_, fields) = stat.rsplit_once(") ").context("/proc/self/stat")?;
        let ticks = |field: usize| fields.split(' ').nth(field).and_then(|text| text.parse().ok());
        let io = fs::read_to_string("/proc/self/io")?;
        Ok(Self {
            cpu_ns: threads_ns()?,
            user_ticks: ticks(11).context("utime")?,
            kernel_ticks: ticks(12).context("stime")?,
            write_bytes: number(&io, "wchar:")?,
            machine_ticks: machine_ticks(&fs::read_to_string("/proc/stat")?)?,
        })
    }

    /// What was used since `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns - before.cpu_ns,
            user_ticks: self.user_ticks - before.user_ticks,
            kernel_ticks: self.kernel_ticks - before.kernel_ticks,
            write_bytes: self.write_bytes - before.write_bytes,
            machine_ticks: self.machine_ticks - before.machine_ticks,
        }
    }

    /// Processor time of the whole machine, µs: the engine's only where nothing else runs.
    pub fn machine_us(&self) -> f64 {
        self.machine_ticks as f64 * 1e6 / TICKS_PER_S as f64
    }

    /// Part of the processor time that was spent in the kernel; ticks are too coarse for more than that.
    pub fn kernel_part(&self) -> f64 {
        self.kernel_ticks as f64 / (self.user_ticks + self.kernel_ticks).max(1) as f64
    }
}

/// user, nice, system, idle, iowait, irq, softirq: all but the two that are idle.
fn machine_ticks(stat: &str) -> Result<u64> {
    let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("/proc/stat")?;
    let ticks = line.split_whitespace().take(7).map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    Ok(ticks.iter().sum::<u64>() - ticks.iter().skip(3).take(2).sum::<u64>())
}

fn threads_ns() -> Result<u64> {
    let mut total = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        total += text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).context("schedstat")?;
    }
    Ok(total)
}

fn number(text: &str, name: &str) -> Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| name.to_owned())?;
    Ok(value.trim().trim_end_matches(" kB").parse()?)
}

/// Most memory that the process ever held, KiB.
pub fn peak_kib() -> Result<u64> {
    number(&fs::read_to_string("/proc/self/status")?, "VmHWM:")
}

/// Bytes that the files of a directory take on the disk.
pub fn disk_bytes(dir: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        total += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_did_is_all_but_idle_and_waiting() {
        assert_eq!(machine_ticks("cpu  10 2 30 4000 500 6 7 0 0 0\ncpu0 1 1 1 1 1 1 1\n").unwrap(), 55);
    }

    #[test]
    fn what_a_thread_burns_is_counted() {
        let before = Used::now().unwrap();
        let begun = std::time::Instant::now();
        let mut n = 0_u64;
        while begun.elapsed().as_millis() < 30 {
            n = std::hint::black_box(n + 1);
        }
        let used = Used::now().unwrap().since(&before);
        assert!(used.cpu_ns > 1_000_000, "{used:?}");
        assert!(peak_kib().unwrap() > 100);
    }
}
