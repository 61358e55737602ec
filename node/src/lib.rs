//! The Kho server: everything between a socket and a disk.
//!
//! `api` (wire) -> `write` / `read` -> `consensus` -> `kho_ledger` -> `storage`; `web` (HTTP) goes through `api`; `serve` puts them together.

pub mod admin;
pub mod api;
mod catalogue;
pub mod config;
pub mod consensus;
pub mod data_dir;
pub mod disk;
pub mod identity;
pub mod keys;
mod kill_points;
mod mutants;
mod publish;
pub mod pulse;
pub mod read;
pub mod seams;
pub mod serve;
mod shares;
pub mod snapshot;
pub mod storage;
pub mod telemetry;
pub mod tls;
pub mod web;
pub mod write;

pub use config::Config;
pub use serve::{ServeError, serve};
