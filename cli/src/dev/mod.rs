//! A development cluster on loopback: certificates, keyring, configuration, processes. `kho cluster new` and
//! `kho demo` make one; tests and benchmarks drive one.
//!
//! ```no_run
//! # async fn example() -> Result<(), kho::dev::Error> {
//! use kho::dev::{DevCluster, NodeId};
//!
//! let mut cluster = DevCluster::create("target/cluster".as_ref(), 3)?;
//! cluster.start_all()?;
//! cluster.init().await?;
//! let leader = cluster.wait_ready().await?;
//! let client = cluster.client()?;
//! let signer = cluster.signer(&"BYT".parse().expect("a unit"))?;
//! cluster.kill(leader)?; // SIGKILL
//! let next = cluster.wait_ready().await?;
//! cluster.start(leader)?;
//! # let _ = (client, signer, next);
//! # Ok(())
//! # } // all processes end with `cluster`
//! ```

mod cluster;
mod create;
mod error;
mod executable;
mod files;
mod layout;
mod ports;
mod process;
mod signers;

pub use cluster::{DevCluster, READY_TIMEOUT};
pub use create::Options;
pub use error::Error;
pub use executable::use_own_executable;
pub use files::{DEV_VALIDITY_DAYS, IDENTITIES, write_certificates};
pub use kho_proto::id::NodeId;
pub use layout::{Identity, Layout, Plane};
pub use ports::free_ports;
pub use signers::key_kind_of;
