use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::error::{Code, Refusal};

pub(crate) const PAYLOAD: &[u8] = "{\"so_ca_mac\":12,\"ghi_chu\":\"đã kiểm tra\"}".as_bytes();

/// A header with every field set.
pub(crate) fn sample() -> Header {
    let salt = *b"0123456789abcdef";
    Header {
        record_id: "01729d23-8b00-7000-8000-0123456789ab".parse().expect("uuid"),
        unit: "BYT".parse().expect("code"),
        regime: "YT-01".parse().expect("code"),
        period: "2020-W24".parse().expect("period"),
        series: "sốt xuất huyết".to_owned(),
        supersedes: Some("01729d23-8aff-7000-8000-0123456789ab".parse().expect("uuid")),
        receivers: vec!["TTCP".parse().expect("code"), "VPCP".parse().expect("code")],
        submitted_at: "2020-06-12T08:30:00.250+07:00".parse().expect("moment"),
        media_type: "application/json".to_owned(),
        payload_length: PAYLOAD.len() as u64,
        salt,
        payload_digest: payload_digest(&salt, PAYLOAD),
        attachments: vec![Attachment {
            name: "biên bản.pdf".to_owned(),
            media_type: "application/pdf".to_owned(),
            length: 3,
            digest: Digest::of(b"pdf"),
        }],
    }
}

#[track_caller]
fn refuse(bytes: &[u8], code: Code, says: &str) {
    let error = Header::decode(bytes).expect_err("must be refused");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(says), "{error}");
    assert_eq!(Refusal::from(error).code, code);
}

#[track_caller]
fn refuse_changed(change: impl FnOnce(&mut pb::Header), code: Code, says: &str) {
    let mut message = field::to_message(&sample());
    change(&mut message);
    refuse(&message.encode_to_vec(), code, says);
}

#[test]
fn a_whole_header_round_trips() {
    let header = sample();
    assert_eq!(Header::decode(&header.encode()), Ok(header.clone()));
    header.check_payload(PAYLOAD).expect("its own payload");
}

#[test]
fn the_smallest_header_round_trips() {
    let header = Header {
        series: String::new(),
        supersedes: None,
        receivers: vec![],
        attachments: vec![],
        payload_length: 0,
        payload_digest: payload_digest(&[0; 16], b""),
        salt: [0; 16],
        ..sample()
    };
    assert_eq!(Header::decode(&header.encode()), Ok(header.clone()));
    header.check_payload(b"").expect("an empty payload");
}

#[test]
fn malformed_bytes_are_refused() {
    refuse(b"\xff\xff\xff", Code::HeaderMalformed, "protobuf");
    let cut = sample().encode();
    refuse(&cut[..cut.len() - 1], Code::HeaderMalformed, "protobuf");
    refuse(&vec![0; HEADER_LENGTH_MAX + 1], Code::HeaderMalformed, "65536 bytes, found 65537");
    refuse(b"", Code::HeaderFieldInvalid, "version");
}

#[test]
fn other_encodings_of_the_same_header_are_refused() {
    let good = sample().encode();
    let with = |more: &[u8]| [&good[..], more].concat();
    refuse(&with(&[0x7a, 0]), Code::HeaderNotCanonical, "canonical"); // unknown field 15
    refuse(&with(&[0x58, 41]), Code::HeaderNotCanonical, "canonical"); // payload_length once more
    refuse(&with(&[0x08, 1]), Code::HeaderNotCanonical, "canonical"); // version once more, after field 14
    let mut long_varint = good.to_vec();
    assert_eq!(long_varint[..2], [0x08, 1]);
    long_varint.splice(1..2, [0x81, 0]);
    refuse(&long_varint, Code::HeaderNotCanonical, "canonical");
    let first = Header { series: String::new(), ..sample() }.encode();
    let at = first.windows(10).position(|w| w == b"\x2a\x082020-W24").expect("period") + 10;
    let mut default_value = first.to_vec();
    default_value.splice(at..at, [0x32, 0]); // series, empty
    refuse(&default_value, Code::HeaderNotCanonical, "canonical");
}

#[test]
fn fields_keep_to_their_rules() {
    use Code::{HeaderFieldInvalid as Field, PayloadTooLarge, PeriodInvalid};
    refuse_changed(|h| h.version = 2, Field, "version: expected 1, found 2");
    refuse_changed(|h| h.record_id = Bytes::from_static(b"short"), Field, "record_id: expected 16 bytes, found 5");
    refuse_changed(|h| h.record_id = Bytes::from_static(&[0; 16]), Field, "record_id: expected a UUIDv7");
    refuse_changed(|h| h.unit = "Bộ Y tế".into(), Field, "unit");
    refuse_changed(|h| h.unit = String::new(), Field, "unit");
    refuse_changed(|h| h.regime = "-".into(), Field, "regime");
    refuse_changed(|h| h.period = "2020-W54".into(), PeriodInvalid, "found \"2020-W54\"");
    refuse_changed(|h| h.period = "x".repeat(60_000), PeriodInvalid, "60000 bytes");
    refuse_changed(|h| h.series = "ạ".repeat(86), Field, "series: expected at most 256 bytes, found 258");
    refuse_changed(|h| h.series = "a\nb".into(), Field, "series: expected no control characters, found U+000A");
    refuse_changed(|h| h.series = "a\u{85}b".into(), Field, "U+0085");
    refuse_changed(|h| h.supersedes = h.record_id.clone(), Field, "supersedes: expected another record");
    refuse_changed(|h| h.supersedes = Bytes::from_static(&[1; 15]), Field, "supersedes: expected 16 bytes");
    refuse_changed(
        |h| h.receivers.reverse(),
        Field,
        "receivers: expected ascending unique codes, found VPCP before TTCP",
    );
    refuse_changed(|h| h.receivers = vec!["A".into(), "A".into()], Field, "ascending unique");
    refuse_changed(|h| h.receivers = vec![String::new()], Field, "receivers");
    refuse_changed(
        |h| h.receivers = (0..257).map(|n| format!("U{n:03}")).collect(),
        Field,
        "receivers: expected at most 256, found 257",
    );
    refuse_changed(|h| h.submitted_at = "2020-06-12T01:30:00.250Z".into(), Field, "submitted_at: expected YYYY");
    refuse_changed(|h| h.media_type = "json".into(), Field, "media_type");
    refuse_changed(|h| h.media_type = format!("a/{}", "b".repeat(127)), Field, "at most 128 bytes, found 129");
    refuse_changed(|h| h.payload_length = 4_194_305, PayloadTooLarge, "at most 4194304 bytes, found 4194305");
    refuse_changed(|h| h.salt = Bytes::new(), Field, "salt: expected 16 bytes, found 0 bytes");
    refuse_changed(|h| h.payload_digest = Bytes::from_static(&[1; 31]), Field, "payload_digest: expected 32 bytes");
}

