//! A slow link: what leaves a machine passes a token bucket.

use anyhow::{Context, Result};

use super::Machine;

/// A machine's link is slow until it is lifted.
#[derive(Debug)]
pub struct Slow {
    machine: Machine,
}

impl Slow {
    /// From now on `kbit` thousand bits a second leave, and no more.
    pub async fn set(machine: &Machine, kbit: u32) -> Result<Self> {
        let rate = format!("{kbit}kbit");
        let bucket = ["rate", &rate, "burst", "16kb", "latency", "400ms"];
        machine.run(&[&["tc", "qdisc", "replace", "dev", "eth0", "root", "tbf"][..], &bucket].concat(), "").await?;
        Ok(Self { machine: machine.clone() })
    }

    /// Full speed again; packets that had to wait.
    pub async fn lift(self) -> Result<u64> {
        let text = self.machine.run(&["tc", "-s", "-j", "qdisc", "show", "dev", "eth0"], "").await?;
        let json: serde_json::Value = serde_json::from_str(&text)?;
        let waited = json[0]["overlimits"].as_u64().with_context(|| format!("a token bucket: {text}"))?;
        self.machine.run(&["tc", "qdisc", "del", "dev", "eth0", "root"], "").await?;
        Ok(waited)
    }
}
