//! Which binary the nodes of a development cluster run.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::Error;

/// The binary that this process is, whatever its file is called.
static OWN: OnceLock<PathBuf> = OnceLock::new();

/// Says that this process is `kho` itself: what it starts is itself again, also where the file has another name.
pub fn use_own_executable() {
    if let Ok(path) = std::env::current_exe() {
        OWN.get_or_init(|| path);
    }
}

/// `KHO_BIN`, or this executable if it is `kho`, or `kho` beside it (tests lie one directory deeper).
pub(super) fn executable() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os("KHO_BIN") {
        return Ok(path.into());
    }
    if let Some(path) = OWN.get() {
        return Ok(path.clone());
    }
    let own = std::env::current_exe().map_err(|source| Error::File { path: "/proc/self/exe".into(), source })?;
    if own.file_stem().is_some_and(|name| name == "kho") {
        return Ok(own);
    }
    let places = own.ancestors().skip(1).take(2).map(|dir| dir.join("kho"));
    places.into_iter().find(|path| path.is_file()).ok_or(Error::NoExecutable { beside: own })
}
