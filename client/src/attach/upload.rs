//! Uploads: from where the cluster has it, at whichever node answers, until it is complete.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::Stream;
use kho_proto::error::Code;
use kho_proto::header::Attachment;
use kho_proto::id::{NodeId, UnitCode};
use kho_proto::pb::v1::put_attachment_request::Part;
use kho_proto::pb::v1::{BeginAttachmentRequest, PutAttachmentBegin, PutAttachmentRequest};
use tonic::Status;

use super::content::{Content, piece};
use super::{AttachmentError, STALL_MAX};
use crate::attempt::Failed;
use crate::client::Client;
use crate::nodes::Node;

/// An upload that got no further for so long is given up.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between attempts.
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// After the last piece a node reads all of it back: at least so many bytes a second, from a slow disk.
const VERIFIED_PER_S: u64 = 4 << 20;

/// How far one stream has come.
struct Sent {
    /// Bytes that were handed to it, from the beginning of the content.
    at: AtomicU64,
    /// The content could not be read.
    failed: parking_lot::Mutex<Option<io::Error>>,
}

impl Client {
    /// Uploads a content for records of `unit`; `progress` hears how many bytes are sent, which may go back where a node was
    /// lost. Returns once all of it is durable and has the digest: at once, if it was there before. Dropped while it waits, the next one goes on behind what the cluster has stored.
    pub async fn upload(
        &self,
        unit: &UnitCode,
        attachment: &Attachment,
        content: Arc<dyn Content>,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<(), AttachmentError> {
        let said = BeginAttachmentRequest {
            unit: unit.to_string(),
            digest: Bytes::copy_from_slice(attachment.digest.as_ref()),
            length: attachment.length,
        };
        let name = &attachment.name;
        // what is stored is all that counts; a stream's own time does not, since what it stored shows when the next one begins
        let (mut furthest, mut quiet, mut last) = (None, Instant::now(), String::new());
        let mut anew = false;
        loop {
            let begun =
                self.ask(said.clone(), |mut store, request| async move { store.begin_attachment(request).await });
            match begun.await {
                Ok((begun, node)) => {
                    self.nodes().learn(node, NodeId(begun.node_id), NodeId(begun.leader_id));
                    if begun.complete {
                        progress(attachment.length);
                        return Ok(());
                    }
                    let stored = begun.stored.min(attachment.length);
                    let moved = furthest.is_none_or(|furthest| stored > furthest);
                    if moved {
                        (furthest, quiet) = (Some(stored), Instant::now());
                    } else if quiet.elapsed() > PATIENCE {
                        return Err(AttachmentError::Stopped { name: name.clone(), at: stored, last });
                    }
                    match self.put(node, &said, stored, content.clone(), &mut progress).await {
                        Ok(()) => return Ok(()),
                        Err(Put::Content(source)) => {
                            return Err(AttachmentError::Content { name: name.clone(), source });
                        }
                        // another upload's bytes stood before these, and are gone now
                        Err(Put::Failed(failed)) if !anew && stored > 0 && differs(&failed) => {
                            (anew, furthest) = (true, None);
                        }
                        Err(Put::Failed(failed)) if over(&failed) => {
                            let refusal = failed.answer().cloned().map(Box::new);
                            let stopped = || AttachmentError::Stopped {
                                name: name.clone(),
                                at: stored,
                                last: failed.to_string(),
                            };
                            let refused = |refusal| AttachmentError::Refused { name: name.clone(), refusal };
                            return Err(refusal.map_or_else(stopped, refused));
                        }
                        Err(Put::Failed(failed)) => {
                            if failed.rests_node() {
                                node.unwell(Instant::now());
                                self.nodes().move_on();
                            }
                            tracing::debug!(node = %node.address, %failed, stored, "an upload was cut off");
                            if moved {
                                quiet = Instant::now();
                            }
                            last = failed.to_string();
                            tokio::time::sleep(failed.retry_after().unwrap_or(PAUSE)).await;
                        }
                    }
                }
                Err(error) => {
                    let at = furthest.unwrap_or(0);
                    let pause = match AttachmentError::of(name, at, error) {
                        AttachmentError::Stopped { last: why, .. } => {
                            last = why;
                            PAUSE
                        }
                        AttachmentError::Refused { refusal, .. } if refusal.code.retry() => {
                            last = refusal.to_string();
                            refusal.retry_after.unwrap_or(PAUSE)
                        }
                        error => return Err(error),
                    };
                    if quiet.elapsed() > PATIENCE {
                        return Err(AttachmentError::Stopped { name: name.clone(), at, last });
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// One stream to one node.
    async fn put(
        &self,
        node: &Node,
        said: &BeginAttachmentRequest,
        offset: u64,
        content: Arc<dyn Content>,
        progress: &mut (impl FnMut(u64) + Send),
    ) -> Result<(), Put> {
        let sent = Arc::new(Sent { at: AtomicU64::new(offset), failed: parking_lot::Mutex::default() });
        let begin = Part::Begin(PutAttachmentBegin { content: Some(said.clone()), offset });
        let parts = parts(begin, content, said.length, sent.clone());
        let mut store = node.store();
        let put = store.put_attachment(parts);
        tokio::pin!(put);
        let (mut last, mut since) = (offset, Instant::now());
        progress(offset);
        loop {
            let answer = tokio::time::timeout(PAUSE, &mut put).await;
            let at = sent.at.load(Ordering::Relaxed);
            if at != last {
                progress(at);
                (last, since) = (at, Instant::now());
            }
            match answer {
                Ok(Ok(answer)) => {
                    let answer = answer.into_inner();
                    self.nodes().learn(node, NodeId(answer.node_id), NodeId(answer.leader_id));
                    return Ok(());
                }
                Ok(Err(status)) => {
                    return Err(match sent.failed.lock().take() {
                        Some(source) => Put::Content(source),
                        None => Put::Failed(Failed::of(&status)),
                    });
                }
                Err(_elapsed) => {}
            }
            let verifying = Duration::from_secs(if at == said.length { said.length / VERIFIED_PER_S } else { 0 });
            if since.elapsed() > STALL_MAX + verifying {
                return Err(Put::Failed(Failed::timed_out(STALL_MAX + verifying)));
            }
        }
    }
}

/// Why a stream ended early.
enum Put {
    Content(io::Error),
    Failed(Failed),
}

/// What was stored has another digest.
fn differs(failed: &Failed) -> bool {
    failed.answer().is_some_and(|refusal| refusal.code == Code::AttachmentDigestMismatch)
}

/// Whether nothing would become of another attempt. What was collected meanwhile is begun anew.
fn over(failed: &Failed) -> bool {
    let begun_anew =
        |code| matches!(code, Code::AttachmentOffsetInvalid | Code::AttachmentMissing | Code::AttachmentTruncated);
    !failed.retry() && !failed.answer().is_some_and(|refusal| begun_anew(refusal.code))
}

/// The beginning, and the pieces as the stream takes them: one is read when the one before has gone.
fn parts(
    begin: Part,
    content: Arc<dyn Content>,
    length: u64,
    sent: Arc<Sent>,
) -> impl Stream<Item = PutAttachmentRequest> + Send + 'static {
    let first = futures::stream::iter([PutAttachmentRequest { part: Some(begin) }]);
    let rest = futures::stream::unfold((content, sent), move |(content, sent)| async move {
        let at = sent.at.load(Ordering::Relaxed);
        if at >= length {
            return None;
        }
        let source = content.clone();
        let read = tokio::task::spawn_blocking(move || piece(&*source, length, at)).await;
        match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(piece) => {
                sent.at.store(at + piece.len() as u64, Ordering::Relaxed);
                Some((PutAttachmentRequest { part: Some(Part::Data(piece)) }, (content, sent)))
            }
            Err(error) => {
                // the node finds the upload cut short
                *sent.failed.lock() = Some(error);
                None
            }
        }
    });
    futures::StreamExt::chain(first, rest)
}

impl From<Status> for Put {
    fn from(status: Status) -> Self {
        Put::Failed(Failed::of(&status))
    }
}
