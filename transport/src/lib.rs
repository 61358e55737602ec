//! What both ends of a connection share below TLS: how bytes go to the system and come from it.

mod gathered;

pub use gathered::{AHEAD_MAX, BEHIND_MAX, Gathered};
