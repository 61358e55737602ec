//! Free ports on loopback.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::Error;

/// Below the range from which Linux takes ports for outgoing connections: nobody takes one between the test
/// here and the node's bind by accident.
const RANGE: (u16, u16) = (20_000, 32_000);
/// Ports are given out in blocks of so many: a cluster of three takes one.
const BLOCK: u16 = 16;
const BLOCKS: u16 = (RANGE.1 - RANGE.0) / BLOCK;

/// Blocks that this process has given out, each with its lock: another process that looks for ports passes them by, also
/// while no node has bound them yet.
static GIVEN: Mutex<BTreeMap<u16, Option<File>>> = Mutex::new(BTreeMap::new());

/// `count` consecutive free ports, from a random place on. They are this process's as long as it runs.
pub fn free_ports(count: usize) -> Result<Vec<u16>, Error> {
    let none = || Error::Ports { wanted: count, from: RANGE.0, to: RANGE.1 };
    let width = u16::try_from(count).map_err(|_| none())?;
    let blocks = width.div_ceil(BLOCK).max(1);
    let last = BLOCKS.checked_sub(blocks).ok_or_else(none)?;
    let start = rand::random::<u16>() % (last + 1);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    // a process that has made hundreds of clusters takes again what earlier ones have left
    for again in [false, true] {
        for place in 0..=last {
            let first = (start + place) % (last + 1);
            let taken = first..first + blocks;
            if !again && taken.clone().any(|block| given.contains_key(&block)) {
                continue;
            }
            let Some(locks) = lock(taken, &given) else { continue };
            let base = RANGE.0 + first * BLOCK;
            let ports: Vec<u16> = (base..base + width).collect();
            let held: Result<Vec<_>, _> =
                ports.iter().map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port))).collect();
            if held.is_ok() {
                given.extend(locks);
                return Ok(ports);
            }
        }
    }
    Err(none())
}

/// Locks of blocks that this process does not have yet; none: another one has one of them.
fn lock(blocks: Range<u16>, given: &BTreeMap<u16, Option<File>>) -> Option<Vec<(u16, Option<File>)>> {
    let new = blocks.filter(|block| !given.contains_key(block));
    new.map(|block| {
        let path = std::env::temp_dir().join(format!("kho-ports-{block}.lock"));
        // not writable, or another user's: then there is only the luck of the draw
        let Ok(file) = OpenOptions::new().create(true).append(true).open(path) else { return Some((block, None)) };
        match file.try_lock() {
            Ok(()) => Some((block, Some(file))),
            Err(_) => None,
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_distinct_and_can_be_bound() {
        for count in [9, 40] {
            let ports = free_ports(count).unwrap();
            assert_eq!(ports.iter().collect::<std::collections::BTreeSet<_>>().len(), count);
            for port in ports {
                std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
            }
        }
    }

    /// Two tests that begin at the same moment drew the same ports now and then: no node had bound them yet.
    #[test]
    fn nobody_is_given_what_another_was_given_and_has_not_bound_yet() {
        let all: Vec<u16> = (0..200).flat_map(|_| free_ports(12).unwrap()).collect();
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
        // nor by another process, which is what another open file of the lock is
        let block = (all[0] - RANGE.0) / BLOCK;
        assert!(lock(block..block + 1, &BTreeMap::new()).is_none());
    }
}
