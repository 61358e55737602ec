//! Where and when it was measured.

use std::collections::BTreeMap;

use kho_client::{Surroundings, System};
use kho_proto::header::SubmittedAt;

/// RFC 3339, +07:00.
pub fn now() -> String {
    SubmittedAt::from_unix_ms(System.now()).to_string()
}

/// Cores, kernel, memory, build; no names of machines or people.
pub fn facts() -> BTreeMap<String, String> {
    let cores = std::thread::available_parallelism().map_or_else(|error| error.to_string(), |cores| cores.to_string());
    let uname = rustix::system::uname();
    let kernel = format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy());
    let memory = rustix::system::sysinfo();
    let mib = (memory.totalram * u64::from(memory.mem_unit)) >> 20;
    let build = if cfg!(debug_assertions) { "dev: its figures compare with nothing" } else { "release" };
    let facts = [("cores", cores), ("kernel", kernel), ("memory_mib", mib.to_string()), ("build", build.to_owned())];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
