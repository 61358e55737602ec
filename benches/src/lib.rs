//! Kho against others: one load generator (`kho::bench`), the same payloads, the same connections, the same faults for all.
//! `benches/peers.sh` runs it.

pub mod daemon;
pub mod faults;
pub mod goals;
pub mod ratios;
pub mod steps;
pub mod system;
pub mod systems;

/// etcd's API, generated.
#[allow(missing_docs, reason = "generated")]
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}
