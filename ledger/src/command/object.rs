//! Attachments' objects: put in chunks, completed once they were verified, dropped where no record names them.

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{KeyId, ObjectId, Token, UnixMs};
use kho_proto::object::{SealedDigest, chunk_count};
use kho_proto::pb::ledger::v1::{CompleteObject, DropObjects, PutObjectChunk};

use super::{Stop, fixed, within, wrong};
use crate::bounds::{DROPPED_OBJECTS_MAX, OBJECT_LENGTH_MAX, SEALED_CHUNK_LENGTH_MAX};
use crate::draft::Draft;
use crate::effects::Outcome;
use crate::read;
use crate::row::{ChunkFacts, CompleteRow, ObjectRow};
use crate::table::{self, CHUNK_FACTS, CHUNKS, COMPLETE, OBJECTS};

/// The first chunk of each index stays: whoever verified an object has verified what is there.
pub(super) fn put(draft: &mut Draft<'_>, command: &PutObjectChunk) -> Result<Outcome, Stop> {
    let id: ObjectId = fixed("put_object_chunk.object_id", &command.object_id)?;
    let unit_token: Token = fixed("put_object_chunk.unit_token", &command.unit_token)?;
    let key_id: KeyId = fixed("put_object_chunk.key_id", &command.key_id)?;
    within("put_object_chunk.sealed", "bytes", 1, SEALED_CHUNK_LENGTH_MAX, command.sealed.len())?;
    if command.length > OBJECT_LENGTH_MAX {
        let (most, found) = (format!("at most {OBJECT_LENGTH_MAX}"), command.length.to_string());
        return Err(wrong("put_object_chunk.length", most, found).into());
    }
    let count = chunk_count(command.length);
    if u64::from(command.index) >= count {
        return Err(wrong("put_object_chunk.index", format!("below {count}"), command.index.to_string()).into());
    }
    if draft.key_owner(key_id)?.is_none_or(|owner| owner.unit_token != unit_token) {
        let refusal = Refusal::new(Code::KeyNotApplied, "the data key is not applied");
        return Err(refusal.expected_found("an applied data key of the object's unit", key_id.to_string()).into());
    }
    let size_before = draft.tip().size();
    let at = draft.accepted_at();
    let new = ObjectRow { size_before, unit_token, key_id, length: command.length };
    let objects = draft.objects();
    match read::object(objects, &id)? {
        Some(row) if (row.unit_token, row.key_id, row.length) != (unit_token, key_id, command.length) => {
            return Err(
                wrong("put_object_chunk.object_id", "an object of this unit, key and length", id.to_string()).into()
            );
        }
        Some(_) => {}
        None => objects.put(table::object_key(OBJECTS, &id), new.encode()),
    }
    if read::chunk_facts(objects, &id, command.index)?.is_none() {
        let facts = ChunkFacts { size_before, at, digest: Digest::of(&command.sealed) };
        objects.put(table::chunk_key(CHUNKS, &id, command.index), command.sealed.clone());
        objects.put(table::chunk_key(CHUNK_FACTS, &id, command.index), facts.encode());
    }
    Ok(Outcome::Done)
}

/// The proposer has verified the content; here is decided that what it verified is what is there.
pub(super) fn complete(draft: &mut Draft<'_>, command: &CompleteObject) -> Result<Outcome, Stop> {
    let id: ObjectId = fixed("complete_object.object_id", &command.object_id)?;
    let verified: Digest = fixed("complete_object.sealed_digest", &command.sealed_digest)?;
    let (size_before, at) = (draft.tip().size(), draft.accepted_at());
    let objects = draft.objects();
    let Some(row) = read::object(objects, &id)? else { return Err(missing(id).into()) };
    if read::complete_object(objects, &id)?.is_some() {
        return Ok(Outcome::Done);
    }
    let mut digest = SealedDigest::default();
    for index in indices(&row) {
        let Some(facts) = read::chunk_facts(objects, &id, index)? else {
            let refusal = Refusal::new(Code::AttachmentTruncated, "chunks of the object are missing");
            return Err(refusal.expected_found(format!("{} chunks", chunk_count(row.length)), "a gap").into());
        };
        digest.push(facts.digest);
    }
    let sealed_digest = digest.finish();
    if sealed_digest != verified {
        // dropped and begun anew since
        let refusal = Refusal::new(Code::AttachmentMissing, "other chunks are stored than were verified");
        return Err(refusal.expected_found(sealed_digest.to_string(), verified.to_string()).into());
    }
    let complete = CompleteRow { size_before, at, sealed_digest };
    objects.put(table::object_key(COMPLETE, &id), complete.encode());
    Ok(Outcome::Done)
}

/// Whether an object may go is decided here and not where it was looked for: a record may have named it since.
pub(super) fn drop_objects(draft: &mut Draft<'_>, command: &DropObjects) -> Result<Outcome, Stop> {
    let field = "drop_objects.object_ids";
    within(field, "ids", 1, DROPPED_OBJECTS_MAX, command.object_ids.len())?;
    let ids = command.object_ids.iter().map(|id| fixed(field, id)).collect::<Result<Vec<ObjectId>, Stop>>()?;
    let objects = draft.objects();
    for id in ids {
        let Some(row) = read::object(objects, &id)? else { continue };
        let complete = read::complete_object(objects, &id)?.is_some();
        let touched = read::object_touched(objects, &id)?;
        let busy = touched.is_some_and(|touched| touched > UnixMs(command.idle_since_ms));
        if busy || (complete && command.incomplete_only) || read::is_named(objects, &id)? {
            continue;
        }
        for key in rows_of(&id, &row) {
            objects.delete(key);
        }
    }
    Ok(Outcome::Done)
}

fn indices(row: &ObjectRow) -> std::ops::Range<u32> {
    0..u32::try_from(chunk_count(row.length)).unwrap_or(u32::MAX)
}

/// All rows that an object may have apart from those of records that name it.
pub(crate) fn rows_of(id: &ObjectId, row: &ObjectRow) -> impl Iterator<Item = Bytes> {
    let id = *id;
    let chunks = indices(row).flat_map(move |index| [CHUNKS, CHUNK_FACTS].map(|of| table::chunk_key(of, &id, index)));
    [OBJECTS, COMPLETE].map(|of| table::object_key(of, &id)).into_iter().chain(chunks)
}

/// Nothing is there, or not any more.
pub(super) fn missing(id: ObjectId) -> Refusal {
    Refusal::new(Code::AttachmentMissing, "an attachment was not uploaded, or was collected since")
        .expected_found("a complete object of the record's unit", id.to_string())
}
