//! What the kernel says of a process.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// CPU time since the start of `pid`, user and system, all threads.
pub fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // the name may hold spaces and parentheses; after it come the numbers, from field 3 on
    let (_, fields) = stat.rsplit_once(')').context("a process name")?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (ticks.next().context("utime")??, ticks.next().context("stime")??);
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64((user + system) as f64 / per_second as f64))
}

/// CPU time of all `pids`.
pub fn cpu_of(pids: &[u32]) -> Result<Duration> {
    pids.iter().map(|pid| cpu(*pid)).sum()
}

fn status_kib(pid: u32, key: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("{key} of {pid}"))?;
    Ok(line.split_whitespace().next().context("a number")?.parse()?)
}

/// Resident memory in MiB.
pub fn rss_mib(pid: u32) -> Result<f64> {
    Ok(status_kib(pid, "VmRSS:")? as f64 / 1024.0)
}

/// Resident memory of its own in MiB: without the pages of files, which the kernel can take back (etcd maps its database).
pub fn rss_own_mib(pid: u32) -> Result<f64> {
    Ok(status_kib(pid, "RssAnon:")? as f64 / 1024.0)
}

/// The most that was resident since the start, in MiB.
pub fn rss_peak_mib(pid: u32) -> Result<f64> {
    Ok(status_kib(pid, "VmHWM:")? as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_process() {
        let own = std::process::id();
        let before = cpu(own).expect("stat");
        let mut sum = 0_u64;
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(60) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu(own).expect("stat") > before);
        let (now, peak) = (rss_mib(own).expect("status"), rss_peak_mib(own).expect("status"));
        assert!(now > 0.5 && peak >= now);
        let of_its_own = rss_own_mib(own).expect("status");
        assert!(of_its_own > 0.0 && of_its_own < now, "the program itself is a file");
    }
}
