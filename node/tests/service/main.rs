//! Whole nodes in this process, on loopback, through real TLS and real disks.

mod admin_plane;
mod bad_input;
mod sender;
mod startup;
mod thin_line;
mod three_nodes;
mod world;
