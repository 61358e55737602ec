//! The protocol: what a sender, a node and an auditor must agree on.
//!
//! Ids, signed bytes, sealed parts, leaf layout, Merkle hashing, checkpoints, receipts and their
//! verification. No I/O, no clock, no async; gRPC stubs stand behind the feature `rpc`.

pub mod batch;
pub mod certificate;
pub mod checkpoint;
pub mod detail;
pub mod digest;
pub mod dsse;
pub mod error;
pub mod fields;
pub mod header;
pub mod id;
pub mod leaf;
pub mod merkle;
pub mod nfc;
pub mod object;
pub mod pb;
pub mod period;
pub mod receipt;
pub mod record;
pub mod report;
pub mod sealed;
pub mod signature;
#[cfg(feature = "rpc")]
pub mod status;
#[cfg(test)]
mod testing;
pub mod tlog;
pub mod tokens;
