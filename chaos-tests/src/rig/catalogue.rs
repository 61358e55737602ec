//! The catalogue of a cluster that keeps one.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::Rig;

/// The catalogue's keeper, as `Options::with_catalogue` has it.
const KEEPER: &str = "VPCP";

impl Rig {
    /// `kho catalogue load` of a document, or of a folder of them, signed by the keeper.
    pub fn load_catalogue(&self, documents: &Path) -> Result<()> {
        let layout = self.cluster.layout();
        let (certificate, key) = layout.signer(&KEEPER.parse()?);
        let mut load = Command::new(self.cluster.executable());
        load.env_remove("KHO_CONFIG").args(["catalogue", "load"]).arg(documents);
        load.arg("--config").arg(layout.client_file()).args(["--unit", KEEPER]);
        load.arg("--certificate").arg(certificate).arg("--key").arg(key);
        let output = load.output()?;
        ensure!(output.status.success(), "{load:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}
