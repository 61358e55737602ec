//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};

use super::Error;

/// Below the range from which Linux takes ports for outgoing connections: nobody takes one between the test
/// here and the node's bind by accident.
const RANGE: (u16, u16) = (20_000, 32_000);

/// `count` consecutive free ports, from a random place on.
pub fn free_ports(count: usize) -> Result<Vec<u16>, Error> {
    let none = || Error::Ports { wanted: count, from: RANGE.0, to: RANGE.1 };
    let width = u16::try_from(count).map_err(|_| none())?;
    let places = (RANGE.1 - RANGE.0).checked_div(width.max(1)).filter(|places| *places > 0).ok_or_else(none)?;
    let start = rand::random::<u16>() % places;
    for place in 0..places {
        let base = RANGE.0 + (start + place) % places * width;
        let ports: Vec<u16> = (base..base + width).collect();
        let held: Result<Vec<_>, _> =
            ports.iter().map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port))).collect();
        if held.is_ok() {
            return Ok(ports);
        }
    }
    Err(none())
}

#[cfg(test)]
mod tests {
    #[test]
    fn ports_are_distinct_and_can_be_bound() {
        let ports = super::free_ports(9).unwrap();
        assert_eq!(ports.iter().collect::<std::collections::BTreeSet<_>>().len(), 9);
        for port in ports {
            std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        }
    }
}
