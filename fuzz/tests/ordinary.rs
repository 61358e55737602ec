//! All targets over the committed corpora and a fixed number of seeded mutations of each input: part of every `cargo test`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kho_fuzz::mutate::{Dice, mutate};
use kho_fuzz::{Run, TARGETS, Target, corpus, seeds, target};

/// Mutations per target, spread over its corpus.
const MUTATIONS: usize = 4_000;
/// Another seed is another set of inputs.
const SEED: u64 = 0x6b68_6f01;

/// Runs a target; an input on which it panics is written down, and named.
fn attack(run: Run, name: &str, inputs: impl Iterator<Item = Vec<u8>>) -> Result<usize, String> {
    let mut count = 0;
    for input in inputs {
        if catch_unwind(AssertUnwindSafe(|| run(&input))).is_err() {
            let path = std::env::temp_dir().join(format!("kho-fuzz-{name}-{count}"));
            let kept =
                std::fs::write(&path, &input).map_or_else(|error| error.to_string(), |()| path.display().to_string());
            return Err(format!(
                "{name}: panic at input {count} of seed {SEED:#x}, kept as {kept}: {}",
                hex::encode(&input)
            ));
        }
        count += 1;
    }
    Ok(count)
}

fn mutations(all: &[Vec<u8>]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let mut dice = Dice::new(SEED);
    (0..MUTATIONS).map(move |n| {
        let other = &all[dice.below(all.len())];
        mutate(&mut dice, &all[n % all.len()], other)
    })
}

fn ordinary(name: &str) {
    let Target { run, .. } = target(name).expect("a target");
    let corpus = corpus::of(name).expect("a corpus");
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for seed in &corpus {
        let expected = match seed.name.split('-').next() {
            Some("good") => Some(true),
            Some("bad") => Some(false),
            _ => None,
        };
        let taken = run(&seed.bytes);
        assert!(expected.is_none_or(|expected| expected == taken), "{name}/{}: taken: {taken}", seed.name);
    }
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|seed| seed.bytes).collect();
    assert_eq!(attack(run, name, mutations(&inputs)), Ok(MUTATIONS));
}

macro_rules! ordinary {
    ($($test:ident $name:literal,)*) => {
        $(#[test]
        fn $test() {
            ordinary($name);
        })*

        #[test]
        fn every_target_has_its_test() {
            let tested = [$($name),*];
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), tested);
        }
    };
}

ordinary! {
    header "header",
    signature_block "signature-block",
    submit "submit",
    record_file "record-file",
    certificate "certificate",
    receipt_text "receipt-text",
    receipt_wire "receipt-wire",
    checkpoint "checkpoint",
    proof "proof",
    tile_path "tile-path",
    bundle "bundle",
    sealed "sealed",
    entry "entry",
    history "history",
    log_entry "log-entry",
    raft_metadata "raft-metadata",
    manifest "manifest",
    peer_message "peer-message",
    page_token "page-token",
    filter "filter",
    document "document",
    text "text",
    status "status",
}

/// The seeds are what the code makes: a format that changed, or a verdict, shows here. Each target takes one at least.
#[test]
fn the_committed_seeds_are_these() {
    let made = seeds::all();
    for (target, name, bytes) in &made {
        let path = corpus::folder(target).join(name);
        let committed = std::fs::read(&path).unwrap_or_default();
        assert!(committed == *bytes, "{}: run kho-fuzz --seeds, and look why it changed", path.display());
    }
    for target in TARGETS {
        assert!(made.iter().any(|(of, name, _)| *of == target.name && name.starts_with("good-")), "{}", target.name);
    }
}

/// The net has no hole: a decoder that panics on one byte is caught by the same loop, with the input in hand.
#[test]
fn a_planted_panic_is_found() {
    fn brittle(bytes: &[u8]) -> bool {
        assert!(bytes.get(3) != Some(&0xff), "planted");
        true
    }
    let inputs = vec![b"an innocent input".to_vec(), b"and another".to_vec()];
    assert!(inputs.iter().all(|input| brittle(input)));
    let found = attack(brittle, "planted", mutations(&inputs)).unwrap_err();
    let input = hex::decode(found.rsplit(": ").next().unwrap()).unwrap();
    assert_eq!(input[3], 0xff, "{found}");
    // and a deep one is not: that takes a fuzzer that sees how far it came, scripts/fuzz
    assert_eq!(attack(target("planted").unwrap().run, "planted", mutations(&inputs)), Ok(MUTATIONS));
}
