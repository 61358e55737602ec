//! One node's process.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// What of a log is quoted when a process ends by itself.
const TAIL_BYTES: u64 = 2048;
/// Between looks at a process that is to end.
const POLL: Duration = Duration::from_millis(5);

/// A running `kho serve`. Ends with this value, unless it was told to stay.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    stays: bool,
}

impl Process {
    /// Starts `[launcher...] executable serve --config CONFIG`, in a process group of its own: Ctrl-C at the terminal is the
    /// parent's. Unless it is `detached`, it also dies with the thread that started it, which [`Process::keep`] can't
    /// take back.
    pub(super) fn start(
        launcher: &[String],
        executable: &Path,
        config: &Path,
        log: &Path,
        detached: bool,
        environment: &[(String, String)],
    ) -> io::Result<Self> {
        if let Some(parent) = log.parent() {
            fs::create_dir_all(parent)?;
        }
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = match launcher {
            [] => Command::new(executable),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(executable);
                command
            }
        };
        command.arg("serve").arg("--config").arg(config);
        if !detached {
            command.arg("--die-with-parent").arg(std::process::id().to_string());
        }
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        Ok(Self { child: command.spawn()?, stays: false })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// SIGKILL, and waits until it is gone.
    pub(super) fn kill(mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Waits until it has ended by itself; gives it back if it does not.
    pub(super) fn wait(mut self, limit: Duration) -> io::Result<Result<ExitStatus, Self>> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Ok(status));
            }
            if Instant::now() > end {
                return Ok(Err(self));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Lets it outlive this value.
    pub(super) fn keep(&mut self) {
        self.stays = true;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.stays && matches!(self.child.try_wait(), Ok(None)) {
            // nothing more can be done about a process that does not take SIGKILL
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The last lines of a log.
pub(super) fn tail(log: &PathBuf) -> String {
    let read = || -> io::Result<String> {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_else(|error| error.to_string())
}
