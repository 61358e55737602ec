//! The Kho server: everything between a socket and a disk.

pub mod seams;
