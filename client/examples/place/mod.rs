//! Where the examples find their cluster: `NODES DIRECTORY` on the command line.

use std::path::{Path, PathBuf};

use kho_client::{Client, PemSigner};

/// Whatever went wrong.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Addresses of the nodes, and a directory with the files that an operator hands out.
pub struct Place {
    nodes: Vec<String>,
    files: PathBuf,
}

impl Place {
    /// `host:port` of each node, separated by commas, and the directory.
    pub fn new(nodes: &str, files: &Path) -> Self {
        Self { nodes: nodes.split(',').map(str::to_owned).collect(), files: files.to_owned() }
    }

    /// As given on the command line.
    pub fn from_args() -> Result<Self, Error> {
        let args: Vec<_> = std::env::args().skip(1).collect();
        let [nodes, files] = &args[..] else {
            return Err("expected NODES DIRECTORY, e.g. kho1:7101,kho2:7101,kho3:7101 ./files".into());
        };
        Ok(Self::new(nodes, files.as_ref()))
    }

    /// A client that checks every receipt, remembers what the log is held to, and takes a renewed certificate by itself.
    pub fn client(&self) -> Result<Client, Error> {
        let builder = Client::builder()
            .site(self.nodes.clone())
            .tls_files(self.file("client.pem"), self.file("client.key.pem"), self.file("client-ca.pem"))
            .log_key_text(&std::fs::read_to_string(self.file("log.vkey"))?)
            .evidence_in(self.file("evidence"));
        Ok(builder.build()?)
    }

    /// Who signs the reports.
    #[allow(dead_code)] // who only reads signs nothing
    pub fn signer(&self) -> Result<PemSigner, Error> {
        Ok(PemSigner::from_files(&self.file("signer.pem"), &self.file("signer.key.pem"), None)?)
    }

    /// A file of the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.join(name)
    }
}
