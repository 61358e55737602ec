//! The operators' plane: forming the cluster, looking at it, moving leadership. No content of records passes here.

mod disk;
mod formation;
mod members;
mod revocation;
mod service;

pub use disk::{DiskUse, disk_use};
pub use formation::Formation;
pub use revocation::Revoker;
pub use service::AdminService;
