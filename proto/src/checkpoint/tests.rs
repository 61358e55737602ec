use proptest::prelude::*;

use super::*;
use crate::id::{ClusterId, Epoch};

fn origin() -> Origin {
    Origin::new(ClusterId([1; 16]), Epoch(1), Digest::of(b"genesis"))
}

fn signer() -> LogSigner {
    LogSigner::new(&LogKey::new([7; 32]), origin())
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: origin(), size: 42, root: Digest::of(b"root") }
}

/// The example of the signed-note specification.
#[test]
fn opens_the_note_of_the_specification() {
    let material = BASE64.decode("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k").expect("base64");
    let public_key: [u8; 32] = material[1..].try_into().expect("32 bytes");
    let name = "example.com/foo";
    assert_eq!(note::key_id(name, &public_key), 0x530d_903a);
    let note = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONn\
        cAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    assert_eq!(note::open(note.as_bytes(), name, &public_key), Ok("This is an example message.\n"));
    let changed = note.replace("an example", "no example");
    let error = note::open(changed.as_bytes(), name, &public_key).expect_err("changed");
    assert!(matches!(error, Error::SignatureInvalid { .. }), "{error}");
}

#[test]
fn a_checkpoint_round_trips_and_is_always_the_same_bytes() {
    let note = signer().sign(&checkpoint());
    assert_eq!(note, signer().sign(&checkpoint()));
    assert_eq!(signer().verifier_key().open(&note), Ok(checkpoint()));
    let text = signer().verifier_key().to_string();
    assert_eq!(text.parse::<VerifierKey>().as_ref(), Ok(signer().verifier_key()));
}

#[test]
fn only_the_logs_key_counts() {
    let note = signer().sign(&checkpoint());
    let other = LogSigner::new(&LogKey::new([8; 32]), origin());
    assert!(matches!(other.verifier_key().open(&note), Err(Error::NotSigned { .. })));
    // A cosignature beside the log's, before or after it, changes nothing.
    let cosignature = "\u{2014} witness.example AAAAAAAA\n";
    let note = std::str::from_utf8(&note).expect("utf-8");
    signer().verifier_key().open(format!("{note}{cosignature}").as_bytes()).expect("signed");
    let (text, signature) = note.split_once("\n\n").expect("note");
    let before = format!("{text}\n\n{cosignature}{signature}");
    signer().verifier_key().open(before.as_bytes()).expect("signed");
    let without = format!("{text}\n\n{cosignature}");
    assert!(matches!(signer().verifier_key().open(without.as_bytes()), Err(Error::NotSigned { .. })));
}

#[test]
fn notes_of_another_form_are_refused() {
    let key = signer().verifier_key().clone();
    let note = String::from_utf8(signer().sign(&checkpoint()).to_vec()).expect("utf-8");
    for (from, to) in
        [("\n\n", "\n"), ("\u{2014}", "-"), ("\n42\n", "\n042\n"), ("\n42\n", "\n42\r\n"), ("\n42\n", "\n43\n")]
    {
        assert!(key.open(note.replacen(from, to, 1).as_bytes()).is_err(), "{from:?} as {to:?}");
    }
    assert!(key.open(note.trim_end().as_bytes()).is_err(), "no newline at the end");
    assert!(key.open(b"").is_err());
    assert!(key.open(b"\xff\n\n").is_err());
    assert!(matches!(key.open(&vec![b'a'; NOTE_LENGTH_MAX + 1]), Err(Error::TooLong { .. })));
    let many = format!("{note}{}", "\u{2014} witness.example AAAAAAAA\n".repeat(SIGNATURES_MAX));
    assert!(key.open(many.as_bytes()).is_err());
}

#[test]
fn bodies_are_strict_but_may_have_extensions() {
    let root = BASE64.encode(Digest::of(b"root"));
    let body =
        |size: &str, root: &str, more: &str| Checkpoint::from_body(&format!("{}\n{size}\n{root}\n{more}", origin()));
    assert_eq!(body("42", &root, ""), Ok(checkpoint()));
    assert_eq!(body("42", &root, "an extension\n"), Ok(checkpoint()));
    assert_eq!(body("0", &root, "").map(|checkpoint| checkpoint.size), Ok(0));
    for (size, root) in [
        ("042", &root[..]),
        ("+42", &root),
        ("", &root),
        ("-1", &root),
        ("99999999999999999999", &root),
        ("42", ""),
        ("42", "AAAA"),
        ("42", &root[..43]),
    ] {
        assert!(body(size, root, "").is_err(), "{size:?} {root:?}");
    }
    assert!(body("42", &root, "\nx\n").is_err(), "an empty line");
}

#[test]
fn origins_have_one_form() {
    let text = origin().to_string();
    assert_eq!(text, "01010101-0101-0101-0101-010101010101/1/aeebad4a796fcc2e");
    assert_eq!((origin().cluster_id(), origin().epoch()), (ClusterId([1; 16]), Epoch(1)));
    assert_eq!(text.parse(), Ok(origin()));
    for bad in [
        "",
        "01010101-0101-0101-0101-010101010101",
        "01010101-0101-0101-0101-010101010101/0/aeebad4a796fcc2e",
        "01010101-0101-0101-0101-010101010101/01/aeebad4a796fcc2e",
        "01010101-0101-0101-0101-010101010101/1/aeebad4a796fcc2",
        "01010101-0101-0101-0101-010101010101/1/AEEBAD4A796FCC2E",
        "01010101-0101-0101-0101-010101010101/1/aeebad4a796fcc2e/",
        "01010101010101010101010101010101/1/aeebad4a796fcc2e",
    ] {
        assert!(bad.parse::<Origin>().is_err(), "{bad:?}");
    }
}

#[test]
fn verifier_keys_are_checked() {
    let good = signer().verifier_key().to_string();
    let (name, rest) = good.split_once('+').expect("name");
    let (id, base64) = rest.split_once('+').expect("id");
    for bad in [
        format!("{name}+{base64}"),
        format!("{name}+00000000+{base64}"),
        format!("{name}+{}+{base64}", id.to_uppercase()),
        format!("example.com/foo+{id}+{base64}"),
        format!("{name}+{id}+AAAA"),
        String::new(),
    ] {
        assert!(bad == good || bad.parse::<VerifierKey>().is_err(), "{bad}");
    }
    assert_eq!(format!("{:?}", LogKey::new([7; 32])), "LogKey(..)");
}

#[test]
#[should_panic(expected = "only its own checkpoints")]
fn a_log_does_not_sign_for_another() {
    let origin = Origin::new(ClusterId([1; 16]), Epoch(2), Digest::of(b"promotion"));
    signer().sign(&Checkpoint { origin, ..checkpoint() });
}

proptest! {
    #[test]
    fn every_checkpoint_round_trips(size: u64, root: [u8; 32]) {
        let checkpoint = Checkpoint { size, root: Digest(root), ..checkpoint() };
        prop_assert_eq!(signer().verifier_key().open(&signer().sign(&checkpoint)), Ok(checkpoint));
    }

    #[test]
    fn no_changed_note_opens_to_something_else(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut note = signer().sign(&checkpoint()).to_vec();
        let at = at.index(note.len());
        note[at] ^= flip;
        prop_assert!(signer().verifier_key().open(&note).is_err());
    }
}
