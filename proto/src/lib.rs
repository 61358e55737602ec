//! The protocol: what a sender, a node and an auditor must agree on.
//!
//! Ids, signed bytes, sealed parts, leaf layout, Merkle hashing, checkpoints, receipts and their
//! verification. No I/O, no clock, no async; gRPC stubs stand behind the feature `rpc`.

pub mod digest;
pub mod error;
pub mod id;
pub mod leaf;
pub mod merkle;
pub mod pb;
