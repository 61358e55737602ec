//! A few documents, or records that were signed before: all are read before the first is signed, and signed and written down
//! before the first is sent.

use std::path::Path;
use std::time::Duration;

use kho::client_file::ClientFile;
use kho_client::{Acknowledged, Client, Signed, SubmitError};
use kho_proto::error::Code;
use kho_proto::header::Header;
use kho_proto::id::RecordId;
use kho_proto::pb::v1::SignedRecord;
use kho_proto::record;
use kho_proto::report::Report;

use super::super::attachment::Attached;
use super::Args;
use super::fate::Fate;
use super::ids::{Ids, fresh_id};
use super::interrupt::{interruption, stopped};
use super::receive::{receive, remove_refused};
use super::sign::{Signing, resend, upload_all};
use super::state::{Kind, OpenError, State};
use crate::exit::{Failure, Result};
use crate::lang;

/// Another run with the same state may take so long to sign what it has; whoever waits longer goes on without holding it.
const STATE_WAIT: Duration = Duration::from_secs(5);

/// Submits what is in the files.
pub async fn run(args: &Args, config: &ClientFile, client: &Client) -> Result {
    let stopped = stopped()?;
    tokio::select! {
        done = submit_files(args, config, client) => done,
        exit = stopped => Err(interruption(exit, &args.out)),
    }
}

async fn submit_files(args: &Args, config: &ClientFile, client: &Client) -> Result {
    let attached = args.attach.iter().map(|path| Attached::measure(path)).collect::<Result<Vec<_>>>()?;
    let signing = Signing::new(&args.out, config, client, true);
    let mut failures = Failures::default();
    let mut read: Vec<_> =
        args.files.iter().filter_map(|file| Some((file, failures.keep(file, read(file))?))).collect();
    // before the state is held: others would wait for it as long as a large file takes
    for (file, document) in std::mem::take(&mut read) {
        let uploaded = document.upload(client, &attached).await;
        read.extend(failures.keep(file, uploaded).map(|()| (file, document)));
    }
    // held until all are signed: another run would sign the same report under the same id
    let state = remember(args, client, read.iter_mut().map(|(_, document)| document), &attached).await?;
    let mut all = Vec::new();
    for (file, document) in read {
        let remembered = document.remembered;
        let signed = failures.keep(file, document.signed(&signing, args, &attached).await).flatten();
        all.extend(signed.map(|signed| Ready { file, signed, remembered }));
    }
    drop(state);
    let records: Vec<_> = all.iter().map(|ready| ready.signed.clone()).collect();
    let answers = match records.as_slice() {
        [] => Vec::new(),
        [one] => failures.keep(all[0].file, submit(client, one, &attached).await).into_iter().collect(),
        many => client.submit_many(many).await,
    };
    for (Ready { file, signed, remembered }, answer) in all.iter().zip(answers) {
        let refused = Fate::of(&answer) == Fate::Refused;
        failures.keep(file, receive(&args.out, signed, answer, true));
        if refused && *remembered {
            failures.keep(file, remove_refused(&args.out, signed.record_id()));
        }
    }
    failures.end(args.files.len())
}

/// A record that is to be sent.
struct Ready<'a> {
    file: &'a Path,
    signed: Signed,
    /// Its document has no id, and gets the same one in the next run.
    remembered: bool,
}

