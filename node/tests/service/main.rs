//! Whole nodes in this process, on loopback, through real TLS and real disks.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod admin_plane;
mod attachments;
mod bad_input;
mod batches;
mod catalogue;
mod clocks;
mod country;
mod http_client;
mod http_raw;
mod http_records;
mod http_refusals;
mod keeper;
mod public_log;
mod quotas;
mod read_refusals;
mod reads;
mod revocation;
mod revoked_clients;
mod sender;
mod shares;
mod startup;
mod stats;
mod stats_left_out;
mod thin_line;
mod three_nodes;
mod unended;
mod watches;
mod world;
