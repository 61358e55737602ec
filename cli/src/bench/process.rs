//! What the kernel says of processes: `/proc/PID/{stat,status,io}` (proc(5)).

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Fields of `/proc/PID/stat` from the third on, behind the name.
fn stat(pid: u32) -> Result<Vec<u64>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // the name may hold spaces and parentheses; after it come the state and the numbers
    let (_, fields) = stat.rsplit_once(')').context("a process name")?;
    // some are signed, and none of those is asked for
    Ok(fields.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0)).collect())
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs_f64(count as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// CPU time since the start of `pid`, user and system, all threads.
fn times(pid: u32) -> Result<(Duration, Duration)> {
    let fields = stat(pid)?;
    Ok((ticks(*fields.get(10).context("utime")?), ticks(*fields.get(11).context("stime")?)))
}

/// CPU time since the start of `pid`, all threads.
pub fn cpu(pid: u32) -> Result<Duration> {
    times(pid).map(|(user, system)| user + system)
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

/// Bytes that `pid` caused to be written to disks: `write_bytes`, which leaves out what stays in the page cache and is
/// deleted again before it is written. None: we may not read it.
fn written(pid: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
}

/// A process and all that descend from it.
pub fn family(pid: u32) -> Result<Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(one) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // it may have ended meanwhile
        if let Some(parent) = stat(one).ok().and_then(|fields| fields.first().copied()) {
            children.entry(u32::try_from(parent)?).or_default().push(one);
        }
    }
    let mut family = vec![pid];
    let mut next = 0;
    while next < family.len() {
        family.extend(children.remove(&family[next]).unwrap_or_default());
        next += 1;
    }
    Ok(family)
}

/// A node: a process, and those that it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// As reports name it.
    pub name: String,
    /// The first process.
    pub pid: u32,
    /// Only that one, without its children.
    pub alone: bool,
}

/// What one process had used.
#[derive(Debug, Clone, Copy)]
struct Used {
    user: Duration,
    system: Duration,
    written: Option<u64>,
}

/// What a group had used at one moment.
#[derive(Debug)]
pub struct Moment {
    name: String,
    processes: BTreeMap<u32, Used>,
    rss_mib: f64,
    rss_own_mib: f64,
}

/// What a group took in the measured time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Which.
    pub name: String,
    /// CPU time in user mode.
    pub user_s: f64,
    /// CPU time in the kernel.
    pub system_s: f64,
    /// Bytes written to disks; none where the kernel does not tell us.
    pub written_bytes: Option<u64>,
    /// Resident at the end.
    pub rss_mib: f64,
    /// The same without pages of files.
    pub rss_own_mib: f64,
}

impl Usage {
    /// User and system.
    pub fn cpu_s(&self) -> f64 {
        self.user_s + self.system_s
    }
}

impl Group {
    /// Reads all counters.
    pub fn look(&self) -> Result<Moment> {
        let pids = if self.alone { vec![self.pid] } else { family(self.pid)? };
        let mut moment = Moment { name: self.name.clone(), processes: BTreeMap::new(), rss_mib: 0.0, rss_own_mib: 0.0 };
        for pid in pids {
            // children come and go; the group's first process must be there
            let Ok((user, system)) = times(pid) else {
                anyhow::ensure!(pid != self.pid, "{} has ended", self.name);
                continue;
            };
            moment.processes.insert(pid, Used { user, system, written: written(pid) });
            moment.rss_mib += rss_mib(pid).unwrap_or(0.0);
            moment.rss_own_mib += rss_own_mib(pid).unwrap_or(0.0);
        }
        Ok(moment)
    }
}

impl Moment {
    /// What was used since `before`: of a child that ended meanwhile nothing is known, one that began counts from its start.
    pub fn since(&self, before: &Self) -> Usage {
        let mut usage = Usage {
            name: self.name.clone(),
            user_s: 0.0,
            system_s: 0.0,
            written_bytes: Some(0),
            rss_mib: self.rss_mib,
            rss_own_mib: self.rss_own_mib,
        };
        for (pid, now) in &self.processes {
            let zero = Used { user: Duration::ZERO, system: Duration::ZERO, written: Some(0) };
            let then = before.processes.get(pid).unwrap_or(&zero);
            usage.user_s += now.user.saturating_sub(then.user).as_secs_f64();
            usage.system_s += now.system.saturating_sub(then.system).as_secs_f64();
            let written = now.written.zip(then.written).map(|(now, then)| now.saturating_sub(then));
            usage.written_bytes = usage.written_bytes.zip(written).map(|(sum, one)| sum + one);
        }
        usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that does nothing but count; this one's other tests write files meanwhile.
    #[test]
    fn reads_a_process() {
        let mut child = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("sh");
        let group = Group { name: "loop".to_owned(), pid: child.id(), alone: true };
        let before = group.look().expect("stat");
        let used = loop {
            std::thread::sleep(Duration::from_millis(20));
            let used = group.look().expect("stat").since(&before);
            if used.cpu_s() > 0.1 {
                break used;
            }
        };
        child.kill().and_then(|()| child.wait()).expect("killed");
        assert!(used.user_s > used.system_s, "{used:?}");
    }

    #[test]
    fn reads_its_own_memory() {
        let own = std::process::id();
        let (now, peak) = (rss_mib(own).expect("status"), rss_peak_mib(own).expect("status"));
        assert!(now > 0.5 && peak >= now);
        let (of_its_own, all) = (rss_own_mib(own).expect("status"), rss_peak_mib(own).expect("status"));
        assert!(of_its_own > 0.0 && of_its_own < all, "the program itself is a file");
    }

    #[test]
    fn children_count_and_grandchildren() {
        let script = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 5; true'; true";
        let mut child = std::process::Command::new("sh").args(["-c", script]).spawn().expect("sh");
        let group = Group { name: "shells".to_owned(), pid: child.id(), alone: false };
        let before = group.look().expect("the shell");
        std::thread::sleep(Duration::from_millis(600));
        let after = group.look().expect("the shell");
        let (family, used) = (family(child.id()).expect("a family"), after.since(&before));
        for pid in family.iter().rev() {
            let pid = rustix::process::Pid::from_raw(i32::try_from(*pid).expect("a pid")).expect("a pid");
            // a child of one that was killed before it
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        child.wait().expect("it ended");
        assert!(family.len() >= 2, "{family:?}");
        assert!(used.cpu_s() > 0.0, "{used:?}");
        assert!(group.look().is_err(), "it has ended");
    }
}