/// Gives each report without an id the one that it had in an earlier run, or a new one that the next run finds: the same file
/// given again is the same record. Where others hold the state for long, or the system does not give it, it is only looked at: unless
/// it was named, by somebody who relies on it.
async fn remember<'a>(
    args: &Args,
    client: &Client,
    documents: impl Iterator<Item = &'a mut Document>,
    attached: &[Attached],
) -> Result<Option<State>> {
    let mut nameless: Vec<&mut Document> = documents.filter(|document| document.is_nameless()).collect();
    if nameless.is_empty() {
        return Ok(None);
    }
    let mut state = match State::open_within(&args.state_path(), Kind::Submit, STATE_WAIT).await {
        Ok(state) => state,
        Err(why @ (OpenError::Held { .. } | OpenError::File { .. })) if args.state.is_none() => {
            recall(args, why, &mut nameless, attached)?;
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let mut ids = Ids::default();
    for document in &mut nameless {
        if let Content::Report(report) = &mut document.content {
            report.id = Some(state.id(ids.key(report, attached), fresh_id(client.surroundings())));
            document.remembered = true;
        }
    }
    // an id that a record was signed under is never forgotten
    state.sync()?;
    Ok(Some(state))
}

/// Gives reports the ids that stand in a state which does not open: signed anew, what may have been sent would be a second record.
/// What does not stand there is signed as new, and that is told. A state that is there and does not read is an error.
fn recall(args: &Args, why: OpenError, nameless: &mut [&mut Document], attached: &[Attached]) -> Result {
    let known = State::look(&args.state_path(), Kind::Submit)?;
    let is_held = matches!(why, OpenError::Held { .. });
    // whoever holds it may be signing what has no record yet: twice signed, one id would be two records
    let path = |id: &RecordId, end: &str| args.out.join(format!("{id}.{end}"));
    let is_signed = |id: &RecordId| path(id, "record").exists() || path(id, "tlog-proof").exists();
    let (mut ids, mut is_new) = (Ids::default(), false);
    for document in nameless {
        if let Content::Report(report) = &mut document.content {
            let id = known.get(&ids.key(report, attached)).copied().filter(|id| !is_held || is_signed(id));
            report.id = id;
            document.remembered = id.is_some();
            is_new |= id.is_none();
        }
    }
    if is_new {
        let lang = lang::current();
        let why = match why {
            OpenError::Held { path, .. } => lang::STATE_HELD.with(lang, &[("path", &path.display())]),
            why => why.to_string(),
        };
        eprintln!("{}", lang::NOT_REMEMBERED.with(lang, &[("why", &why)]));
    }
    Ok(())
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
            eprintln!("{}", lang::FILES_FAILED.with(lang::current(), &[("failed", &failed), ("files", &files)]));
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

/// What a file holds.
enum Content {
    Report(Report),
    Record(SignedRecord),
}

/// A file that was read.
struct Document {
    content: Content,
    /// The report's id is that of the state.
    remembered: bool,
}

fn read(file: &Path) -> Result<Document> {
    let bytes = std::fs::read(file)?;
    let content = if file.extension().is_some_and(|extension| extension == "record") {
        Content::Record(record::from_file(bytes)?)
    } else {
        Content::Report(Report::from_json(&bytes)?)
    };
    Ok(Document { content, remembered: false })
}

impl Document {
    fn is_nameless(&self) -> bool {
        matches!(&self.content, Content::Report(Report { id: None, .. }))
    }

    async fn upload(&self, client: &Client, attached: &[Attached]) -> Result {
        if attached.is_empty() {
            return Ok(());
        }
        match &self.content {
            Content::Report(report) => upload_all(client, &report.unit, attached).await,
            Content::Record(record) => {
                let header = Header::decode(&record.header)?;
                Attached::check(attached, &header)?;
                upload_all(client, &header.unit, attached).await
            }
        }
    }

    /// The record; none: its receipt is there, and somebody took the record away, who needs it no more. Signed anew it would be
    /// another one.
    async fn signed(self, signing: &Signing<'_>, args: &Args, attached: &[Attached]) -> Result<Option<Signed>> {
        let report = match self.content {
            Content::Record(record) => return resend(record, signing.client(), attached).await.map(Some),
            Content::Report(report) => report,
        };
        if let Some(id) = report.id.filter(|_| self.remembered) {
            let path = |end: &str| args.out.join(format!("{id}.{end}"));
            if path("tlog-proof").exists() && !path("record").exists() {
                outln!("{}", path("tlog-proof").display())?;
                eprintln!("{}", lang::DONE_BEFORE.with(lang::current(), &[("id", &id)]));
                return Ok(None);
            }
        }
        signing.sign(report, attached).await.map(Some)
    }
}
