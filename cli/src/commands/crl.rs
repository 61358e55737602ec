//! `kho crl`

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use comfy_table::{ContentArrangement, Table, presets};
use kho::admin::{self, Admin};
use kho::client_file::ClientFile;
use kho_proto::header::SubmittedAt;
use kho_proto::id::UnixMs;
use kho_proto::pb::admin::v1::{CrlStatus, InstallCrlRequest};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use serde_json::{Value, json};

use super::csv;
use super::entries::{Format, Output};
use crate::exit::{Exit, Failure, Result};

/// Lists of revoked certificates: what an authority took back signs no more records.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Installs an authority's list on the whole cluster.
    #[command(after_help = "\
FILE is the authority's complete list, PEM or DER. Where the authority is no root of `signers.trust` but stands below one,
give its certificate, and those between, with --issuer. From the moment this ends, every node refuses records whose
signer the list takes back (certificate-revoked). What was accepted before stays, with its receipt.

A list that is as new as the one installed is refused (crl-not-newer); the same list again changes nothing. All members must be
up and know lists (members-outdated). Once a list is installed, releases from before lists cannot join or come back.

Fetch and install lists at least as often as the authority renews them: a timer that runs these two commands will do.

Examples:
  kho crl install signers.crl --config client.toml
  kho crl install issuing-ca.crl --issuer issuing-ca.pem --config client.toml")]
    Install {
        /// The list.
        #[arg(value_name = "FILE")]
        list: PathBuf,
        /// Certificate of an authority below the roots, PEM or DER; repeatable.
        #[arg(long = "issuer", value_name = "FILE")]
        issuers: Vec<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Shows the lists that count, and which are past their time.
    #[command(after_help = "Examples:\n  kho crl list --config client.toml\n  kho crl list --format json")]
    List {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        output: Output,
    },
}

/// Where the cluster is.
#[derive(clap::Args)]
pub struct Common {
    /// The client file, with an operator's identity.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
}

pub async fn run(command: Command) -> Result {
    match command {
        Command::Install { list, issuers, common } => {
            let der = der::<CertificateRevocationListDer<'_>>(&list)?;
            let issuers = issuers.iter().map(|path| der_of_certificate(path)).collect::<Result<Vec<_>>>()?;
            let request = InstallCrlRequest { der, issuers };
            let mut unreachable = None;
            for admin in ClientFile::load(&common.config)?.admins()? {
                match admin.install_crl(request.clone()).await {
                    Ok(crl) => {
                        outln!("{}", table(&[crl]))?;
                        return Ok(());
                    }
                    // another node can do it as well
                    Err(error @ admin::Error::Unreachable { .. }) => unreachable = Some(error),
                    Err(error) => return Err(error.into()),
                }
            }
            Err(unreachable.map_or_else(|| Failure::new(Exit::Unreachable, "no node answered"), Into::into))
        }
        Command::List { common, output } => {
            let admins = ClientFile::load(&common.config)?.admins()?;
            let answer = first(&admins).await?;
            match output.format() {
                Format::Json => {
                    let crls: Vec<Value> = answer.crls.iter().map(object).collect();
                    outln!("{:#}", json!({ "version": answer.version, "crls": crls }))?;
                }
                Format::Csv => {
                    outln!("{}", csv::line(FIELDS)?)?;
                    for crl in &answer.crls {
                        outln!("{}", csv::object(&FIELDS, &object(crl))?)?;
                    }
                }
                Format::Table if answer.crls.is_empty() => outln!("no list of revoked certificates is installed")?,
                Format::Table => outln!("{}", table(&answer.crls))?,
            }
            Ok(())
        }
    }
}

async fn first(admins: &[Admin]) -> Result<kho_proto::pb::admin::v1::ListCrlsResponse> {
    let mut failed = Failure::new(Exit::Unreachable, "no node answered");
    for admin in admins {
        match admin.crls().await {
            Ok(answer) => return Ok(answer),
            Err(error) => failed = error.into(),
        }
    }
    Err(failed)
}

/// The content of a file that is PEM or DER.
fn der<T: PemObject + AsRef<[u8]>>(path: &Path) -> Result<Bytes> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    if !bytes.starts_with(b"-----BEGIN") {
        return Ok(bytes.into());
    }
    let item = T::from_pem_slice(&bytes).map_err(|error| anyhow::anyhow!("{}: {error:?}", path.display()))?;
    Ok(Bytes::copy_from_slice(item.as_ref()))
}

fn der_of_certificate(path: &Path) -> Result<Bytes> {
    der::<CertificateDer<'_>>(path)
}

fn time(ms: u64) -> String {
    if ms == 0 { "not said".to_owned() } else { SubmittedAt::from_unix_ms(UnixMs(ms)).to_string() }
}

/// The fields of [`object`], in the order of CSV.
const FIELDS: [&str; 8] =
    ["issuer", "issuer_id", "number", "this_update", "next_update", "revoked", "sha256", "expired"];

fn object(crl: &CrlStatus) -> Value {
    json!({
        "issuer": crl.issuer, "issuer_id": hex::encode(&crl.issuer_id), "number": crl.number,
        "this_update": time(crl.this_update_ms),
        "next_update": (crl.next_update_ms != 0).then(|| time(crl.next_update_ms)),
        "revoked": crl.revoked, "sha256": hex::encode(&crl.digest), "expired": crl.expired,
    })
}

fn table(crls: &[CrlStatus]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["authority", "number", "made", "next", "revoked", "sha-256"]);
    for crl in crls {
        let late = if crl.expired { " (late)" } else { "" };
        table.add_row([
            crl.issuer.clone(),
            crl.number.clone(),
            time(crl.this_update_ms),
            format!("{}{late}", time(crl.next_update_ms)),
            crl.revoked.to_string(),
            hex::encode(&crl.digest[..crl.digest.len().min(8)]),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_authority_is_named() {
        let crl = CrlStatus { issuer: "CN=a".into(), next_update_ms: 1, expired: true, ..CrlStatus::default() };
        assert!(table(std::slice::from_ref(&crl)).to_string().contains("(late)"));
        assert_eq!(object(&crl)["next_update"], "1970-01-01T07:00:00.001+07:00");
        let silent = CrlStatus::default();
        assert!(table(std::slice::from_ref(&silent)).to_string().contains("not said"));
        assert_eq!(object(&silent)["next_update"], Value::Null);
    }
}
