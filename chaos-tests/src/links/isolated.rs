//! A test in a network and mounts of its own: whatever it lays and mounts is gone with it, even if it is killed.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where named network namespaces lie; a file system of the test's own.
pub const NAMESPACES: &str = "/run/netns";
/// Set inside.
const INSIDE: &str = "KHO_ISOLATED";

/// Runs `body` inside: this executable starts itself again for the one test of this name, which comes by here a second time.
pub fn run(test: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == test) {
        prepare()?;
        return body();
    }
    let own = std::env::current_exe()?;
    // all of these end in an exec: one process, that dies with this thread
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--propagation", "private"]).arg(own);
    command.args(["--exact", test, "--nocapture"]).env(INSIDE, test);
    let status = command.status().context("setpriv")?;
    ensure!(status.success(), "{test}: {status}; see above");
    Ok(())
}

fn prepare() -> Result<()> {
    std::fs::create_dir_all(NAMESPACES)?;
    let status = Command::new("mount").args(["-t", "tmpfs", "kho-tests", NAMESPACES]).status()?;
    ensure!(status.success(), "mount of {NAMESPACES}: {status}");
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    ensure!(status.success(), "lo: {status}");
    // thousands of connections, here and in the nodes
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    Ok(())
}
