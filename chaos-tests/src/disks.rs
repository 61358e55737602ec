//! A disk per node whose power can be cut: ext4 on a loop device. Needs root.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Size of a disk; the image is sparse.
const DISK_BYTES: u64 = 2 << 30;
/// `lose_power.py` writes files of this name without a sync just before the power goes: their content must be gone afterwards.
const UNSYNCED: &str = "unsynced-";

/// What [`Disk`] and [`lose_power`] run.
pub const TOOLS: &[&str] = &["mkfs.ext4", "mount", "umount", "python3", "fsfreeze"];

fn run(program: &str, arguments: &[&Path]) -> Result<()> {
    let output = Command::new(program).args(arguments).output().with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A file system of its own, mounted while this value lives.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// Makes `image` and mounts it at `mount`.
    pub fn create(image: &Path, mount: &Path) -> Result<Self> {
        File::create(image)?.set_len(DISK_BYTES)?;
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), image])?;
        fs::create_dir_all(mount)?;
        let disk = Self { image: image.to_owned(), mount: mount.to_owned() };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    fn mount(&self) -> Result<()> {
        run("mount", &["-o".as_ref(), "loop".as_ref(), &self.image, &self.mount])
    }

    /// Takes the disk out and puts it in again: its journal is replayed. Nobody may hold a file open.
    /// Fails if data came through that was never synced: then the power was not cut.
    pub fn remount(&self) -> Result<()> {
        run("umount", &[&self.mount])?;
        self.mount()?;
        for entry in fs::read_dir(&self.mount)? {
            let path = entry?.path();
            if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(UNSYNCED)) {
                // the name alone may have gone to the disk with somebody else's sync
                let survived = fs::metadata(&path)?.len();
                ensure!(survived == 0, "{}: {survived} unsynced bytes survived: the power was not cut", path.display());
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// A disk that neither answers nor fails, until this value goes.
#[derive(Debug)]
pub struct Standstill<'a>(&'a Disk);

impl Disk {
    /// From now on whoever writes waits: the file system is frozen.
    pub fn stand_still(&self) -> Result<Standstill<'_>> {
        run("fsfreeze", &["--freeze".as_ref(), &self.mount])?;
        Ok(Standstill(self))
    }
}

impl Drop for Standstill<'_> {
    fn drop(&mut self) {
        if let Err(error) = run("fsfreeze", &["--unfreeze".as_ref(), &self.0.mount]) {
            eprintln!("left frozen: {error}");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // lazily: a node that is just being killed may still hold files
        if let Err(error) = run("umount", &["-l".as_ref(), &self.mount]) {
            eprintln!("left mounted: {error}");
        }
    }
}

/// Cuts the power of all `disks` at once, while everything else goes on. Whoever uses them gets EIO; kill them, then
/// [`Disk::remount`].
pub async fn lose_power(disks: &[&Disk]) -> Result<()> {
    let mounts: Vec<PathBuf> = disks.iter().map(|disk| disk.mount.clone()).collect();
    let cut = move || {
        let helper = Path::new(env!("CARGO_MANIFEST_DIR")).join("disks/lose_power.py");
        let arguments: Vec<&Path> = std::iter::once(&helper).chain(&mounts).map(PathBuf::as_path).collect();
        run("python3", &arguments)
    };
    tokio::task::spawn_blocking(cut).await?
}
