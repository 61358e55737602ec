//! Keys and content are in memory: no core dumps, and no other process of the same user may attach.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use super::ServeError;

/// For the whole process.
pub(super) fn no_core_dumps() -> Result<(), ServeError> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .map_err(|error| ServeError::CoreDumps(error.into()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn core_dumps_are_off() {
        super::no_core_dumps().unwrap();
        assert_eq!(rustix::process::getrlimit(rustix::process::Resource::Core).current, Some(0));
        let behavior = rustix::process::dumpable_behavior().unwrap();
        assert_eq!(behavior, rustix::process::DumpableBehavior::NotDumpable);
    }
}
