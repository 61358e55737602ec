//! Many reports: read and signed a batch at a time, each series in its order, with what is needed to go on after a kill.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kho::client_file::ClientFile;
use kho_client::{Client, Signed};
use kho_proto::header::Header;
use kho_proto::id::RecordId;
use kho_proto::report::Report;

use super::Args;
use super::fate::{Answer, Fate, Silence, pause};
use super::gather::{Gathered, Read};
use super::ids::{Ids, fresh_id};
use super::interrupt::{interruption, stopped};
use super::receive::{receive, remove_refused};
use super::sign::{Signing, resend};
use super::source::{self, Document, Source};
use super::state::{Kind, State};
use super::tally::Tally;
use crate::exit::{Exit, Failure, Result};
use crate::lang;

/// Reports of one series go one after another.
type Series = (String, String, String, String);

struct Ready {
    place: String,
    series: Series,
    signed: Signed,
    /// `ID.record` was made of a document, and can be made again.
    from_document: bool,
}

struct Batch<'a> {
    args: &'a Args,
    client: &'a Client,
    signing: Signing<'a>,
    state: State,
    ids: Ids,
    /// What comes behind a report in doubt, or one that nodes put off, waits for the next run.
    doubtful: HashSet<Series>,
    /// Nobody takes any.
    stopped: bool,
    /// Reports that were sent and have no answer yet.
    under_way: u64,
    /// How long the nodes asked to be left alone.
    pause: Duration,
    gathered: Gathered,
    /// Standard output failed.
    unprinted: Option<Failure>,
    tally: Tally,
    bar: ProgressBar,
}

/// Submits all reports of the arguments.
pub async fn run(args: &Args, config: &ClientFile, client: &Client) -> Result {
    let files = source::files(&args.files)?;
    let state = State::open(&args.state_path(), Kind::Submit)?;
    let signing = Signing::new(&args.out, config, client, false);
    let mut batch = Batch {
        args,
        client,
        signing,
        state,
        ids: Ids::default(),
        doubtful: HashSet::new(),
        stopped: false,
        under_way: 0,
        pause: Duration::ZERO,
        gathered: Gathered::default(),
        unprinted: None,
        tally: Tally::default(),
        bar: bar(&files),
    };
    let stopped = stopped()?;
    let (broken, interrupted) = tokio::select! {
        done = batch.submit_all(&files) => (done.err(), None),
        exit = stopped => (None, Some(exit)),
    };
    batch.bar.finish_and_clear();
    let mut tally = batch.tally;
    // what was sent a moment ago may be in
    tally.unknown += batch.under_way;
    eprintln!("{}", tally.text(lang::current()));
    if let Some(exit) = interrupted {
        return Err(interruption(exit, &args.out));
    }
    let end = match tally.exit() {
        None => None,
        Some(Exit::Refused) => Some(Failure::new(Exit::Refused, lang::MEND.get())),
        Some(exit) => Some(Failure::new(exit, lang::AGAIN.get())),
    };
    // what broke here does not hide what is in doubt there
    Failure::worst([broken, batch.unprinted, end].into_iter().flatten()).map_or(Ok(()), Err)
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
    async fn submit_all(&mut self, files: &[PathBuf]) -> Result {
        for file in files {
            match Source::open(file) {
                Ok(mut source) => {
                    while let Some(document) = source.next() {
                        self.add(document).await?;
                    }
                }
                Err(error) => self.refuse(&file.display().to_string(), error.into()),
            }
        }
        self.submit().await
    }

    /// Reads a document; when there are enough of them, they are sent.
    async fn add(&mut self, Document { place, base, bytes, length, is_record }: Document) -> Result {
        self.bar.inc(length);
        if self.stopped {
            self.tally.held += 1;
            return Ok(());
        }
        match bytes.and_then(|bytes| Read::of(bytes, &base, is_record)) {
            Ok(mut read) => {
                if let Read::Report(report) = &mut read {
                    let key = self.ids.key(report, &[]);
                    if report.id.is_none() {
                        report.id = Some(self.state.id(key, fresh_id(self.client.surroundings())));
                    }
                }
                self.gathered.add(place, read, length);
            }
            Err(failure) => self.refuse(&place, failure),
        }
        if self.gathered.is_full() { self.submit().await } else { Ok(()) }
    }

    /// Signs and sends what was gathered.
    async fn submit(&mut self) -> Result {
        let reports = self.gathered.take();
        // an id that a record was signed under is never forgotten
        if let Err(failure) = self.state.sync() {
            self.tally.held += reports.len() as u64;
            return Err(failure);
        }
        let mut ready = Vec::new();
        for (place, read) in reports {
            let from_document = matches!(read, Read::Report(_));
            match self.sign(read).await {
                Ok(Some((series, signed))) => ready.push(Ready { place, series, signed, from_document }),
                Ok(None) => self.tally.done_before += 1,
                Err(failure) => self.refuse(&place, failure),
            }
        }
        while !ready.is_empty() && !self.stopped {
            ready = self.wave(ready).await;
        }
        self.tally.held += ready.len() as u64;
        self.bar.set_message(lang::REPORTS.with(lang::current(), &[("count", &self.tally.total())]));
        Ok(())
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
        if !records.is_empty() {
            tokio::time::sleep(std::mem::take(&mut self.pause)).await;
        }
        self.under_way = records.len() as u64;
        let answers = self.client.submit_many(&records).await;
        self.under_way = 0;
        self.pause = pause(&answers);
        let silence = Silence::of(&answers);
        // before anything else is waited for: whoever interrupts that is told of each of them
        for (ready, answer) in wave.into_iter().zip(answers) {
            self.settle(ready, answer);
        }
        self.stopped = silence.holds(self.client).await;
        left
    }

    /// Writes the receipt, or tells why there is none; counts it.
    fn settle(&mut self, ready: Ready, answer: Answer) {
        let fate = Fate::of(&answer);
        let (args, id) = (self.args, ready.signed.record_id());
        let received = self.bar.suspend(|| receive(&args.out, &ready.signed, answer, false));
        let is_in = matches!(fate, Fate::Accepted | Fate::Duplicate);
        let failure = match received {
            Err(failure) if !is_in || failure.exit() != Exit::Refused as u8 => failure,
            // the receipt is written: what may have failed is to print its path
            printed => {
                match fate {
                    Fate::Duplicate => self.tally.duplicates += 1,
                    _ => self.tally.accepted += 1,
                }
                if let Err(failure) = printed {
                    self.unprinted.get_or_insert(failure.at("standard output"));
                }
                return;
            }
        };
        if ready.from_document
            && matches!(fate, Fate::Refused | Fate::PutOff)
            && let Err(failure) = remove_refused(&args.out, id)
        {
            self.bar.suspend(|| failure.tell());
        }
        match (fate, failure.exit()) {
            (Fate::PutOff, _) => self.tally.put_off += 1,
            (_, exit) if exit == Exit::Unknown as u8 => self.tally.unknown += 1,
            (_, exit) if exit == Exit::Unreachable as u8 => self.tally.unreachable += 1,
            _ => return self.refuse(&ready.place, failure),
        }
        self.doubtful.insert(ready.series);
        self.bar.suspend(|| failure.at(&ready.place).tell());
    }

    fn refuse(&mut self, place: &str, failure: Failure) {
        let code = failure.code().map_or("unreadable", kho_proto::error::Code::as_str);
        *self.tally.refused.entry(code).or_default() += 1;
        self.bar.suspend(|| failure.at(place).tell());
    }
}
