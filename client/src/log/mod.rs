//! Reading a public log (C2SP tlog-tiles): over HTTPS, or from a directory that is laid out like its paths.
//!
//! Nothing is trusted but the log's key: a server can withhold, and cannot invent. Whoever uses what comes back holds it
//! against a signed root, with [`kho_proto::tlog`] and [`kho_proto::merkle`].

mod error;
mod https;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use kho_proto::checkpoint::NOTE_LENGTH_MAX;
use kho_proto::tlog::{Bundle, Resource, Tile, Tiles};
use tokio::time::Instant;

pub use error::Error;
use https::Https;

/// Bytes of a tile or bundle, at most. The specification would allow 16 MiB for 256 of the longest entries; Kho's take 52 KiB.
pub const TILE_BYTES_MAX: usize = 1 << 20;
/// Requests at once, at most.
pub const REQUESTS_MAX: usize = 8;
/// First pause before the same is asked again, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Where the log is read.
pub struct PublicLog {
    source: Source,
    patience: Duration,
}

enum Source {
    Https(Https),
    Directory(PathBuf),
}

impl PublicLog {
    /// At `https://host[:port][/prefix]`. `trust`: PEM of the authorities that may name the server.
    ///
    /// `patience`: for so long, what fails for the moment is tried again. That is also what bridges nodes behind one
    /// address that have not all applied the same yet: one signs a checkpoint, the next does not have its tiles for a moment.
    pub fn https(url: &str, trust: &[u8], patience: Duration) -> Result<Self, Error> {
        Ok(Self { source: Source::Https(Https::new(url, trust)?), patience })
    }

    /// In a directory, each resource in the file that its path names.
    pub fn directory(path: &Path) -> Self {
        Self { source: Source::Directory(path.to_owned()), patience: Duration::ZERO }
    }

    /// For how long it asks again for what may pass.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// The newest checkpoint, as it came: a signed note that nobody has opened yet.
    pub async fn checkpoint(&self) -> Result<Bytes, Error> {
        self.patiently(Resource::Checkpoint, Resource::Checkpoint).await
    }

    /// These tiles of a tree of `size` leaves, unproven.
    pub async fn tiles(&self, size: u64, wanted: BTreeSet<Tile>) -> Result<Tiles, Error> {
        let got = wanted.into_iter().map(|tile| async move {
            let bytes = self.patiently(Resource::Tile(tile), Resource::Tile(tile.full())).await?;
            Ok::<_, Error>((tile, bytes))
        });
        let got: Vec<_> = stream::iter(got).buffer_unordered(REQUESTS_MAX).try_collect().await?;
        let mut tiles = Tiles::of_size(size);
        for (tile, bytes) in got {
            tiles.insert(tile, &bytes)?;
        }
        Ok(tiles)
    }

    /// The leaves of a bundle, unproven.
    pub async fn leaves(&self, bundle: Bundle) -> Result<Vec<Bytes>, Error> {
        let full = Bundle { width: kho_proto::merkle::TILE_WIDTH as u16, ..bundle };
        let bytes = self.patiently(Resource::Entries(bundle), Resource::Entries(full)).await?;
        let leaves = bundle.decode(&bytes)?;
        Ok(leaves.into_iter().map(|leaf| bytes.slice_ref(leaf)).collect())
    }

    /// A resource, or the full one of its place; what may pass is tried again.
    async fn patiently(&self, resource: Resource, full: Resource) -> Result<Bytes, Error> {
        let end = Instant::now() + self.patience;
        let mut pause = PAUSE_MIN;
        loop {
            match self.either(resource, full).await {
                Err(error) if error.may_pass() && Instant::now() + pause < end => {
                    tracing::debug!(%error, "asking again");
                    tokio::time::sleep(pause).await;
                    pause = PAUSE_MAX.min(pause * 2);
                }
                done => return done,
            }
        }
    }

    /// A log may forget what is partial once the full one is there.
    async fn either(&self, resource: Resource, full: Resource) -> Result<Bytes, Error> {
        match self.once(resource).await {
            Err(absent @ Error::Absent { .. }) if full != resource => match self.once(full).await {
                Err(Error::Absent { .. }) => Err(absent),
                found => found,
            },
            found => found,
        }
    }

    async fn once(&self, resource: Resource) -> Result<Bytes, Error> {
        let length_max = if resource == Resource::Checkpoint { NOTE_LENGTH_MAX } else { TILE_BYTES_MAX };
        match &self.source {
            Source::Https(https) => https.get(&resource.to_string(), length_max).await,
            Source::Directory(directory) => {
                let path = directory.join(resource.to_string());
                match std::fs::read(&path) {
                    Ok(bytes) if bytes.len() > length_max => {
                        Err(Error::TooLong { place: path.display().to_string(), length_max })
                    }
                    Ok(bytes) => Ok(bytes.into()),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        Err(Error::Absent { place: path.display().to_string() })
                    }
                    Err(source) => Err(Error::File { path, source }),
                }
            }
        }
    }
}
