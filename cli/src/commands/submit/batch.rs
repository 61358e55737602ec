//! Many reports: read and signed a batch at a time, each series in its order, with what is needed to go on after a kill.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use kho::client_file::ClientFile;
use kho_client::{Client, Signed, SubmitError};
use kho_proto::digest::Digester;
use kho_proto::header::Header;
use kho_proto::id::RecordId;
use kho_proto::record;
use kho_proto::report::Report;

use super::source::{self, Document, Source};
use super::state::{Key, State};
use super::tally::Tally;
use super::{Args, Signing, line, receive, resend};
use crate::exit::{Exit, Failure, Result};
use crate::lang;

/// Reports that are read and signed before they are sent: as many as a message takes.
const BATCH_REPORTS_MAX: usize = kho_proto::batch::SUBMIT_MANY_RECORDS_MAX;
/// Bytes of their documents: bounds the memory, since one may have 16 MiB.
const BATCH_BYTES_MAX: u64 = 32 << 20;

/// Reports of one series go one after another.
type Series = (String, String, String, String);

struct Ready {
    place: String,
    series: Series,
    signed: Signed,
}

struct Batch<'a> {
    args: &'a Args,
    client: &'a Client,
    signing: Signing<'a>,
    state: State,
    /// How many reports of the same content came.
    alike: HashMap<[u8; 32], u32>,
    /// What comes behind a report in doubt waits for the next run.
    doubtful: HashSet<Series>,
    /// Nobody answers.
    stopped: bool,
    tally: Tally,
    bar: ProgressBar,
}

/// Submits all reports of the arguments.
pub async fn run(args: &Args, config: &ClientFile, client: &Client) -> Result {
    let files = source::files(&args.files)?;
    let state = State::open(&args.state.clone().unwrap_or_else(|| args.out.join("submit.state")))?;
    let signing = Signing::new(&args.out, config, client, false);
    let (alike, doubtful, tally) = (HashMap::new(), HashSet::new(), Tally::default());
    let mut batch = Batch { args, client, signing, state, alike, doubtful, stopped: false, tally, bar: bar(&files) };
    for file in &files {
        match Source::open(file) {
            Ok(source) => batch.submit_all(source).await?,
            Err(error) => batch.refuse(&file.display().to_string(), error.into()),
        }
    }
    batch.bar.finish_and_clear();
    let tally = batch.tally;
    eprintln!("{}", tally.text(lang::current()));
    match tally.exit() {
        None => Ok(()),
        Some(Exit::Refused) => Err(Failure::new(Exit::Refused, lang::MEND.get())),
        Some(exit) => Err(Failure::new(exit, lang::AGAIN.get())),
    }
}

