//! Files that a record is to name: measured, uploaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use kho_client::{Client, FileContent, describe};
use kho_proto::error::{Code, Refusal};
use kho_proto::header::{Attachment, Header};
use kho_proto::id::UnitCode;

use super::progress::Progress;
use crate::exit::Result;

/// A file as a record's header names it.
pub struct Attached {
    /// What is signed.
    pub attachment: Attachment,
    path: PathBuf,
}

/// By the end of the name; of others nothing is said.
fn media_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "pdf" => "application/pdf",
        "csv" => "text/csv; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "zip" => "application/zip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _ => "application/octet-stream",
    }
}

impl Attached {
    /// Reads the file once, for its length and digest.
    pub fn measure(path: &Path) -> Result<Self> {
        let shown = || path.display().to_string();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| anyhow!("{}: expected a file name in UTF-8", shown()))?;
        let content = FileContent::open(path).with_context(shown)?;
        let attachment = describe(name, media_type(path), &content).with_context(shown)?;
        Ok(Self { attachment, path: path.to_owned() })
    }

    /// Uploads it, or what is missing of it.
    pub async fn upload(&self, client: &Client, unit: &UnitCode) -> Result {
        let content = FileContent::open(&self.path).with_context(|| self.path.display().to_string())?;
        let mut progress = Progress::new(format!("uploading {}", self.attachment.name), self.attachment.length);
        client.upload(unit, &self.attachment, Arc::new(content), |at| progress.at(at)).await?;
        progress.done();
        Ok(())
    }

    /// A record that was signed before names these files and no others.
    pub fn check(all: &[Attached], header: &Header) -> Result {
        let text = |attachment: &Attachment| {
            format!("{} ({} bytes, SHA-256 {})", attachment.name, attachment.length, attachment.digest)
        };
        for Attached { attachment, .. } in all {
            let same = |named: &&Attachment| named.digest == attachment.digest && named.length == attachment.length;
            if !header.attachments.iter().any(|named| same(&named)) {
                let named = header.attachments.iter().map(text).collect::<Vec<_>>().join(", ");
                let named = if named.is_empty() { "none".to_owned() } else { named };
                let message = format!(
                    "record {} was signed for other attachments: expected {named}, found {}",
                    header.record_id,
                    text(attachment)
                );
                return Err(Refusal::new(Code::RecordIdConflict, message).into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_media_type_is_one_that_a_header_takes() {
        for end in ["pdf", "csv", "txt", "json", "xml", "zip", "png", "JPG", "docx", "xlsx", "unknown"] {
            let media_type = media_type(&PathBuf::from(format!("file.{end}")));
            assert!(kho_proto::header::is_media_type(media_type), "{media_type}");
        }
    }
}
