//! One process's wall clock, by a library that is loaded before all others (`chaos-tests/clocks/wall_clock.c`). Its
//! monotonic clock stays as it is.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Compiles the library into `dir`; where it is then.
pub fn library(dir: &Path) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clocks/wall_clock.c");
    let library = dir.join("wall_clock.so");
    let output = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).output();
    let output = output.context("cc")?;
    ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(library)
}

/// A clock that can be set.
#[derive(Debug)]
pub struct WallClock {
    file: PathBuf,
    shim: PathBuf,
}

impl WallClock {
    /// Shows the true time at first; its state is kept in `dir`.
    pub fn create(dir: &Path, name: &str, library: &Path) -> Result<Self> {
        let clock = Self { file: dir.join(format!("clock-{name}")), shim: library.to_owned() };
        std::fs::write(&clock.file, 0_i64.to_le_bytes())?;
        Ok(clock)
    }

    /// Shows the true time plus `offset_s` from now on.
    pub fn set(&self, offset_s: i64) -> Result<()> {
        // in place: processes have the file mapped
        let file = std::fs::OpenOptions::new().write(true).open(&self.file)?;
        Ok(file.write_all_at(&offset_s.to_le_bytes(), 0)?)
    }

    /// What a command line begins with to run by it.
    pub fn launcher(&self) -> Vec<String> {
        let (file, shim) = (self.file.display(), self.shim.display());
        vec!["env".to_owned(), format!("LD_PRELOAD={shim}"), format!("WALL_CLOCK={file}")]
    }
}
