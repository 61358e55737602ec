//! Signs reports, once: what was signed before is sent again as it is.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use kho::client_file::ClientFile;
use kho_client::{Client, Draft, PemSigner, Signed};
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::header::Header;
use kho_proto::id::{RecordId, UnitCode};
use kho_proto::pb::v1::SignedRecord;
use kho_proto::record;
use kho_proto::report::Report;

use super::super::attachment::Attached;
use crate::exit::Result;
use crate::lang;

/// A record that was signed before.
pub async fn resend(record: SignedRecord, client: &Client, attached: &[Attached]) -> Result<Signed> {
    let header = Header::decode(&record.header)?;
    Attached::check(attached, &header)?;
    upload_all(client, &header.unit, attached).await?;
    Ok(Signed::from_record(record)?)
}

pub async fn upload_all(client: &Client, unit: &UnitCode, attached: &[Attached]) -> Result {
    for file in attached {
        file.upload(client, unit).await?;
    }
    Ok(())
}

/// Where a record differs from the report that it is to be the signed form of: the field, what the report says, what
/// was signed.
fn difference(report: &Report, record: &SignedRecord) -> Result<Option<(&'static str, String, String)>> {
    let header = Header::decode(&record.header)?;
    let or_none = |id: &Option<RecordId>| id.map_or("none".to_owned(), |id| id.to_string());
    let units = |units: &[UnitCode]| {
        let units: BTreeSet<_> = units.iter().map(UnitCode::as_str).collect();
        units.into_iter().collect::<Vec<_>>().join(" ")
    };
    // the payload may be confidential: a message holds its digest
    let digest = |payload: &[u8]| format!("{} bytes, SHA-256 {}", payload.len(), Digest::of(payload));
    let fields = [
        ("id", or_none(&report.id), header.record_id.to_string()),
        ("unit", report.unit.to_string(), header.unit.to_string()),
        ("regime", report.regime.to_string(), header.regime.to_string()),
        ("period", report.period.to_string(), header.period.to_string()),
        ("series", report.series.clone(), header.series),
        ("supersedes", or_none(&report.supersedes), or_none(&header.supersedes)),
        ("receivers", units(&report.receivers), units(&header.receivers)),
        ("media_type", report.media_type.clone(), header.media_type),
        ("payload", digest(&report.payload), digest(&record.payload)),
    ];
    Ok(fields.into_iter().find(|(_, expected, found)| expected != found))
}

/// Who signs, and where signed records lie.
pub struct Signing<'a> {
    out: &'a Path,
    config: &'a ClientFile,
    client: &'a Client,
    /// Read when first needed: what is only sent again needs none.
    signer: OnceCell<PemSigner>,
    /// Tells of each record.
    tell: bool,
}

impl<'a> Signing<'a> {
    pub fn new(out: &'a Path, config: &'a ClientFile, client: &'a Client, tell: bool) -> Self {
        Self { out, config, client, signer: OnceCell::new(), tell }
    }

    /// Who sends.
    pub fn client(&self) -> &Client {
        self.client
    }

    fn signer(&self) -> Result<&PemSigner> {
        match self.signer.get() {
            Some(signer) => Ok(signer),
            None => {
                let signer = self.config.signer()?;
                Ok(self.signer.get_or_init(|| signer))
            }
        }
    }

    /// Signs a report; one that names its id, and was signed before, is not signed again: another signature time
    /// would make it another record under the same id. Nor is the record sent if the document was edited since.
    pub async fn sign(&self, report: Report, attached: &[Attached]) -> Result<Signed> {
        if let Some(path) = report.id.map(|id| self.out.join(format!("{id}.record"))).filter(|path| path.exists()) {
            let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
            let record = record::from_file(bytes)?;
            if let Some((field, expected, found)) = difference(&report, &record)? {
                return Err(Refusal::new(
                    Code::RecordIdConflict,
                    format!(
                        "{} was signed for other content: {field}: expected {expected:?} as the document says, found \
                         {found:?}; give the document a new id",
                        path.display()
                    ),
                )
                .into());
            }
            if self.tell {
                eprintln!("{}", lang::SIGNED_BEFORE.with(lang::current(), &[("path", &path.display())]));
            }
            return resend(record, self.client, attached).await;
        }
        let signer = self.signer()?;
        upload_all(self.client, &report.unit, attached).await?;
        let attachments = attached.iter().map(|file| file.attachment.clone()).collect();
        let signed = Draft::from(report).sign_with(attachments, signer, self.client.surroundings()).await?;
        let path = self.out.join(format!("{}.record", signed.record_id()));
        // it holds the report in clear
        kho::files::write_private(&path, &record::to_file(signed.record()))
            .with_context(|| path.display().to_string())?;
        if self.tell {
            outln!("{}", path.display())?;
        }
        Ok(signed)
    }
}