#[test]
fn attachments_keep_to_their_rules() {
    use Code::HeaderFieldInvalid as Field;
    for name in ["", ".", "..", "a/b", "a\\b", "a\0b", &"x".repeat(256)] {
        refuse_changed(|h| h.attachments[0].name = name.into(), Field, "attachments.name");
    }
    refuse_changed(|h| h.attachments.push(h.attachments[0].clone()), Field, "unique names");
    refuse_changed(|h| h.attachments[0].media_type = "pdf".into(), Field, "attachments.media_type");
    refuse_changed(|h| h.attachments[0].length = (1 << 40) + 1, Field, "attachments.length");
    refuse_changed(|h| h.attachments[0].digest = Bytes::new(), Field, "attachments.digest: expected 32 bytes");
    let many = |h: &mut pb::Header| h.attachments = vec![h.attachments[0].clone(); 65];
    refuse_changed(many, Field, "attachments: expected at most 64, found 65");
}

#[test]
fn media_types_are_those_of_rfc_9110() {
    let with = |media_type: &str| Header { media_type: media_type.to_owned(), ..sample() }.check();
    for good in ["text/plain", "text/plain; charset=utf-8", "text/plain;charset=utf-8;a=\"b c\"", "image/svg+xml"] {
        with(good).expect(good);
    }
    for bad in [
        "",
        "/",
        "text/",
        "/plain",
        "text/plain;",
        "text/plain; ",
        "text/plain; a",
        "text/plain; a=",
        "text /a",
        "text/plain;  a=b",
        "text/plain; a=\"b",
        "text/plain; a=\"b\"c",
        "text/plain a=b",
        "văn/bản",
        "text/plain\n",
    ] {
        assert_eq!(with(bad).map_err(|error| error.code()), Err(Code::HeaderFieldInvalid), "{bad:?}");
    }
}

#[test]
fn the_payload_must_be_the_headers() {
    let header = sample();
    let code = |payload: &[u8]| header.check_payload(payload).expect_err("another payload").code();
    assert_eq!(code(&PAYLOAD[1..]), Code::PayloadLengthMismatch);
    assert_eq!(code(&vec![0; PAYLOAD.len()]), Code::PayloadDigestMismatch);
    assert_eq!(code(&vec![0; PAYLOAD_LENGTH_MAX + 1]), Code::PayloadTooLarge);
    let error = header.check_payload(&vec![b'!'; PAYLOAD.len()]).expect_err("another payload");
    assert!(!error.to_string().contains('!'), "never payload content: {error}");
}

#[test]
fn submitted_at_may_be_five_minutes_ahead_and_no_more() {
    let header = sample();
    let at = header.submitted_at.unix_ms().0;
    header.check_submitted_at(UnixMs(at - SUBMITTED_AHEAD_MS_MAX)).expect("five minutes");
    let error = header.check_submitted_at(UnixMs(at - SUBMITTED_AHEAD_MS_MAX - 1)).expect_err("more");
    assert_eq!(error.code(), Code::SubmittedAtInFuture);
    header.check_submitted_at(UnixMs(u64::MAX)).expect("long ago");
}

fn any_header() -> impl Strategy<Value = Header> {
    let ids = (any::<u32>(), any::<[u8; 10]>(), proptest::option::of(any::<[u8; 10]>()));
    let texts = ("[A-Z0-9][A-Za-z0-9._-]{0,31}", "[a-zạ-ỹ ]{0,60}", btree_set("[A-Z][a-z0-9]{0,7}", 0..20));
    let rest = (0u64..253_402_275_600_000, 0u64..=4 << 20, any::<[u8; 16]>(), any::<[u8; 32]>());
    (ids, texts, rest).prop_map(|((ms, random, before), (unit, series, receivers), (at, length, salt, digest))| {
        Header {
            record_id: RecordId::new_v7(u64::from(ms) + 1, &random),
            unit: unit.parse().expect("code"),
            series,
            supersedes: before.map(|random| RecordId::new_v7(u64::from(ms), &random)),
            receivers: receivers.iter().map(|code| code.parse().expect("code")).collect(),
            submitted_at: SubmittedAt::from_unix_ms(UnixMs(at)),
            payload_length: length,
            salt,
            payload_digest: Digest(digest),
            ..sample()
        }
    })
}

proptest! {
    #[test]
    fn every_header_round_trips(header in any_header()) {
        prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn what_decodes_re_encodes_to_the_same_bytes(header in any_header(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = header.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(header) = Header::decode(&bytes) {
            prop_assert_eq!(header.encode().to_vec(), bytes);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = Header::decode(&bytes);
    }
}
