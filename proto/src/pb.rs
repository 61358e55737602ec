//! Generated code, in the module tree of its packages. The schemas in `proto/schema/` are the documentation.
#![allow(missing_docs, clippy::all, rustdoc::all)]

pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/kho.v1.rs"));
}
pub mod ledger {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/kho.ledger.v1.rs"));
    }
}
pub mod admin {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/kho.admin.v1.rs"));
    }
}
pub mod peer {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/kho.peer.v1.rs"));
    }
}
