//! Bytes of anybody's choosing, into everything that decodes or verifies. A target never panics, and holds what it
//! decoded against an oracle: canonical forms encode to the same bytes, nothing verifies that was not signed, apply
//! answers the same twice.
//!
//! `tests/ordinary.rs` runs all targets over the committed corpus and a fixed number of seeded mutations; `scripts/fuzz`
//! runs them under libFuzzer for as long as one likes.

pub mod corpus;
pub mod mutate;
pub mod seeds;
pub mod targets;
mod vectors;

/// A target: takes any bytes, says whether they were taken for good.
pub type Run = fn(&[u8]) -> bool;

/// One way in.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// What is attacked.
    pub about: &'static str,
    /// The attack.
    pub run: Run,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "header", about: "header: decode, canonical form", run: targets::record::header },
    Target { name: "signature-block", about: "signature block: decode, canonical form", run: targets::record::block },
    Target { name: "submit", about: "SubmitRequest to the verdict: authorise, verify", run: targets::record::submit },
    Target { name: "record-file", about: "ID.record and its verification", run: targets::record::file },
    Target {
        name: "certificate",
        about: "a certificate as signer, connection and root",
        run: targets::certificate::run,
    },
    Target { name: "receipt-text", about: "tlog-proof: parse, verify", run: targets::receipt::text },
    Target { name: "receipt-wire", about: "kho.v1.Receipt: parse, verify", run: targets::receipt::wire },
    Target { name: "checkpoint", about: "signed note: open", run: targets::receipt::checkpoint },
    Target { name: "proof", about: "inclusion and consistency proofs", run: targets::proof::run },
    Target { name: "tile-path", about: "paths of the public log, against a tree", run: targets::tlog::path },
    Target { name: "bundle", about: "entry bundles: decode", run: targets::tlog::bundle },
    Target { name: "sealed", about: "sealed parts and wrapped keys: open", run: targets::sealed::run },
    Target { name: "entry", about: "an entry of any bytes, applied twice", run: targets::apply::entry },
    Target {
        name: "history",
        about: "entries in a row, split by a snapshot: same rows and root",
        run: targets::apply::history,
    },
    Target { name: "log-entry", about: "raft log entry: decode", run: targets::raft::log_entry },
    Target { name: "raft-metadata", about: "vote, log id, membership on disk: decode", run: targets::raft::metadata },
    Target { name: "manifest", about: "snapshot manifest: decode, check", run: targets::raft::manifest },
    Target { name: "peer-message", about: "append requests and answers: decode", run: targets::raft::message },
    Target { name: "page-token", about: "page token: decode, one text", run: kho_node::read::fuzz::page_token },
    Target { name: "filter", about: "filter of a list: check, put in tokens", run: kho_node::read::fuzz::filter },
    Target { name: "document", about: "report document: canonical payload", run: targets::text::document },
    Target { name: "text", about: "periods, times, codes, ids, keys: parse, print", run: targets::text::run },
    Target { name: "status", about: "a node's refusal, as a client reads it", run: targets::text::status },
];

/// The target of a name; `planted` is one that panics, to try a fuzzer on.
pub fn target(name: &str) -> Option<Target> {
    const PLANTED: Target = Target { name: "planted", about: "panics, on purpose", run: targets::planted };
    TARGETS.iter().copied().chain([PLANTED]).find(|target| target.name == name)
}
