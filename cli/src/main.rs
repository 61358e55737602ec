//! `kho`: one binary to run, operate, use and check the store.

#[macro_use]
mod out;

mod commands;
mod demo;
mod drill;
mod exit;
mod lang;
mod usage;

use clap::Parser;

/// For RocksDB's allocations too: many threads, each freeing what another took, is what it is made for.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    kho::dev::use_own_executable();
    match commands::Kho::try_parse() {
        Ok(kho) => {
            lang::choose(kho.lang());
            exit::report(commands::run(kho))
        }
        Err(error) => {
            lang::choose(lang::named(std::env::args()));
            usage::report(&error)
        }
    }
}
