//! Real links: a network namespace per machine, a bridge per site, a router between the sites and the clients. The test's
//! process stands where the clients stand.
//!
//! ```text
//! 10.77.0.1 clients ── router ─┬─ bridge of site a: 10.77.1.1, 10.77.1.2, ...
//!                              └─ bridge of site b: 10.77.2.1, 10.77.2.2, ...
//! ```

pub mod isolated;
pub mod proxy;
pub mod rules;
pub mod shape;

use std::net::Ipv4Addr;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What this module and those below run.
pub const TOOLS: &[&str] = &["ip", "nft", "tc", "sysctl", "nsenter", "unshare", "setpriv", "mount"];
/// The test's own address.
pub const CLIENTS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Where proxies dial from, so that rules can tell them from clients.
pub const PROXIES: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Of the router, in the clients' network.
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// A machine: a network namespace with one interface, `eth0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// `a1`, `b3`, `router`, `clients`.
    pub name: String,
    /// Its address.
    pub host: Ipv4Addr,
}

impl Machine {
    /// Where the test itself runs.
    pub fn clients() -> Self {
        Self { name: "clients".to_owned(), host: CLIENTS }
    }

    fn new(name: impl Into<String>, host: Ipv4Addr) -> Self {
        Self { name: name.into(), host }
    }

    /// What a command line begins with to run there; it ends in an exec.
    pub fn launcher(&self) -> Vec<String> {
        if *self == Self::clients() {
            return Vec::new();
        }
        vec!["nsenter".to_owned(), format!("--net={}/{}", isolated::NAMESPACES, self.name)]
    }

    /// Runs a command there with `input`; its output.
    pub async fn run(&self, command: &[&str], input: &str) -> Result<String> {
        let line: Vec<String> =
            self.launcher().into_iter().chain(command.iter().map(|&word| word.to_owned())).collect();
        let mut process = Command::new(&line[0]);
        process.args(&line[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = process.spawn().with_context(|| line.join(" "))?;
        let mut stdin = process.stdin.take().context("a pipe")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = process.wait_with_output().await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} on {}: {errors}{input}", line.join(" "), self.name);
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Machines on one bridge.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its machines.
    pub machines: Vec<Machine>,
}

/// All of it; gone with the test's process.
#[derive(Debug, Clone)]
pub struct Links {
    /// Between sites and clients.
    pub router: Machine,
    /// `a`, `b`, ...
    pub sites: Vec<Site>,
}

impl Links {
    /// Lays `sites` sites of `machines` machines each. Only inside [`isolated::run`].
    pub async fn lay(sites: u8, machines: u8) -> Result<Self> {
        let here = Machine::clients();
        let router = Machine::new("router", ROUTER);
        let own = std::process::id().to_string();
        let mut lines = vec!["netns add router".to_owned(), "-n router link set lo up".to_owned()];
        lines.push(format!("-n router link add clients type veth peer name eth0 netns {own}"));
        lines.push(format!("-n router addr add {ROUTER}/24 dev clients"));
        lines.push("-n router link set clients up".to_owned());
        for host in [CLIENTS, PROXIES] {
            lines.push(format!("addr add {host}/24 dev eth0"));
        }
        lines.push("link set eth0 up".to_owned());
        lines.push(format!("route add default via {ROUTER} src {CLIENTS}"));
        let mut laid = Vec::new();
        for (site, letter) in (1..=sites).zip('a'..) {
            let gate = Ipv4Addr::new(10, 77, site, 254);
            lines.push(format!("-n router link add site-{letter} type bridge"));
            lines.push(format!("-n router addr add {gate}/24 dev site-{letter}"));
            lines.push(format!("-n router link set site-{letter} up"));
            let mut of_site = Vec::new();
            for number in 1..=machines {
                let machine = Machine::new(format!("{letter}{number}"), Ipv4Addr::new(10, 77, site, number));
                let (name, host) = (&machine.name, machine.host);
                lines.push(format!("netns add {name}"));
                lines.push(format!("-n {name} link set lo up"));
                lines.push(format!("-n router link add {name} type veth peer name eth0 netns {name}"));
                lines.push(format!("-n router link set {name} master site-{letter} up"));
                lines.push(format!("-n {name} addr add {host}/24 dev eth0"));
                lines.push(format!("-n {name} link set eth0 up"));
                lines.push(format!("-n {name} route add default via {gate}"));
                of_site.push(machine);
            }
            laid.push(Site { machines: of_site });
        }
        for line in lines {
            let words: Vec<&str> = std::iter::once("ip").chain(line.split(' ')).collect();
            here.run(&words, "").await?;
        }
        router.run(&["sysctl", "-qw", "net.ipv4.ip_forward=1"], "").await?;
        Ok(Self { router, sites: laid })
    }
}
