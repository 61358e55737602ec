//! Rules, properties and formats of the ledger as a whole.

mod build;
mod cost;
mod formats;
mod history;
mod objects;
mod properties;
mod publish;
mod revocation;
mod rules;
mod select;
mod tree;
