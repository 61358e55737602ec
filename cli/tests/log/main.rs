//! `kho log`: logs that keep their promise, and logs that fork, shrink or lie. Published into directories, with keys made for
//! the test; and once over HTTPS by real nodes. R-C1, I5.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod audit;
mod https;
mod monitor;
mod published;
mod verify;
