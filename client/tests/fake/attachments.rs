//! A node's attachments: one content, and where its streams are cut.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::object::CHUNK_LENGTH;
use kho_proto::pb::v1::get_attachment_response::Part as Got;
use kho_proto::pb::v1::put_attachment_request::Part;
use kho_proto::pb::v1::{AttachmentInfo, BeginAttachmentRequest, BeginAttachmentResponse, GetAttachmentRequest};
use kho_proto::pb::v1::{GetAttachmentResponse, PutAttachmentRequest, PutAttachmentResponse};
use tonic::{Status, Streaming};

pub type Pieces = BoxStream<'static, Result<GetAttachmentResponse, Status>>;

#[derive(Default)]
pub struct State {
    /// What was stored, or is served.
    pub content: Vec<u8>,
    /// Bytes after which the next streams are cut; none left: they run to the end.
    pub cuts: VecDeque<usize>,
    /// Offsets that streams began at.
    pub offsets: Vec<u64>,
    /// Flips a byte of what is served.
    pub forged: bool,
    /// From here on its disk can't be read: streams open, and end there.
    pub damaged_at: Option<usize>,
    /// Streams tell what is attached, again and again, and nothing of it.
    pub babbles: bool,
}

#[derive(Clone, Default)]
pub struct Attachments(pub Arc<Mutex<State>>);

fn digest(content: &[u8]) -> Bytes {
    Bytes::copy_from_slice(Digest::of(content).as_ref())
}

impl Attachments {
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    pub fn begin(
        &self,
        said: BeginAttachmentRequest,
        node_id: u64,
        leader_id: u64,
    ) -> Result<BeginAttachmentResponse, Status> {
        let state = self.0.lock().unwrap();
        let complete = state.content.len() as u64 == said.length && digest(&state.content) == said.digest;
        let stored = if complete { said.length } else { (state.content.len() / CHUNK_LENGTH * CHUNK_LENGTH) as u64 };
        Ok(BeginAttachmentResponse { stored, complete, node_id, leader_id })
    }

    pub async fn put(
        &self,
        mut inbound: Streaming<PutAttachmentRequest>,
        node_id: u64,
        leader_id: u64,
    ) -> Result<PutAttachmentResponse, Status> {
        let Some(Part::Begin(begin)) = inbound.message().await?.and_then(|part| part.part) else {
            panic!("a beginning")
        };
        let mut left = {
            let mut state = self.0.lock().unwrap();
            state.offsets.push(begin.offset);
            state.content.truncate(usize::try_from(begin.offset).unwrap());
            state.cuts.pop_front()
        };
        while let Some(part) = inbound.message().await? {
            let Some(Part::Data(piece)) = part.part else { panic!("data") };
            self.0.lock().unwrap().content.extend_from_slice(&piece);
            if let Some(left) = &mut left {
                *left = left.saturating_sub(piece.len());
                if *left == 0 {
                    return Err(Status::unavailable("cut"));
                }
            }
        }
        let (said, state) = (begin.content.unwrap(), self.0.lock().unwrap());
        if digest(&state.content) != said.digest {
            return Err(Refusal::new(Code::AttachmentDigestMismatch, "another digest").into());
        }
        Ok(PutAttachmentResponse { length: said.length, node_id, leader_id })
    }

    pub fn get(&self, request: GetAttachmentRequest) -> Result<Pieces, Status> {
        let mut state = self.0.lock().unwrap();
        state.offsets.push(request.offset);
        let mut rest = state.content[usize::try_from(request.offset).unwrap()..].to_vec();
        if let Some(first) = rest.first_mut().filter(|_| state.forged) {
            *first ^= 1;
        }
        let damaged = state.damaged_at.map(|at| at.saturating_sub(usize::try_from(request.offset).unwrap()));
        let cut = state.cuts.pop_front();
        let info = AttachmentInfo {
            name: "a".to_owned(),
            media_type: "text/plain".to_owned(),
            length: state.content.len() as u64,
            digest: digest(&state.content),
            ..AttachmentInfo::default()
        };
        let info = GetAttachmentResponse { part: Some(Got::Info(info)) };
        if state.babbles {
            let again = futures::stream::unfold(info, |info| async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Some((Ok(info.clone()), info))
            });
            return Ok(again.boxed());
        }
        let mut parts = vec![Ok(info)];
        let served = &rest[..cut.or(damaged).unwrap_or(rest.len()).min(rest.len())];
        let data = served.chunks(10_000).map(|piece| Some(Got::Data(Bytes::copy_from_slice(piece))));
        parts.extend(data.map(|part| Ok(GetAttachmentResponse { part })));
        if cut.is_some() {
            parts.push(Err(Status::unavailable("cut")));
        } else if damaged.is_some() {
            parts.push(Err(Refusal::new(Code::RecordDamaged, "can't be served; ask another node").into()));
        }
        Ok(futures::stream::iter(parts).boxed())
    }
}
