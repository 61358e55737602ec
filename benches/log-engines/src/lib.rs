//! Engines for the raft log side by side: what an entry costs, what a loss of power and damaged bytes leave.
//!
//! An engine is opened in a process of its own, which carries out one [`task::Task`]: so CPU, memory and bytes are the
//! engine's alone, and it can be killed. This library is the process without its engine, and [`account`], which judges
//! what an engine shows after a loss of power. `others/` is a workspace of its own with the engines that Kho does not
//! ship: neither they nor what they pull in stand in Kho's lock file.

pub mod account;
pub mod body;
pub mod engine;
mod live;
mod measure;
pub mod task;
mod usage;
