//! Names of logs.

use std::fmt;
use std::str::FromStr;

use super::{Error, decimal};
use crate::digest::Digest;
use crate::error::excerpt;
use crate::id::{ClusterId, Epoch};

/// Hex digits of the record's digest in an origin.
const DIGEST_DIGITS: usize = 16;

/// `<cluster uuid>/<epoch>/<first 16 hex digits of SHA-256(record that began the epoch)>`: names the log of one
/// site in one epoch. For the first epoch the record is the encoded `kho.ledger.v1.Genesis`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

impl Origin {
    /// The origin of an epoch that began with a record of this digest.
    pub fn new(cluster_id: ClusterId, epoch: Epoch, record_digest: Digest) -> Self {
        Origin(format!("{cluster_id}/{epoch}/{}", &record_digest.to_string()[..DIGEST_DIGITS]))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The cluster.
    pub fn cluster_id(&self) -> ClusterId {
        parts(&self.0).expect("checked when it was made").0
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        parts(&self.0).expect("checked when it was made").1
    }
}

fn parts(text: &str) -> Option<(ClusterId, Epoch)> {
    let mut parts = text.split('/');
    let (cluster, epoch, digest) = (parts.next()?, parts.next()?, parts.next()?);
    let cluster_id: ClusterId = cluster.parse().ok()?;
    let epoch = decimal(epoch).filter(|epoch| *epoch > 0)?;
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let good = parts.next().is_none()
        && cluster_id.to_string() == cluster
        && digest.len() == DIGEST_DIGITS
        && digest.bytes().all(hex);
    good.then_some((cluster_id, Epoch(epoch)))
}

impl FromStr for Origin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match parts(text) {
            Some(_) => Ok(Origin(text.to_owned())),
            None => Err(Error::Origin { found: excerpt(text) }),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
