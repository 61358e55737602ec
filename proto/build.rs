//! Compiles the schemas with protox, a protobuf compiler in Rust: nothing needs to be installed.

use std::error::Error;

const SCHEMAS: &[&str] = &[
    "kho/v1/record.proto",
    "kho/v1/read.proto",
    "kho/v1/catalogue.proto",
    "kho/v1/attachment.proto",
    "kho/v1/store.proto",
    "kho/ledger/v1/command.proto",
    "kho/admin/v1/admin.proto",
    "kho/peer/v1/peer.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=schema");
    let descriptors = protox::compile(SCHEMAS, ["schema"])?;
    let rpc = std::env::var_os("CARGO_FEATURE_RPC").is_some();
    tonic_prost_build::configure().bytes(".").build_client(rpc).build_server(rpc).compile_fds(descriptors)?;
    Ok(())
}
