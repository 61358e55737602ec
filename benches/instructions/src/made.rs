//! A signer, its records, and a ledger that holds some: always the same bytes.

use std::convert::Infallible;

use aws_lc_rs::signature::Ed25519KeyPair;
use bytes::Bytes;
use kho_ledger::memory::Memory;
use kho_ledger::{Tip, entry_version};
use kho_proto::certificate::TrustRoots;
use kho_proto::digest::Digest;
use kho_proto::header::SubmittedAt;
use kho_proto::id::{ClusterId, KeyId, RecordId, Token, UnixMs};
use kho_proto::pb::ledger::v1::{Command, CreateDataKey, Entry, Genesis, SealedCertificate, Submit, command::Kind};
use kho_proto::pb::v1::SignedRecord;
use kho_proto::record::{self, Draft};
use kho_proto::sealed::{DataKey, Head, Part, SealContext, seal};
use kho_proto::signature::Algorithm;
use kho_proto::tokens::TokenKey;
use prost::Message;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, SanType, SerialNumber, date_time_ymd};

/// 2020-06-12T08:30:00+07:00.
pub const NOW: UnixMs = UnixMs(1_591_925_400_000);
/// Bytes of a payload.
pub const PAYLOAD_BYTES: usize = 1024;
pub const CLUSTER: ClusterId = ClusterId([0xc1; 16]);
pub const KEY: KeyId = KeyId([0x4b; 16]);
const UNIT: &str = "BYT";

/// PKCS #8 of an Ed25519 seed (RFC 8410, 7).
fn pkcs8(seed: u8) -> Vec<u8> {
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    [&prefix[..], &[seed; 32]].concat()
}

fn key(seed: u8) -> KeyPair {
    KeyPair::try_from(pkcs8(seed)).expect("a key of its own bytes")
}

fn params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 1);
    params
}

/// Who signs, and whom a node trusts.
pub struct Signer {
    pub roots: TrustRoots,
    pub chain: Vec<Bytes>,
    key: Ed25519KeyPair,
}

impl Signer {
    pub fn new() -> Self {
        let mut root = params("root", 1);
        root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        root.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        let root = CertifiedIssuer::self_signed(root, key(1)).expect("a root");
        let mut signer = params("signer", 2);
        signer.subject_alt_names = vec![SanType::URI(format!("urn:kho:unit:{UNIT}").try_into().expect("ascii"))];
        signer.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        let certificate = signer.signed_by(&key(2), &root).expect("a certificate");
        Self {
            roots: TrustRoots::from_pem(root.pem().as_bytes()).expect("its own form"),
            chain: vec![Bytes::copy_from_slice(certificate.der())],
            key: Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8(2)).expect("a key"),
        }
    }

    /// Record `n`, each of a series of its own.
    pub fn record(&self, n: u64) -> SignedRecord {
        let draft = Draft {
            record_id: record_id(n),
            unit: UNIT.parse().expect("a code"),
            regime: "YT-01".parse().expect("a code"),
            period: "2020-06".parse().expect("a period"),
            series: n.to_string(),
            supersedes: None,
            receivers: vec!["VPCP".parse().expect("a code")],
            submitted_at: SubmittedAt::from_unix_ms(NOW),
            media_type: "application/json".to_owned(),
            salt: [n as u8; 16],
        };
        let payload: Vec<u8> = (0..PAYLOAD_BYTES as u64).map(|at| (at.wrapping_mul(n | 1) >> 3) as u8).collect();
        let sign = |message: &[u8]| Ok::<_, Infallible>(self.key.sign(message).as_ref().to_vec());
        record::sign(draft, payload.into(), Algorithm::Ed25519, &self.chain, sign).expect("a sound draft")
    }
}

/// As UUIDv7s are: ascending times, and bits that say nothing.
fn record_id(n: u64) -> RecordId {
    let mut random = [0; 10];
    random.copy_from_slice(&Digest::of(&n.to_be_bytes()).as_bytes()[..10]);
    RecordId::new_v7(NOW.0 + n, &random)
}

