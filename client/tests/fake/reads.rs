//! The fake's lists and watches: a log of records 1 to n.

use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use kho_proto::error::{Code, Refusal};
use kho_proto::header::SubmittedAt;
use kho_proto::id::{RecordId, UnixMs};
use kho_proto::pb::v1::{
    CountRequest, CountResponse, Freshness, HistoryRequest, HistoryResponse, ListRequest, ListResponse, RecordEntry,
    RecordState, WatchProgress, WatchRequest, WatchResponse, watch_response,
};
use tonic::Status;

/// What the fake does with one list, count or watch.
#[derive(Clone)]
pub enum Read {
    Serve,
    Refuse(Refusal),
    /// An empty page, though more follows.
    Nothing,
    /// So many events of a watch, then it ends with a code.
    BreakAfter(usize, Code),
    /// A watch that says twice that it is there, records or not, then ends with `node-stopping`: of a quiet log, much later.
    QuietThenBreak,
    /// A watch that tells each record twice.
    Stutter,
    /// A watch with this record in a form that no client understands.
    Garble(u64),
}

/// The log and what to do next; the last act for ever.
pub struct Reads {
    pub node: u64,
    pub records: u64,
    pub acts: Vec<Read>,
    pub done: usize,
}

pub type Events = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

pub fn entry(sequence: u64) -> RecordEntry {
    RecordEntry {
        sequence,
        record_id: Bytes::copy_from_slice(RecordId::new_v7(sequence, &[1; 10]).as_ref()),
        accepted_at: SubmittedAt::from_unix_ms(UnixMs(sequence)).to_string(),
        unit: "BYT".to_owned(),
        regime: "YT-01".to_owned(),
        period: "2020-06-12".to_owned(),
        receivers: vec!["VPCP".to_owned()],
        submitted_at: SubmittedAt::from_unix_ms(UnixMs(sequence)).to_string(),
        revision: 1,
        media_type: "text/plain".to_owned(),
        payload_length: 3,
        state: RecordState::Latest.into(),
        ..RecordEntry::default()
    }
}

impl Reads {
    fn next(&mut self) -> Read {
        let act = self.acts[self.done.min(self.acts.len() - 1)].clone();
        self.done += 1;
        act
    }

    /// A token is the last sequence number; what comes first is 1.
    fn page(&mut self, token: &Bytes, most: usize) -> Result<(Vec<RecordEntry>, Bytes), Status> {
        let after = if token.is_empty() { 0 } else { u64::from_be_bytes(token[..].try_into().unwrap()) };
        let records = self.records;
        let token = |after: u64| match after < records {
            true => Bytes::copy_from_slice(&after.to_be_bytes()),
            false => Bytes::new(),
        };
        match self.next() {
            Read::Refuse(refusal) => Err(refusal.into()),
            Read::Nothing => Ok((Vec::new(), token(after))),
            _ => {
                let last = self.records.min(after + most as u64);
                Ok(((after + 1..=last).map(entry).collect(), token(last)))
            }
        }
    }

    fn fresh(&self) -> Option<Freshness> {
        Some(Freshness { linearizable: true, age_ms: None, applied: 9 })
    }

    pub fn list(&mut self, request: &ListRequest) -> Result<ListResponse, Status> {
        let (entries, next_page_token) = self.page(&request.page_token, request.page_size as usize)?;
        let size = self.records + 1;
        Ok(ListResponse { entries, next_page_token, size, freshness: self.fresh(), node_id: self.node, epoch: 1 })
    }

    pub fn history(&mut self, request: &HistoryRequest) -> Result<HistoryResponse, Status> {
        let (revisions, next_page_token) = self.page(&request.page_token, 2)?;
        let size = self.records + 1;
        Ok(HistoryResponse { revisions, next_page_token, size, freshness: self.fresh(), node_id: self.node, epoch: 1 })
    }

    pub fn count(&mut self, request: &CountRequest) -> Result<CountResponse, Status> {
        let (entries, next_page_token) = self.page(&request.page_token, 4)?;
        let (count, size) = (entries.len() as u64, self.records + 1);
        Ok(CountResponse { count, next_page_token, size, freshness: self.fresh(), node_id: self.node, epoch: 1 })
    }

    pub fn watch(&mut self, request: &WatchRequest) -> Result<Events, Status> {
        let from = request.from.unwrap_or(self.records + 1);
        let progress = WatchProgress { node_id: self.node, epoch: 1, age_ms: Some(1) };
        let first = WatchResponse { event: Some(watch_response::Event::Progress(progress)), next: from };
        let record = |sequence: u64| {
            let event = Some(watch_response::Event::Record(entry(sequence)));
            WatchResponse { event, next: sequence + 1 }
        };
        let mut words: Vec<Result<WatchResponse, Status>> = vec![Ok(first)];
        words.extend((from..=self.records).map(|sequence| Ok(record(sequence))));
        match self.next() {
            Read::Refuse(refusal) => return Err(refusal.into()),
            Read::BreakAfter(events, code) => {
                words.truncate(events);
                words.push(Err(Refusal::new(code, "as the test says").into()));
                return Ok(Box::pin(stream::iter(words)));
            }
            Read::QuietThenBreak => {
                words.truncate(1);
                let progress = WatchProgress { node_id: self.node, epoch: 1, age_ms: Some(1) };
                words.push(Ok(WatchResponse { event: Some(watch_response::Event::Progress(progress)), next: from }));
                words.push(Err(Refusal::new(Code::NodeStopping, "as the test says").into()));
                return Ok(Box::pin(stream::iter(words)));
            }
            Read::Stutter => words.extend((from..=self.records).map(|sequence| Ok(record(sequence)))),
            Read::Garble(at) => {
                for word in words.iter_mut().flatten() {
                    if let Some(watch_response::Event::Record(entry)) = &mut word.event
                        && entry.sequence == at
                    {
                        entry.period = "of a later grammar".to_owned();
                    }
                }
            }
            Read::Serve | Read::Nothing => {}
        }
        Ok(Box::pin(stream::iter(words).chain(stream::pending())))
    }
}
