//! The stored content, read back and held against its digest.

use bytes::Bytes;
use kho_proto::digest::{Digest, Digester};
use kho_proto::error::{Code, Refusal};
use kho_proto::object::SealedDigest;
use kho_proto::pb::ledger::v1::{CompleteObject, DropObjects, command::Kind};
use kho_proto::sealed;

use super::{Begun, Uploads, failed};

/// What was read back.
struct Verified {
    content: Digest,
    sealed: Digest,
}

/// Why it could not be.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("state: {0}")]
    State(#[from] kho_ledger::ReadError),
    #[error("expected {expected} chunks, found none at index {missing}")]
    Missing { expected: u32, missing: u32 },
    #[error(transparent)]
    Sealed(#[from] sealed::Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error {
            Error::State(error) => failed(error),
            Error::Missing { expected, missing } => {
                let text = "a part of the attachment was collected meanwhile";
                let found = format!("none at {missing}");
                Refusal::new(Code::AttachmentTruncated, text).expected_found(format!("{expected} chunks"), found)
            }
            Error::Sealed(error) => {
                tracing::error!(%error, "a chunk of an attachment does not open");
                Refusal::new(error.code(), "a stored chunk can't be read; ask another node")
            }
        }
    }
}

impl Uploads {
    /// All chunks were stored, by whichever nodes: verifies them and says so to the cluster.
    pub(super) async fn complete(&self, begun: &Begun) -> Result<(), Refusal> {
        self.catch_up().await?;
        let permit = self.verifying.clone().acquire_owned().await.map_err(failed)?;
        let (state, context, key, count) = (self.writer.state.clone(), begun.context, begun.key.clone(), begun.count());
        let read_back = move || -> Result<Verified, Error> {
            // until it is done, also where nobody waits for it any more
            let _permit = permit;
            let (mut content, mut sealed) = (Digester::default(), SealedDigest::default());
            for index in 0..count {
                // a view for each chunk: none is held for long
                let chunk = kho_ledger::chunk(&state.view(), &context.object_id, index)?;
                let chunk = chunk.ok_or(Error::Missing { expected: count, missing: index })?;
                content.update(&context.open(&key, index, &chunk)?);
                sealed.push(Digest::of(&chunk));
            }
            Ok(Verified { content: content.finish(), sealed: sealed.finish() })
        };
        let verified = self.tasks.blocking(read_back).await.map_err(failed)??;
        let object_id = Bytes::copy_from_slice(begun.context.object_id.as_ref());
        if verified.content != begun.digest {
            // nothing can become of it, and a new upload must find an empty place
            let drop = DropObjects { object_ids: vec![object_id], idle_since_ms: u64::MAX, incomplete_only: true };
            self.insist(Kind::DropObjects(drop)).await?;
            let text = "the attachment has another digest than was said; what was uploaded is dropped";
            return Err(Refusal::new(Code::AttachmentDigestMismatch, text)
                .expected_found(begun.digest.to_string(), verified.content.to_string()));
        }
        let sealed_digest = Bytes::copy_from_slice(verified.sealed.as_ref());
        self.insist(Kind::CompleteObject(CompleteObject { object_id, sealed_digest })).await
    }
}
