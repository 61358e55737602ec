//! `kho`: one binary to run, operate, use and check the store.

mod commands;
mod demo;
mod exit;

use clap::Parser;

fn main() -> std::process::ExitCode {
    exit::report(commands::run(commands::Kho::parse()))
}
