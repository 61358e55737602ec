//! The two systems.

mod etcd;
mod kho;

pub use etcd::Etcd;
pub use kho::Kho;
