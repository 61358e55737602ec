//! The file `identity`: whose directory this is. Text, version 1:
//!
//! ```text
//! kho-data 1
//! cluster 0192f0c1-0000-7000-8000-000000000001
//! node 1
//! started no
//! keyring <64 hex digits, or ->
//! checksum <SHA-256 of the lines above, hex>
//! ```

use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, NodeId};

const FIRST_LINE: &str = "kho-data 1";

/// Whose directory this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Cluster.
    pub cluster: ClusterId,
    /// Node.
    pub node: NodeId,
    /// The node took part once: logs that are not there any more are lost.
    pub started: bool,
    /// Fingerprint of the keyring that first sealed; none while the node never had one.
    pub keyring: Option<Digest>,
}

impl Identity {
    pub(super) fn encode(&self) -> String {
        let keyring = self.keyring.map_or_else(|| "-".to_owned(), |digest| digest.to_string());
        let Self { cluster, node, .. } = self;
        let started = if self.started { "yes" } else { "no" };
        let body = format!("{FIRST_LINE}\ncluster {cluster}\nnode {node}\nstarted {started}\nkeyring {keyring}\n");
        let checksum = Digest::of(body.as_bytes());
        format!("{body}checksum {checksum}\n")
    }

    pub(super) fn decode(text: &str) -> Result<Identity, String> {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        if first != FIRST_LINE {
            return Err(format!("expected the first line {FIRST_LINE:?}, found {first:?}"));
        }
        let mut field = |name: &str| {
            let line = lines.next().unwrap_or_default();
            line.strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(' '))
                .map(str::to_owned)
                .ok_or_else(|| format!("expected a line {name:?}, found {line:?}"))
        };
        let cluster = field("cluster")?;
        let node = field("node")?;
        let started = field("started")?;
        let keyring = field("keyring")?;
        let malformed = |name: &str, found: &str| format!("{name}: expected its value, found {found:?}");
        let identity = Identity {
            cluster: cluster.parse().map_err(|_| malformed("cluster", &cluster))?,
            node: NodeId(node.parse().map_err(|_| malformed("node", &node))?),
            started: match started.as_str() {
                "yes" => true,
                "no" => false,
                _ => return Err(malformed("started", &started)),
            },
            keyring: match keyring.as_str() {
                "-" => None,
                digits => Some(digest(digits).ok_or_else(|| malformed("keyring", digits))?),
            },
        };
        if identity.encode() != text {
            return Err("the checksum does not match".to_owned());
        }
        Ok(identity)
    }
}

fn digest(digits: &str) -> Option<Digest> {
    hex::decode(digits).ok().and_then(|bytes| Digest::try_from(bytes.as_slice()).ok())
}
