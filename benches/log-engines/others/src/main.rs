//! The raft log on engines that Kho does not ship. Started by `log-engines`, a task at a time.

mod databend;
mod tikv;

use kho_log_engines::engine::Open;
use kho_log_engines::task;
use raft_engine::RecoveryMode::{AbsoluteConsistency, TolerateTailCorruption};

use self::tikv::Files;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ENGINES: &[(&str, Open)] = &[
    ("raft-engine", |path, sizes| tikv::open(path, sizes, TolerateTailCorruption, Files::Ready)),
    ("raft-engine/new-files", |path, sizes| tikv::open(path, sizes, TolerateTailCorruption, Files::New)),
    ("raft-engine/absolute", |path, sizes| tikv::open(path, sizes, AbsoluteConsistency, Files::Ready)),
    ("raft-log", databend::open),
];

fn main() -> anyhow::Result<()> {
    task::run(&task::argument()?, ENGINES)
}
