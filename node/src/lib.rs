//! The Kho server: everything between a socket and a disk.

pub mod consensus;
pub mod seams;
pub mod snapshot;
pub mod storage;
