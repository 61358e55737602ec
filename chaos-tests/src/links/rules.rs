//! Packets dropped, lost, answered by a reset, turned to another address: nft rules on one machine, with a counter that
//! proves that they did something.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

use super::{Machine, PROXIES};

/// What happens to which packets.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// From there, dropped.
    DropFrom(Ipv4Addr),
    /// To there, dropped.
    DropTo(Ipv4Addr),
    /// What passes the router between these two, one way, is dropped.
    DropPassing(Ipv4Addr, Ipv4Addr),
    /// So many of a hundred that arrive on `eth0` are dropped.
    Lose(u32),
    /// Connections to there end at once.
    ResetTo(SocketAddrV4),
    /// Connections to the first that begin now reach the second; those of proxies reach the first.
    Turn(SocketAddrV4, SocketAddrV4),
}

impl Rule {
    fn text(self) -> (&'static str, String) {
        const HITS: &str = "counter name hits";
        match self {
            Rule::DropFrom(host) => ("arriving", format!("ip saddr {host} {HITS} drop")),
            Rule::DropTo(host) => ("leaving", format!("ip daddr {host} {HITS} drop")),
            Rule::DropPassing(from, to) => ("passing", format!("ip saddr {from} ip daddr {to} {HITS} drop")),
            Rule::Lose(percent) => ("arriving", format!("iifname eth0 numgen random mod 100 < {percent} {HITS} drop")),
            Rule::ResetTo(to) => ("leaving", format!("{} {HITS} reject with tcp reset", connection_to(to))),
            Rule::Turn(to, other) => {
                // only connections that begin: the kernel takes others that it meets for new ones, too
                let begins = "tcp flags & (syn | ack) == syn";
                ("turned", format!("{} {begins} {HITS} dnat to {other}", connection_to(to)))
            }
        }
    }
}

fn connection_to(to: SocketAddrV4) -> String {
    format!("ip saddr != {PROXIES} ip daddr {} tcp dport {}", to.ip(), to.port())
}

/// Chains: name, and where it hooks in.
const CHAINS: [(&str, &str); 4] = [
    ("arriving", "type filter hook input priority 0;"),
    ("leaving", "type filter hook output priority 0;"),
    ("passing", "type filter hook forward priority 0;"),
    ("turned", "type nat hook output priority -100;"),
];

/// Rules that stand on a machine until they are lifted.
#[derive(Debug)]
pub struct Rules {
    machine: Machine,
    table: String,
}

impl Rules {
    /// Sets rules.
    pub async fn set(machine: &Machine, rules: &[Rule]) -> Result<Self> {
        static TABLES: AtomicU64 = AtomicU64::new(0);
        let table = format!("fault{}", TABLES.fetch_add(1, Ordering::Relaxed));
        let mut text = format!("table ip {table} {{\ncounter hits {{ }}\n");
        for (chain, hook) in CHAINS {
            let lines: Vec<String> =
                rules.iter().map(|rule| rule.text()).filter(|(at, _)| *at == chain).map(|(_, line)| line).collect();
            // a chain without rules would still cost, and the nat hook loads connection tracking
            if !lines.is_empty() {
                text.push_str(&format!("chain {chain} {{ {hook}\n{}\n}}\n", lines.join("\n")));
            }
        }
        text.push_str("}\n");
        machine.run(&["nft", "-f", "-"], &text).await?;
        Ok(Self { machine: machine.clone(), table })
    }

    /// Where they stand.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Packets that met one of them.
    pub async fn hits(&self) -> Result<u64> {
        let text = self.machine.run(&["nft", "-j", "list", "counter", "ip", &self.table, "hits"], "").await?;
        let json: serde_json::Value = serde_json::from_str(&text)?;
        let counters = json["nftables"].as_array().context("nft lists")?;
        let counter = counters.iter().find_map(|one| one["counter"]["packets"].as_u64());
        counter.with_context(|| format!("a counter: {text}"))
    }

    /// Takes them away; how many packets they met.
    pub async fn lift(self) -> Result<u64> {
        let hits = self.hits().await?;
        self.machine.run(&["nft", "delete", "table", "ip", &self.table], "").await?;
        Ok(hits)
    }
}
