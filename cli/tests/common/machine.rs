//! A machine with an outbox: its directory, and the commands that somebody gives there.

use std::path::PathBuf;
use std::process::{Command, Output};

/// Of a sender.
pub struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    /// Of a report that names itself.
    pub const ID: &str = "01930000-0000-7000-8000-000000000001";

    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// The binary, to be run there.
    pub fn kho(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kho"));
        command.args(arguments).current_dir(self.dir.path());
        command.env("LC_ALL", "C").env("KHO_CONFIG", self.dir.path().join("c/client.toml")).env("KHO_OUTBOX", "spool");
        command
    }

    /// Standard output and standard error of a command that ends with `code`.
    #[track_caller]
    pub fn ends(&self, arguments: &[&str], code: i32) -> (String, String) {
        let Output { status, stdout, stderr } = self.kho(arguments).output().unwrap();
        let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(status.code(), Some(code), "kho {}\n{out}\n{err}", arguments.join(" "));
        (out, err)
    }

    /// Writes a report, and returns its name.
    pub fn report(&self, name: &str, series: &str, supersedes: Option<&str>) -> String {
        let mut report = serde_json::json!({
            "unit": "BYT", "regime": "YT-01", "period": "2020-06-12", "series": series,
            "figures": { "new_cases": 2, "recovered": 5, "deaths": 0 },
        });
        if let Some(supersedes) = supersedes {
            report["supersedes"] = supersedes.into();
        }
        std::fs::write(self.path(name), report.to_string()).unwrap();
        name.to_owned()
    }

    /// Writes a report with an id of its own, and returns its name.
    pub fn named(&self, name: &str, series: &str) -> String {
        self.report(name, series, None);
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        let mut report: serde_json::Value = serde_json::from_str(&text).unwrap();
        report["id"] = Self::ID.into();
        std::fs::write(self.path(name), report.to_string()).unwrap();
        name.to_owned()
    }

    /// Where a file lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The field of each record in a list.
    pub fn list(&self, arguments: &[&str], field: &str) -> Vec<String> {
        let (out, _) = self.ends(&[&["outbox", "list", "--format", "json"], arguments].concat(), 0);
        let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()[field].to_string();
        out.lines().map(|line| value(line).trim_matches('"').to_owned()).collect()
    }

    /// A field of its status.
    pub fn status(&self, field: &str) -> serde_json::Value {
        let (out, _) = self.ends(&["outbox", "status", "--format", "json"], 0);
        serde_json::from_str::<serde_json::Value>(&out).unwrap()[field].clone()
    }
}
