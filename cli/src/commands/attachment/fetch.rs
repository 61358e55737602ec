//! Attachments of a record into files. A part that is there is gone on with; a file that is whole is never half of it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use kho_client::{AttachmentError, Client, Part};
use kho_proto::digest::Digest;
use kho_proto::header::{Attachment, Header};
use kho_proto::id::RecordId;
use kho_proto::object::CHUNK_LENGTH;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::progress::Progress;
use crate::exit::Result;

/// Downloads those at `indices`, and prints the names of the files.
pub async fn fetch_all(client: &Client, header: &Header, indices: &[usize], dir: &Path, force: bool) -> Result {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    for index in indices {
        let path = fetch(client, header.record_id, *index, &header.attachments[*index], dir, force).await?;
        outln!("{}", path.display())?;
    }
    Ok(())
}

async fn fetch(
    client: &Client,
    id: RecordId,
    index: usize,
    attachment: &Attachment,
    dir: &Path,
    force: bool,
) -> Result<PathBuf> {
    // the header's rule: a name is no path
    let path = dir.join(&attachment.name);
    let shown = || path.display().to_string();
    if path.exists() && read(&path, None).with_context(shown)?.1 == Some(attachment.digest) {
        eprintln!("{} is there already", path.display());
        return Ok(path);
    }
    if !force && (path.exists() || attachment.name.starts_with('.')) {
        let why = if path.exists() { "is there already, with another content" } else { "would be a hidden file" };
        return Err(
            anyhow::anyhow!("{} {why}; the sender has chosen the name: --out, or --force", path.display()).into()
        );
    }
    // named by content: a part of another one is never gone on with
    let partial = dir.join(format!(".{}.part", attachment.digest));
    let at_partial = || partial.display().to_string();
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&partial).with_context(at_partial)?;
    // two that write it would make a file of neither
    file.try_lock().with_context(|| format!("{}: another command downloads it", partial.display()))?;
    if file.metadata().with_context(at_partial)?.len() > attachment.length {
        file.set_len(0).with_context(at_partial)?;
    }
    let (part, _) = read(&partial, Some(attachment.length)).with_context(at_partial)?;
    if part.length() > 0 {
        eprintln!("going on with {} behind {} bytes", attachment.name, part.length());
    }
    let mut progress = Progress::new(format!("downloading {}", attachment.name), attachment.length);
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let mut download = client.download(id, index, attachment, part);
    loop {
        match download.next().await {
            Ok(Some(piece)) => file.write_all(&piece).with_context(shown)?,
            Ok(None) => break,
            Err(error) => {
                if matches!(error, AttachmentError::Differs { .. }) {
                    // nothing can become of it
                    drop(std::fs::remove_file(&partial));
                }
                return Err(error.into());
            }
        }
        progress.at(download.at());
    }
    progress.done();
    file.sync_all().with_context(shown)?;
    if force {
        std::fs::rename(&partial, &path).with_context(shown)?;
    } else {
        rename_to_new(&partial, &path).with_context(shown)?;
    }
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(shown)?;
    Ok(path)
}

/// Fails where a file of the name has come meanwhile.
fn rename_to_new(from: &Path, to: &Path) -> std::io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // a file system that does not know how
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        done => Ok(done?),
    }
}

/// Reads a file, and its digest if it is not a part.
fn read(path: &Path, content_length: Option<u64>) -> std::io::Result<(Part, Option<Digest>)> {
    let mut file = File::open(path)?;
    let (mut part, mut digester) = (Part::default(), kho_proto::digest::Digester::default());
    let mut piece = vec![0; CHUNK_LENGTH];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((part, content_length.is_none().then(|| digester.finish())));
        }
        part.update(&piece[..read]);
        digester.update(&piece[..read]);
    }
}