/// On a terminal; elsewhere nothing is drawn.
fn bar(files: &[PathBuf]) -> ProgressBar {
    let lengths: Option<u64> = files
        .iter()
        .map(|file| std::fs::metadata(file).ok().filter(|file| file.is_file()).map(|file| file.len()))
        .sum();
    let (bar, style) = match lengths {
        Some(length) => (ProgressBar::new(length), "{bar:30} {percent:>3} % {msg}, {elapsed}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {msg}, {elapsed}"),
    };
    // a style that does not parse would be a mistake here: the bar shows its own then
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl Batch<'_> {
    async fn submit_all(&mut self, mut source: Source) -> Result {
        let mut documents = Vec::new();
        let mut bytes = 0;
        while let Some(document) = source.next() {
            bytes += document.length;
            documents.push(document);
            if documents.len() >= BATCH_REPORTS_MAX || bytes >= BATCH_BYTES_MAX {
                self.submit(std::mem::take(&mut documents)).await?;
                bytes = 0;
            }
        }
        self.submit(documents).await
    }

    /// Reads, signs and sends a batch.
    async fn submit(&mut self, documents: Vec<Document>) -> Result {
        let length: u64 = documents.iter().map(|document| document.length).sum();
        if self.stopped {
            self.tally.held += documents.len() as u64;
            return Ok(());
        }
        let mut reports = Vec::new();
        for Document { place, base, bytes, is_record, .. } in documents {
            let read = bytes.and_then(|bytes| match is_record {
                true => Ok(Read::Record(record::from_file(bytes)?)),
                false => Ok(Read::Report(line::parse(&bytes, &base)?)),
            });
            match read {
                Ok(Read::Report(mut report)) => {
                    let key = self.key(&report);
                    if report.id.is_none() {
                        report.id = Some(self.state.id(key, self.fresh_id()));
                    }
                    reports.push((place, Read::Report(report)));
                }
                Ok(read) => reports.push((place, read)),
                Err(failure) => self.refuse(&place, failure),
            }
        }
        // an id that a record was signed under is never forgotten
        self.state.sync()?;
        let mut ready = Vec::new();
        for (place, read) in reports {
            match self.sign(read).await {
                Ok(Some((series, signed))) => ready.push(Ready { place, series, signed }),
                Ok(None) => self.tally.done_before += 1,
                Err(failure) => self.refuse(&place, failure),
            }
        }
        while !ready.is_empty() && !self.stopped {
            ready = self.wave(ready).await;
        }
        self.tally.held += ready.len() as u64;
        self.bar.inc(length);
        self.bar.set_message(lang::REPORTS.with(lang::current(), &[("count", &self.tally.total())]));
        Ok(())
    }

    /// What a report is known by in the state: all that it says.
    fn key(&mut self, report: &Report) -> Key {
        let mut digester = Digester::default();
        let id = |id: Option<RecordId>| id.map(|id| id.to_string()).unwrap_or_default();
        let receivers = report.receivers.iter().map(|unit| unit.as_str()).collect::<Vec<_>>().join(" ");
        let (own, supersedes, period) = (id(report.id), id(report.supersedes), report.period.to_string());
        let (unit, regime) = (report.unit.as_str(), report.regime.as_str());
        for part in [&own, unit, regime, &period, &report.series, &supersedes, &receivers, &report.media_type] {
            digester.update(&(part.len() as u64).to_be_bytes());
            digester.update(part.as_bytes());
        }
        digester.update(&report.payload);
        let digest = digester.finish();
        let alike = self.alike.entry(digest.0).or_default();
        *alike += 1;
        (digest, *alike - 1)
    }

    fn fresh_id(&self) -> RecordId {
        let mut random = [0; 10];
        self.client.surroundings().fill(&mut random);
        RecordId::new_v7(self.client.surroundings().now().0, &random)
    }

    /// Signs what was never signed; none: its receipt is there.
    async fn sign(&self, read: Read) -> Result<Option<(Series, Signed)>> {
        let done = |id: RecordId| self.args.out.join(format!("{id}.tlog-proof")).exists();
        let written = |id: RecordId| self.args.out.join(format!("{id}.record")).exists();
        if matches!(&read, Read::Report(Report { id: Some(id), .. }) if done(*id) && !written(*id)) {
            // somebody took the record away, who needs it no more; signed anew it would be another one
            return Ok(None);
        }
        let signed = match read {
            Read::Record(record) => resend(record, self.client, &[]).await?,
            Read::Report(report) => self.signing.sign(report, &[]).await?,
        };
        if done(signed.record_id()) {
            return Ok(None);
        }
        let header = Header::decode(&signed.record().header)?;
        let series = (header.unit.to_string(), header.regime.to_string(), header.period.to_string(), header.series);
        Ok(Some((series, signed)))
    }

    /// Sends the first of each series; the others are left.
    async fn wave(&mut self, ready: Vec<Ready>) -> Vec<Ready> {
        let mut series = HashSet::new();
        let (wave, left): (Vec<_>, Vec<_>) = ready.into_iter().partition(|ready| series.insert(ready.series.clone()));
        let (wave, held): (Vec<_>, Vec<_>) = wave.into_iter().partition(|ready| !self.doubtful.contains(&ready.series));
        self.tally.held += held.len() as u64;
        let records: Vec<Signed> = wave.iter().map(|ready| ready.signed.clone()).collect();
        let answers = self.client.submit_many(&records).await;
        let silent =
            |error: &SubmitError| matches!(error, SubmitError::Unreachable { .. } | SubmitError::Unknown { .. });
        self.stopped = !answers.is_empty() && answers.iter().all(|answer| answer.as_ref().is_err_and(silent));
        for (ready, answer) in wave.into_iter().zip(answers) {
            let duplicate = answer.as_ref().is_ok_and(|done| done.duplicate);
            let (args, bar) = (self.args, &self.bar);
            match bar.suspend(|| receive(args, &ready.signed, answer, false)) {
                Ok(()) if duplicate => self.tally.duplicates += 1,
                Ok(()) => self.tally.accepted += 1,
                Err(failure) => {
                    match failure.exit() {
                        exit if exit == Exit::Unknown as u8 => self.tally.unknown += 1,
                        exit if exit == Exit::Unreachable as u8 => self.tally.unreachable += 1,
                        _ => {
                            self.refuse(&ready.place, failure);
                            continue;
                        }
                    }
                    self.doubtful.insert(ready.series);
                    self.bar.suspend(|| failure.at(&ready.place).tell());
                }
            }
        }
        left
    }

    fn refuse(&mut self, place: &str, failure: Failure) {
        let code = failure.code().map_or("unreadable", kho_proto::error::Code::as_str);
        *self.tally.refused.entry(code).or_default() += 1;
        self.bar.suspend(|| failure.at(place).tell());
    }
}

/// What a document turned out to be.
enum Read {
    Report(Report),
    Record(kho_proto::pb::v1::SignedRecord),
}
