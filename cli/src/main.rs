//! `kho`: one binary to run, operate, use and check the store.

#[macro_use]
mod out;

mod commands;
mod demo;
mod drill;
mod exit;
mod lang;

use clap::Parser;

/// For RocksDB's allocations too: many threads, each freeing what another took, is what it is made for.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    let kho = commands::Kho::parse();
    lang::choose(kho.lang());
    exit::report(commands::run(kho))
}
