//! `kho submit`

mod batch;
mod fate;
mod gather;
mod line;
mod source;
mod state;
mod tally;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use kho::client_file::ClientFile;
use kho_client::{Acknowledged, Client, Draft, PemSigner, Signed, SubmitError};
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::header::{Header, SubmittedAt};
use kho_proto::id::{RecordId, UnitCode};
use kho_proto::pb::v1::SignedRecord;
use kho_proto::record;
use kho_proto::report::Report;

use super::attachment::Attached;
use super::evidence::evidence;
use crate::exit::{Exit, Failure, Result};

/// Signs and submits reports, and writes each record and its receipt.
#[derive(clap::Args)]
#[command(after_help = "\
A report document is JSON: unit, regime, period, optional series, receivers and supersedes, and either figures or text
(docs/formats/report.md). It is signed once with the signer of the client file; ID.record is written before anything
is sent. A document with an `id` that was signed before is not signed again: its ID.record is sent, and refused if the
document was edited since. Of several files each has its own outcome, and the command ends as the worst of them: 3, else 4, else 1. When the outcome stays unknown (exit code 3), submit that file: the same record is never stored twice.

Files given with --attach are uploaded first, each only as far as the store does not have it yet: a command that was cut
off is given again. The header names them by file name, and their SHA-256 is signed. With an ID.record that was signed
before, --attach uploads again what it names.

Many reports: a directory (its .json, .ndjson and .jsonl, by name, below it too), NDJSON with one report a line, or - for
NDJSON from standard input. A line is a report document; instead of figures or text it may have media_type and either
payload_base64 or payload_file, a file below the directory of the NDJSON (docs/cli.md has the table). A bad line is told with its file,
line, code and field, and does not sink the others. Reports of one series go in their order. A run that was interrupted or
killed is given again as it was, and goes on: OUT/submit.state has the id of each report, and a report that says the same is
the same report. Ends with 3 if an outcome is unknown, else with 4 if some were not sent (nobody answered, or a node put them
off: over quota), else with 1 if one was refused.

