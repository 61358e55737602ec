//! What a sender sends: header, signature block, the whole record up to the verdict.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kho_node::identity::Identity;
use kho_node::seams::Clock;
use kho_node::write::{Verifier, verdict};
use kho_proto::certificate::TrustRoots;
use kho_proto::digest::Digest;
use kho_proto::header::Header;
use kho_proto::id::UnixMs;
use kho_proto::record;
use kho_proto::signature::SignatureBlock;
use rustls_pki_types::CertificateDer;

use crate::vectors;

/// When all of it happens.
const AT: UnixMs = UnixMs(1_591_925_400_000);

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixMs {
        AT
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// What the vectors' roots signed.
struct World {
    verifier: Verifier,
    roots: TrustRoots,
    platform: Identity,
    /// SHA-256 of the headers of records that are good at [`AT`].
    good: BTreeSet<Digest>,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let file = vectors::signature();
        let (mut roots, mut good) = (BTreeSet::new(), BTreeSet::new());
        for (_, input, output) in vectors::cases(&file) {
            roots.extend(input["roots"].as_array().expect("roots").iter().map(vectors::bytes));
            if output.get("header_digest").is_some() {
                good.insert(Digest::of(&vectors::bytes(&input["record"]["header"])));
            }
        }
        let roots: Vec<_> = roots.into_iter().map(CertificateDer::from).collect();
        let roots = TrustRoots::from_der(&roots).expect("the vectors' roots");
        let verifier = Verifier::new(TrustRoots::clone(&roots), Arc::new(Fixed));
        let platform = include_bytes!("../../fixtures/platform.der");
        let platform = Identity::of_certificate(Some(platform)).expect("a platform's certificate");
        World { verifier, roots, platform, good }
    })
}

/// A header is canonical or refused.
pub fn header(bytes: &[u8]) -> bool {
    let Ok(header) = Header::decode(bytes) else { return false };
    assert_eq!(header.encode(), bytes, "a header that was taken encodes to the same bytes");
    // what a node says of it on the way must not fail either
    let _ = (header.check_submitted_at(AT), header.check_payload(bytes));
    true
}

/// A signature block is canonical or refused.
pub fn block(bytes: &[u8]) -> bool {
    let Ok(block) = SignatureBlock::decode(bytes) else { return false };
    assert_eq!(block.encode(), bytes, "a signature block that was taken encodes to the same bytes");
    true
}

/// Nothing gets a good verdict but what was signed: no key of the vectors is known here.
pub fn submit(bytes: &[u8]) -> bool {
    let world = world();
    let Ok(verified) = verdict(&world.verifier, &world.platform, bytes) else { return false };
    assert!(world.good.contains(&verified.record().header_digest()), "a record was taken that nobody signed");
    true
}

/// The same for the file form; what is read is written as it was meant.
pub fn file(bytes: &[u8]) -> bool {
    let Ok(read) = record::from_file(bytes.to_vec()) else { return false };
    assert_eq!(record::from_file(record::to_file(&read)).as_ref().ok(), Some(&read), "a record's file reads back");
    let world = world();
    let Ok(verified) = record::verify_record(&read, &world.roots, AT) else { return false };
    assert!(world.good.contains(&verified.header_digest()), "a record was taken that nobody signed");
    true
}
