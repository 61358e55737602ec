//! Drives processes with engines, and tells what came of it.

pub mod compare;
pub mod count;
pub mod damage;
pub mod power;
mod process;
mod table;
