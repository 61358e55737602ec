//! The thin line against etcd: one load generator, the same records' size, the same connections, the same
//! faults for both. `benches/thin-line.sh` runs it.

pub mod faults;
pub mod load;
pub mod report;
pub mod system;
pub mod systems;

/// etcd's API, generated.
#[allow(missing_docs, reason = "generated")]
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}
