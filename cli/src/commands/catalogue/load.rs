//! `kho catalogue load`

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use kho::client_file::ClientFile;
use kho_catalogue::{Kind, MEDIA_TYPE};
use kho_client::{CatalogueKind, CatalogueQuery, Client, Draft, PemSigner, Signed, SubmitError};
use kho_proto::id::UnitCode;

use super::Common;
use super::diff::{Change, Difference, against, print};
use super::files;
use crate::exit::{Exit, Failure, Result};

/// A node may take a record by the catalogue of a second ago; when the command ends, all judge by the one that it recorded.
const SETTLE: Duration = Duration::from_secs(1);
/// Entries that are submitted together.
const TOGETHER: usize = 64;

/// Signs and submits what the cluster's catalogue does not have yet.
#[derive(clap::Args)]
#[command(after_help = "\
PATH is a document, a list of documents, or a folder of such files (*.json); kho catalogue example prints one. All are checked first, and
what they name must be in the files or in the cluster. Then what is new is recorded, and what is changed is recorded as a
revision that supersedes the one before: units, then regimes, then the policy. What the cluster has already is left alone, so that
the same command may be run again after any end. Nothing is ever taken out: give it a valid_to.

The signer is that of the unit in `[catalogue] unit` of the nodes' configuration: [signer] of the client file, or
--certificate and --key.

Examples:
  kho catalogue load catalogue/ --config keeper.toml --dry-run
  kho catalogue load catalogue/ --unit VPCP --certificate vpcp.pem --key vpcp.key.pem")]
pub struct Args {
    /// A document, a list of them, or a folder of such files.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Only says what would be recorded.
    #[arg(long)]
    dry_run: bool,
    /// The unit that keeps the catalogue.
    #[arg(long, value_name = "CODE", default_value = "VPCP")]
    unit: UnitCode,
    /// The signer's certificate, and its intermediates, PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub async fn run(args: Args) -> Result {
    let files = files::read(&args.path)?;
    let config = ClientFile::load(&args.common.config)?;
    let client = config.client()?;
    let (cluster, _) = client.catalogue(&CatalogueQuery::default()).await?;
    let units: BTreeSet<String> =
        cluster.iter().filter(|entry| entry.kind == CatalogueKind::Unit).map(|entry| entry.code.clone()).collect();
    files::check_names(&files, &units)?;
    let mut differences = against(&files, &cluster);
    differences.retain(|difference| difference.change != Change::Gone);
    print(&differences, args.common.output.format(), "")?;
    if args.dry_run {
        eprintln!("{} of {} entries would be recorded", differences.len(), files.len());
        return Ok(());
    }
    let signer = match (&args.certificate, &args.key) {
        (Some(certificate), Some(key)) => PemSigner::from_files(certificate, key, None)?,
        _ => config.signer()?,
    };
    // units before what names them, and the policy once all is there
    for kind in Kind::ALL {
        let of_kind: Vec<&Difference> = differences.iter().filter(|difference| difference.key.0 == kind).collect();
        for some in of_kind.chunks(TOGETHER) {
            let mut signed = Vec::new();
            for difference in some {
                let Some(read) = files.get(&difference.key) else { continue };
                let draft = Draft {
                    record_id: None,
                    unit: args.unit.clone(),
                    regime: kind.regime(),
                    period: read.entry.effective_from().parse()?,
                    series: read.entry.code().to_owned(),
                    supersedes: difference.supersedes,
                    receivers: Vec::new(),
                    media_type: MEDIA_TYPE.to_owned(),
                    payload: read.entry.canonical().into(),
                };
                signed.push(draft.sign(&signer, client.surroundings()).await?);
            }
            submit(&client, &signed, some).await?;
        }
    }
    if !differences.is_empty() {
        tokio::time::sleep(SETTLE).await;
    }
    eprintln!("{} of {} entries were recorded, the others were there already", differences.len(), files.len());
    Ok(())
}

/// All of them, or the first that was not taken.
async fn submit(client: &Client, signed: &[Signed], of: &[&Difference]) -> Result {
    let answers = client.submit_many(signed).await;
    for (answer, Difference { key: (kind, code, from), .. }) in answers.into_iter().zip(of) {
        if let Err(error) = answer {
            eprintln!("{} {code} of {from} was not recorded; what came before it was", kind.as_str());
            if let SubmitError::Refused { refusal, .. } = &error {
                super::super::submit::tell_fields(refusal);
            }
            return Err(match error {
                SubmitError::Unknown { .. } => {
                    let text = format!("{error}; run the same command again: what was recorded is left alone");
                    Failure::new(Exit::Unknown, text)
                }
                error => error.into(),
            });
        }
    }
    Ok(())
}
