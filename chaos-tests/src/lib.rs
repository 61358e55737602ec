//! Attacks on every promise of the store, on real processes and real disks. What must hold meanwhile is in
//! [`invariants`], one file each; receipts are judged by [`auditor`], which shares no code with the server.

pub mod attack;
pub mod auditor;
pub mod certificates;
pub mod disks;
pub mod history;
pub mod invariants;
pub mod kill_points;
pub mod links;
pub mod load;
pub mod needles;
pub mod observation;
pub mod outbox;
pub mod page;
pub mod reads;
pub mod rig;
pub mod rot;
pub mod sampler;
pub mod seed;
pub mod skip;
pub mod summary;
pub mod swarm;
