//! What both ends of a connection share below TLS: how bytes go to the system and come from it.

mod coalesced;

pub use coalesced::Coalesced;
