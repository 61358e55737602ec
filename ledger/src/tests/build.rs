//! Builds entries in the words of the specification.

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::id::{KeyId, ObjectId, RecordId, Seq, Token};
use kho_proto::object::{CHUNK_LENGTH, SealedDigest};
use kho_proto::pb::ledger::v1::{
    Command, CompleteObject, CreateDataKey, DropObjects, Entry, Genesis, InstallCrl, PutObjectChunk, SealedCertificate,
    Submit, command::Kind,
};
use prost::Message;

use crate::memory::Memory;
use crate::{Effects, Outcome, Tip};

pub fn token(name: &str) -> Token {
    let mut out = [0; 16];
    out.copy_from_slice(&Digest::of(name.as_bytes()).as_bytes()[..16]);
    Token(out)
}

pub fn record_id(n: u64) -> RecordId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    RecordId::new_v7(1_593_568_800_000, &random)
}

pub fn key_id(unit: &str, generation: u32) -> KeyId {
    KeyId(token(&format!("key {unit} {generation}")).0)
}

fn copy(bytes: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(bytes.as_ref())
}

pub fn genesis() -> Command {
    let genesis = Genesis {
        cluster_id: copy([0xc1; 16]),
        epoch: 1,
        created_at_ms: 1_593_568_700_000,
        log_public_key: copy([0x1f; 32]),
    };
    Command { kind: Some(Kind::Genesis(genesis)) }
}

pub fn create_key(unit: &str, generation: u32) -> Command {
    let create = CreateDataKey {
        key_id: copy(key_id(unit, generation)),
        unit_token: copy(token(unit)),
        generation,
        wrapped_by: copy([0x4e; 32]),
        wrapped_key: copy([0x5a; 60]),
    };
    Command { kind: Some(Kind::CreateDataKey(create)) }
}

/// A record of `unit`, the first of a series of its own, sealed by the unit's first key, whose signer's
/// certificate comes with it.
#[derive(Debug, Clone)]
pub struct Record(pub Submit);

pub fn certificate(unit: &str) -> SealedCertificate {
    SealedCertificate {
        digest: copy(Digest::of(unit.as_bytes())),
        key_id: copy(key_id(unit, 1)),
        sealed: copy(format!("sealed certificate of {unit}")),
    }
}

pub fn record(n: u64, unit: &str) -> Record {
    Record(Submit {
        record_id: copy(record_id(n)),
        key_id: copy(key_id(unit, 1)),
        header_digest: copy(Digest::of(&n.to_be_bytes())),
        signature_block_digest: copy(Digest::of(b"signature block")),
        sealed_head: copy(format!("sealed head {n}")),
        sealed_payload: copy(format!("sealed payload {n}")),
        attachment_digests: Vec::new(),
        unit_token: copy(token(unit)),
        regime_token: copy(token("regime")),
        receiver_tokens: vec![copy(token("receiver"))],
        series_token: copy(token(&format!("series of {n}"))),
        period: "2020-06".to_owned(),
        supersedes: Bytes::new(),
        new_certificates: vec![certificate(unit)],
        certificate_digests: vec![copy(Digest::of(unit.as_bytes()))],
        crl_version: 0,
        object_ids: Vec::new(),
    })
}

impl Record {
    pub fn with(mut self, change: impl FnOnce(&mut Submit)) -> Self {
        change(&mut self.0);
        self
    }

    pub fn series(self, name: &str) -> Self {
        self.with(|submit| submit.series_token = copy(token(name)))
    }

    pub fn supersedes(self, n: u64) -> Self {
        self.with(|submit| submit.supersedes = copy(record_id(n)))
    }

    pub fn header(self, text: &str) -> Self {
        self.with(|submit| submit.header_digest = copy(Digest::of(text.as_bytes())))
    }

    /// Names an object of so many chunks.
    pub fn attaching(self, unit: &str, name: &str, chunks: u32) -> Self {
        self.with(|submit| {
            submit.object_ids.push(copy(object_id(unit, name)));
            submit.attachment_digests.push(copy(sealed_object(name, chunks)));
        })
    }