Examples:
  kho submit --config client.toml report.json --out records
  kho submit --config client.toml june.ndjson --out records                 (killed? the same once more)
  kho submit --config client.toml june/ more/ --out records --state june.state
  make-reports | kho submit --config client.toml - --out records
  kho submit --config client.toml report.json --attach map.pdf --attach cases.csv --out records
  kho submit --config client.toml june/*.json --out records
  kho submit --config client.toml records/0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e.record --out records

  report.json:
  { \"unit\": \"BYT\", \"regime\": \"YT-01\", \"period\": \"2020-06-12\", \"receivers\": [\"VPCP\"],
    \"figures\": { \"new_cases\": 2, \"recovered\": 5, \"deaths\": 0 } }")]
pub struct Args {
    /// Report documents (JSON), NDJSON, directories of them, - for NDJSON from standard input, or signed records
    /// (ID.record) to send again; several go to the store together.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Attaches a file to the report; may be given again. With it there is one report.
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
    /// Writes ID.record and ID.tlog-proof there.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Which id each report was given, for a run that goes on; with directories and NDJSON OUT/submit.state if absent.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

pub async fn run(args: Args) -> Result {
    let config = ClientFile::load(&args.config)?;
    let client = config.client()?;
    let many = args.state.is_some() || args.files.iter().any(|file| source::holds_many(file));
    if many && args.attach.is_empty() {
        return batch::run(&args, &config, &client).await;
    }
    if many || (!args.attach.is_empty() && args.files.len() > 1) {
        return Err(Failure::new(Exit::Refused, "--attach: expected one report to attach files to, found more"));
    }
    let attached = args.attach.iter().map(|path| Attached::measure(path)).collect::<Result<Vec<_>>>()?;
    let signing = Signing::new(&args.out, &config, &client, true);
    // all are read before the first is signed, and signed and written down before the first is sent
    let mut failures = Failures::default();
    let read: Vec<_> = args.files.iter().filter_map(|file| Some((file, failures.keep(file, read(file))?))).collect();
    let mut all = Vec::new();
    for (file, document) in read {
        all.extend(failures.keep(file, document.signed(&signing, &attached).await).map(|signed| (file, signed)));
    }
    let records: Vec<_> = all.iter().map(|(_, signed)| signed.clone()).collect();
    let answers = match records.as_slice() {
        [] => Vec::new(),
        [one] => failures.keep(all[0].0, submit(&client, one, &attached).await).into_iter().collect(),
        many => client.submit_many(many).await,
    };
    for ((file, signed), answer) in all.iter().zip(answers) {
        failures.keep(file, receive(&args, signed, answer, true));
    }
    failures.end(args.files.len())
}

/// What went wrong with some of several files, which sinks none of the others.
#[derive(Default)]
struct Failures(Vec<Failure>);

impl Failures {
    fn keep<T>(&mut self, file: &Path, done: Result<T>) -> Option<T> {
        done.map_err(|failure| self.0.push(failure.at(&file.display().to_string()))).ok()
    }

    /// Tells them, and how many; the command ends as the worst.
    fn end(self, files: usize) -> Result {
        let failed = self.0.len();
        if failed > 0 && files > 1 {
            eprintln!("{failed} of {files} files failed; of the others the records are in");
        }
        Failure::worst(self.0).map_or(Ok(()), Err)
    }
}

/// What waited too long for its record was collected: then it is uploaded once more.
async fn submit(
    client: &Client,
    signed: &Signed,
    attached: &[Attached],
) -> Result<std::result::Result<Acknowledged, SubmitError>> {
    let answer = client.submit(signed).await;
    if attached.is_empty() || answer.as_ref().err().map(SubmitError::code) != Some(Code::AttachmentMissing) {
        return Ok(answer);
    }
    upload_all(client, &Header::decode(&signed.record().header)?.unit, attached).await?;
    Ok(client.submit(signed).await)
}

async fn upload_all(client: &Client, unit: &UnitCode, attached: &[Attached]) -> Result {
    for file in attached {
        file.upload(client, unit).await?;
    }
    Ok(())
}

/// What a file holds.
enum Document {
    Report(Report),
    Record(SignedRecord),
}

fn read(file: &Path) -> Result<Document> {
    let bytes = std::fs::read(file)?;
    if file.extension().is_some_and(|extension| extension == "record") {
        return Ok(Document::Record(record::from_file(bytes)?));
    }
    Ok(Document::Report(Report::from_json(&bytes)?))
}

impl Document {
    async fn signed(self, signing: &Signing<'_>, attached: &[Attached]) -> Result<Signed> {
        match self {
            Document::Record(record) => resend(record, signing.client, attached).await,
            Document::Report(report) => signing.sign(report, attached).await,
        }
    }
}

/// A record that was signed before.
async fn resend(record: SignedRecord, client: &Client, attached: &[Attached]) -> Result<Signed> {
    let header = Header::decode(&record.header)?;
    Attached::check(attached, &header)?;
    upload_all(client, &header.unit, attached).await?;
    Ok(Signed::from_record(record)?)
}

/// Says of each field that breaks its rule what is wrong with it.
pub fn tell_fields(refusal: &Refusal) {
    for field in refusal.fields.kept() {
        eprintln!("  {}: {} / {}", field.path, field.message_vi, field.message_en);
    }
    let left_out = (refusal.fields.total() as usize).saturating_sub(refusal.fields.kept().len());
    if left_out > 0 {
        eprintln!("  and {left_out} more");
    }
}

/// Writes the receipt, or says why there is none.
fn receive(args: &Args, signed: &Signed, answer: std::result::Result<Acknowledged, SubmitError>, tell: bool) -> Result {
    let id = signed.record_id();
    let done = answer.inspect_err(|error| match error {
        SubmitError::Receipt { rejected, .. } => evidence(rejected, &args.out, id),
        SubmitError::Refused { refusal, .. } if refusal.code.retry() && tell => {
            eprintln!("record {id} is not in: submit {} again", args.out.join(format!("{id}.record")).display());
        }
        SubmitError::Refused { refusal, .. } => tell_fields(refusal),
        _ => {}
    })?;
    let path = args.out.join(format!("{id}.tlog-proof"));
    if let Err(error) = kho::files::write(&path, done.receipt.to_tlog_proof().as_bytes()) {
        let message = format!(
            "record {id} is in, but its receipt could not be written: {}: {error}; submit the same record again",
            path.display()
        );
        return Err(Failure::new(Exit::Unknown, message));
    }
    outln!("{}", path.display())?;
    if !tell {
        return Ok(());
    }
    eprintln!(
        "record {id}: sequence {}, accepted {}{}, by node {}",
        done.receipt.sequence,
        SubmittedAt::from_unix_ms(done.receipt.leaf.accepted_at),
        if done.duplicate { " (it was there already)" } else { "" },
        done.node,
    );
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
struct Signing<'a> {
    out: &'a Path,
    config: &'a ClientFile,
    client: &'a Client,
    /// Read when first needed: what is only sent again needs none.
    signer: OnceCell<PemSigner>,
    /// Tells of each record.
    tell: bool,
}

impl<'a> Signing<'a> {
    fn new(out: &'a Path, config: &'a ClientFile, client: &'a Client, tell: bool) -> Self {
        Self { out, config, client, signer: OnceCell::new(), tell }
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
    async fn sign(&self, report: Report, attached: &[Attached]) -> Result<Signed> {
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
                eprintln!("signed before: sending {} again", path.display());
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