/// A record's parts, ready to be sealed.
pub struct Opened {
    pub context: SealContext,
    pub head: Vec<u8>,
    pub payload: Bytes,
    pub record: SignedRecord,
}

pub fn opened(record: SignedRecord, n: u64) -> Opened {
    let context = SealContext {
        cluster_id: CLUSTER,
        key_id: KEY,
        record_id: record_id(n),
        header_digest: Digest::of(&record.header),
        signature_block_digest: Digest::of(&record.signature_block),
    };
    let head = Head { header: record.header.clone(), signature_block: record.signature_block.clone() };
    Opened { context, head: head.to_plaintext(), payload: record.payload.clone(), record }
}

/// The unit's data key.
pub fn data_key() -> DataKey {
    DataKey::new([7; 32])
}

fn copied(bytes: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(bytes.as_ref())
}

fn token(name: &str) -> Token {
    let mut out = [0; 16];
    out.copy_from_slice(&Digest::of(name.as_bytes()).as_bytes()[..16]);
    Token(out)
}

/// What is proposed for a record.
pub fn command(opened: &Opened, n: u64) -> Command {
    let key = data_key();
    let tokens = TokenKey::new([9; 32]);
    let (unit, regime) = (UNIT.parse().expect("a code"), "YT-01".parse().expect("a code"));
    let period = "2020-06".parse().expect("a period");
    let certificates = &opened.record.certificates;
    let submit = Submit {
        record_id: copied(opened.context.record_id),
        key_id: copied(KEY),
        header_digest: copied(opened.context.header_digest),
        signature_block_digest: copied(opened.context.signature_block_digest),
        sealed_head: seal(&opened.context, Part::Head, &key, [1; 12], &opened.head),
        sealed_payload: seal(&opened.context, Part::Payload, &key, [2; 12], &opened.payload),
        unit_token: copied(token(UNIT)),
        regime_token: copied(tokens.regime(&regime)),
        receiver_tokens: vec![copied(tokens.receiver(&"VPCP".parse().expect("a code")))],
        series_token: copied(tokens.series(&unit, &regime, &period, &n.to_string())),
        period: period.to_string(),
        certificate_digests: certificates.iter().map(|der| copied(Digest::of(der))).collect(),
        // the first brings them, as the sealer does it
        new_certificates: if n > 0 {
            Vec::new()
        } else {
            let sealed = |der: &Bytes| SealedCertificate {
                digest: copied(Digest::of(der)),
                key_id: copied(KEY),
                sealed: der.clone(),
            };
            certificates.iter().map(sealed).collect()
        },
        ..Submit::default()
    };
    Command { kind: Some(Kind::Submit(submit)) }
}

pub fn entry(commands: Vec<Command>) -> Entry {
    let version = commands.iter().map(entry_version).max().unwrap_or(1);
    Entry { version, epoch: 1, proposed_at_ms: NOW.0, commands }
}

/// A ledger with so many records.
pub fn ledger(records: u64) -> (Memory, Tip) {
    let genesis =
        Genesis { cluster_id: copied(CLUSTER), epoch: 1, created_at_ms: NOW.0, log_public_key: copied([0x1f; 32]) };
    let create = CreateDataKey {
        key_id: copied(KEY),
        unit_token: copied(token(UNIT)),
        generation: 1,
        wrapped_by: copied([0x4e; 32]),
        wrapped_key: copied([0x5a; 60]),
    };
    let (mut rows, mut tip) = (Memory::new(), Tip::empty());
    let mut put = |commands: Vec<Command>| {
        let effects = rows.apply(&mut tip, &entry(commands).encode_to_vec().into()).expect("a sound entry");
        let refused = effects.outcomes.iter().find(|outcome| matches!(outcome, kho_ledger::Outcome::Refused(_)));
        assert_eq!(refused, None, "each is taken");
    };
    put([Kind::Genesis(genesis), Kind::CreateDataKey(create)].map(|kind| Command { kind: Some(kind) }).into());
    let signer = Signer::new();
    for n in 0..records {
        put(vec![command(&opened(signer.record(n), n), n)]);
    }
    (rows, tip)
}
