//! Whole nodes in this process, on loopback, through real TLS and real disks.

mod bad_input;
mod sender;
mod startup;
mod three_nodes;
mod thin_line;
mod world;
