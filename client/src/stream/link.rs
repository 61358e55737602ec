//! A stream to one node.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kho_proto::batch::Known;
use kho_proto::pb::v1::{SignedRecord, SubmitStreamRequest, SubmitStreamResponse};
use kho_proto::record::to_file;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::open::{Certificates, Number, Open, Place};
use crate::attempt::Failed;
use crate::nodes::Node;

/// Messages that wait for HTTP/2 to take them, at most. The rest waits with the driver, where its deadline is watched.
const OUTBOUND_MAX: usize = 4;

/// A stream to one node.
pub(super) struct Link {
    pub node: Arc<Node>,
    outbound: mpsc::Sender<SubmitStreamRequest>,
    inbound: Streaming<SubmitStreamResponse>,
    /// What the node was sent on this stream.
    known: Known,
    /// It gets nothing more, and goes when it has answered.
    pub leaving: bool,
}

/// A link to be; or the node that could not be reached, to which nothing was sent.
pub(super) type Opening = Pin<Box<dyn Future<Output = Result<Link, (Arc<Node>, Failed)>> + Send>>;

/// What a link can do next.
pub(super) enum Moved {
    /// It takes another message.
    Room,
    /// The node said something.
    Answer(SubmitStreamResponse),
    /// The stream is over.
    Over(Failed),
}

impl Link {
    pub fn open(node: Arc<Node>, limit: Duration) -> Opening {
        Box::pin(async move {
            let (outbound, requests) = mpsc::channel(OUTBOUND_MAX);
            let mut store = node.store();
            let failed = match tokio::time::timeout(limit, store.submit_stream(ReceiverStream::new(requests))).await {
                Ok(Ok(response)) => {
                    let inbound = response.into_inner();
                    return Ok(Link { node, outbound, inbound, known: Known::default(), leaving: false });
                }
                Ok(Err(status)) => Failed::of(&status),
                Err(_) => Failed::timed_out(limit),
            };
            // no record was sent: whatever happened, none was taken
            let failed = match failed {
                Failed::Unknown(why) => Failed::Unreached(why),
                Failed::Admitted(refusal) => Failed::Refused(refusal),
                failed => failed,
            };
            Err((node, failed))
        })
    }

    /// Waits for whatever comes first. `sends`: a message waits for room.
    pub async fn moved(&mut self, sends: bool) -> Moved {
        tokio::select! {
            answer = self.inbound.message() => match answer {
                Ok(Some(answer)) => Moved::Answer(answer),
                Ok(None) => Moved::Over(over("the node ended the stream")),
                Err(status) => Moved::Over(cut(&status)),
            },
            room = self.outbound.reserve(), if sends => match room {
                Ok(_room) => Moved::Room,
                Err(_closed) => Moved::Over(over("the stream takes nothing any more")),
            },
        }
    }

    /// Sends a record; there is room for it. `attempt`: how long its node may take.
    pub fn send(&mut self, number: Number, open: &mut Open, attempt: Duration) {
        let now = Instant::now();
        let left = open.deadline.saturating_duration_since(now).min(attempt).as_millis();
        let record = self.short(open).map_or_else(|| to_file(open.record.record()), |short| to_file(&short));
        let message = SubmitStreamRequest {
            correlation: number,
            record: record.into(),
            deadline_ms: u32::try_from(left).unwrap_or(u32::MAX).max(1),
        };
        open.case.attempt();
        open.place = Place::Sent(now, open.record.send());
        // An error: the stream is over, which its other half tells. The record counts as sent until then.
        drop(self.outbound.try_send(message));
    }

    fn short(&mut self, open: &mut Open) -> Option<SignedRecord> {
        let record = open.record.record();
        let short = match open.certificates {
            Certificates::Along => None,
            _ => self.known.without(record),
        };
        match short {
            Some(_) => open.certificates = Certificates::LeftOut,
            None => drop(self.known.learn(&record.certificates)),
        }
        short
    }
}

fn over(why: &str) -> Failed {
    Failed::Unknown(why.to_owned())
}

/// What was sent on a stream that is cut is unknown, whatever it was cut for: it may have been read.
fn cut(status: &Status) -> Failed {
    Failed::Unknown(Failed::of(status).to_string())
}