    pub fn command(self) -> Command {
        Command { kind: Some(Kind::Submit(self.0)) }
    }
}

/// The list that an authority made at a time.
pub fn install_crl(issuer: u8, made: u64) -> Command {
    let install =
        InstallCrl { der: copy(format!("list {made} of {issuer}")), issuer: copy([issuer; 32]), this_update_ms: made };
    Command { kind: Some(Kind::InstallCrl(install)) }
}

/// Id of an object of `unit`.
pub fn object_id(unit: &str, name: &str) -> ObjectId {
    ObjectId(Digest::of(format!("object {name} of {unit}").as_bytes()).0)
}

/// What stands for a chunk.
pub fn sealed_chunk(name: &str, index: u32) -> Bytes {
    copy(format!("\u{1}chunk {index} of {name}"))
}

/// A chunk of an object of so many.
pub fn put_chunk(unit: &str, name: &str, chunks: u64, index: u32) -> Command {
    let put = PutObjectChunk {
        object_id: copy(object_id(unit, name)),
        unit_token: copy(token(unit)),
        key_id: copy(key_id(unit, 1)),
        length: chunks * CHUNK_LENGTH as u64,
        index,
        sealed: sealed_chunk(name, index),
    };
    Command { kind: Some(Kind::PutObjectChunk(put)) }
}

/// Digest of the sealed object.
pub fn sealed_object(name: &str, chunks: u32) -> Digest {
    let mut digest = SealedDigest::default();
    (0..chunks).for_each(|index| digest.push(Digest::of(&sealed_chunk(name, index))));
    digest.finish()
}

pub fn complete(unit: &str, name: &str, chunks: u32) -> Command {
    let complete =
        CompleteObject { object_id: copy(object_id(unit, name)), sealed_digest: copy(sealed_object(name, chunks)) };
    Command { kind: Some(Kind::CompleteObject(complete)) }
}

pub fn drop_object(unit: &str, name: &str, idle_since_ms: u64) -> Command {
    let object_ids = vec![copy(object_id(unit, name))];
    Command { kind: Some(Kind::DropObjects(DropObjects { object_ids, idle_since_ms, incomplete_only: false })) }
}

pub fn entry_of(proposed_at_ms: u64, commands: Vec<Command>) -> Entry {
    Entry { version: 1, epoch: 1, proposed_at_ms, commands }
}

pub fn encoded(entry: &Entry) -> Bytes {
    entry.encode_to_vec().into()
}

/// A ledger in memory, with its tip.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub rows: Memory,
    pub tip: Tip,
}

impl Ledger {
    pub fn empty() -> Self {
        Self { rows: Memory::new(), tip: Tip::empty() }
    }

    /// A formed cluster, where each of these units has a data key.
    pub fn formed(units: &[&str]) -> Self {
        let mut ledger = Self::empty();
        let keys = units.iter().map(|unit| create_key(unit, 1));
        ledger.apply(vec![genesis()].into_iter().chain(keys).collect());
        ledger
    }

    pub fn apply_entry(&mut self, entry: &Entry) -> Effects {
        self.rows.apply(&mut self.tip, &encoded(entry)).expect("a sound entry on a sound state")
    }

    pub fn apply(&mut self, commands: Vec<Command>) -> Vec<Outcome> {
        self.apply_entry(&entry_of(1_593_568_800_000, commands)).outcomes
    }

    /// The outcome of one command in an entry of its own, of the version that it needs.
    pub fn one_of_its_version(&mut self, command: Command) -> Outcome {
        let version = crate::entry_version(&command);
        let entry = Entry { version, ..entry_of(1_593_568_800_000, vec![command]) };
        self.apply_entry(&entry).outcomes.pop().expect("one outcome for one command")
    }

    /// The outcome of one command in an entry of its own.
    pub fn one(&mut self, command: Command) -> Outcome {
        self.apply(vec![command]).pop().expect("one outcome for one command")
    }
}

pub fn accepted(outcome: &Outcome) -> Option<Seq> {
    match outcome {
        Outcome::Accepted { seq, .. } => Some(*seq),
        _ => None,
    }
}
