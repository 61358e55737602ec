//! What the binary `kho` is made of, where others can use it too: development clusters, certificates,
//! the operators' client, `client.toml`.

pub mod admin;
pub mod bench;
pub mod certs;
pub mod client_file;
pub mod dev;
pub mod files;
pub mod page;
pub mod sample_catalogue;
