//! The lane of links: cut, flapping, lossy, slow, and led through a proxy that harms them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::board::Board;
use super::report::Report;
use super::schedule::{LinkFault, Step, Victim, Way};
use crate::links::proxy::{Mood, Proxy, Seen};
use crate::links::rules::{Rule, Rules};
use crate::links::shape::Slow;
use crate::links::{CLIENTS, Machine};

/// A fault that met nothing yet goes on for so long: its victim may just be down.
const PATIENCE: Duration = Duration::from_secs(12);
/// TLS finds a flipped bit when the record is whole: if the bit stood in the record's length, when more has come. On a
/// connection that is idle this is when it is tried, by either end.
const REFUSAL: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// Connections of a proxy that ends are closed before its rules go, or their other ends would hang.
const CLOSE: Duration = Duration::from_millis(100);

/// The lane.
pub struct Lane<'a> {
    /// What all lanes know.
    pub board: &'a Board,
    /// What was done.
    pub report: &'a Report,
}

impl Lane<'_> {
    /// One step after the other.
    pub async fn run(self, steps: &[Step<LinkFault>]) -> Result<()> {
        for step in steps {
            tokio::time::sleep(Duration::from_millis(step.after_ms)).await;
            let lasts = Duration::from_millis(step.lasts_ms);
            let fault = &step.fault;
            self.step(fault, lasts).await.with_context(|| format!("fault {fault:?}"))?;
        }
        Ok(())
    }

    async fn step(&self, fault: &LinkFault, lasts: Duration) -> Result<()> {
        let machines: Vec<Machine> = self.board.places().into_iter().map(|place| place.machine).collect();
        match *fault {
            LinkFault::Isolate { victim, way, clients } => {
                let (name, victim) = (isolation(victim, way), self.board.resolve(victim).machine);
                let rules = cut(&victim, &machines, way, clients);
                self.rules(name, &victim.name.clone(), &[(victim, rules)], lasts).await
            }
            LinkFault::Flapping { victim, period_ms } => self.flap(victim, &machines, period_ms, lasts).await,
            LinkFault::Ring => {
                let first = self.board.resolve(Victim::Leader).machine;
                self.rules("ring", "all", &ring(&machines, &first), lasts).await
            }
            LinkFault::OneWayRing => self.rules("one_way_ring", "all", &one_way_ring(&machines), lasts).await,
            LinkFault::Loss { victim, percent } => {
                let victim = self.board.resolve(victim).machine;
                let name = victim.name.clone();
                self.rules("loss", &name, &[(victim, vec![Rule::Lose(percent)])], lasts).await
            }
            LinkFault::Slow { victim, kbit } => self.slow(victim, kbit, lasts).await,
            LinkFault::Proxy { victim, clients, mood } => self.proxy(victim, clients, mood, lasts).await,
        }
    }

    /// Sets rules on machines, until each set has met something.
    async fn rules(&self, fault: &str, victim: &str, at: &[(Machine, Vec<Rule>)], lasts: Duration) -> Result<()> {
        let began = self.report.now_ms();
        let mut set = Vec::new();
        for (machine, rules) in at {
            set.push(Rules::set(machine, rules).await?);
        }
        tokio::time::sleep(lasts).await;
        let patience = Instant::now() + PATIENCE;
        let mut proofs = Vec::new();
        for rules in set {
            while rules.hits().await? == 0 {
                ensure!(Instant::now() < patience, "rules on {} met no packet", rules.machine().name);
                tokio::time::sleep(POLL).await;
            }
            let name = rules.machine().name.clone();
            proofs.push(format!("{name} {} packets", rules.lift().await?));
        }
        self.report.proven(began, fault, victim, format!("dropped: {}", proofs.join(", ")));
        Ok(())
    }

    async fn flap(&self, victim: Victim, machines: &[Machine], period_ms: u64, lasts: Duration) -> Result<()> {
        let (began, victim) = (self.report.now_ms(), self.board.resolve(victim).machine);
        let (end, patience) = (Instant::now() + lasts, Instant::now() + PATIENCE);
        let (mut hits, mut times) = (0, 0);
        while Instant::now() < end || hits == 0 {
            ensure!(Instant::now() < patience, "a flapping link of {} met no packet", victim.name);
            let rules = Rules::set(&victim, &cut(&victim, machines, Way::Both, true)).await?;
            tokio::time::sleep(Duration::from_millis(period_ms / 2)).await;
            hits += rules.lift().await?;
            times += 1;
            tokio::time::sleep(Duration::from_millis(period_ms / 2)).await;
        }
        self.report.proven(began, "flapping", &victim.name, format!("{times} times, {hits} packets dropped"));
        Ok(())
    }

    async fn slow(&self, victim: Victim, kbit: u32, lasts: Duration) -> Result<()> {
        let (began, victim) = (self.report.now_ms(), self.board.resolve(victim).machine);
        let (mut kbit, patience) = (kbit, Instant::now() + PATIENCE + lasts);
        let waited = loop {
            let slow = Slow::set(&victim, kbit).await?;
            tokio::time::sleep(lasts).await;
            let waited = slow.lift().await?;
            if waited > 0 {
                break waited;
            }
            // not slow enough for what passes there
            kbit = (kbit / 4).max(16);
            ensure!(Instant::now() < patience, "{kbit} kbit/s were enough for {}", victim.name);
        };
        self.report.proven(began, "slow_link", &victim.name, format!("{waited} packets waited at {kbit} kbit/s"));
        Ok(())
    }

    async fn proxy(&self, victim: Victim, clients: bool, mood: Mood, lasts: Duration) -> Result<()> {
        let (began, place) = (self.report.now_ms(), self.board.resolve(victim));
        let to = if clients { place.client } else { place.peer };
        let proxy = Proxy::start(to, mood).await?;
        let places = self.board.places();
        let others = places.iter().map(|other| &other.machine).filter(|machine| **machine != place.machine);
        let sources = if clients { vec![Machine::clients()] } else { others.cloned().collect() };
        let (mut turned, mut reset) = (Vec::new(), Vec::new());
        for source in &sources {
            turned.push(Rules::set(source, &[Rule::Turn(to, proxy.address)]).await?);
            // connections of before the fault would go on without it
            reset.push(Rules::set(source, &[Rule::ResetTo(to)]).await?);
        }
        tokio::time::sleep(lasts).await;
        let fault = name_of(mood);
        let patience = Instant::now() + PATIENCE;
        let same = || self.board.places().iter().any(|other| other.node == place.node);
        while took_effect(&proxy.seen, mood) == 0 && same() {
            ensure!(Instant::now() < patience, "a proxy before {} did nothing: {:?}", place.machine.name, proxy.seen);
            tokio::time::sleep(POLL).await;
        }
        proxy.calm();
        // TLS must have ended each connection in which a bit was flipped
        let (seen, patience) = (proxy.seen.clone(), Instant::now() + REFUSAL);
        while Seen::count(&seen.refused) < Seen::count(&seen.corrupted) {
            ensure!(Instant::now() < patience, "a connection went on after a bit of it was flipped: {seen:?}");
            tokio::time::sleep(POLL).await;
        }
        drop(proxy);
        tokio::time::sleep(CLOSE).await;
        for rules in turned.into_iter().chain(reset) {
            rules.lift().await?;
        }
        let name = &place.machine.name;
        if took_effect(&seen, mood) == 0 {
            self.report.not_done(began, fault, name, format!("node {} was replaced meanwhile", place.node));
            return Ok(());
        }
        self.report.proven(began, fault, name, proof(&seen, mood, clients));
        Ok(())
    }
}

fn isolation(victim: Victim, way: Way) -> &'static str {
    match (way, victim) {
        (Way::Both, Victim::Leader) => "leader_isolated",
        (Way::Both, _) => "isolated",
        (Way::In, _) => "hears_nothing",
        (Way::Out, _) => "says_nothing",
    }
}

fn name_of(mood: Mood) -> &'static str {
    match mood {
        Mood { corrupt_per_mille: 1.., .. } => "corrupted_bytes",
        Mood { reset_per_mille: 1.., .. } => "resets",
        Mood { bytes_per_s: 1.., .. } => "slow_reader",
        _ => "delay",
    }
}

fn took_effect(seen: &Seen, mood: Mood) -> u64 {
    Seen::count(match name_of(mood) {
        "corrupted_bytes" => &seen.corrupted,
        "resets" => &seen.resets,
        _ => &seen.delayed,
    })
}

fn proof(seen: &Seen, mood: Mood, clients: bool) -> String {
    let (connections, bytes) = (Seen::count(&seen.connections), Seen::count(&seen.bytes));
    let from = if clients { "clients" } else { "peers" };
    let did = match name_of(mood) {
        "corrupted_bytes" => {
            let (bad, refused) = (Seen::count(&seen.corrupted), Seen::count(&seen.refused));
            format!("{bad} with a flipped bit, {refused} of them ended by TLS")
        }
        "resets" => format!("{} reset", Seen::count(&seen.resets)),
        _ => format!(
            "{} chunks late by {} to {} ms",
            Seen::count(&seen.delayed),
            mood.delay_ms,
            mood.delay_ms + mood.jitter_ms
        ),
    };
    format!("{connections} connections of {from}, {bytes} bytes: {did}")
}

/// All rules that keep a machine from the others.
fn cut(victim: &Machine, machines: &[Machine], way: Way, clients: bool) -> Vec<Rule> {
    let others = machines.iter().filter(|machine| *machine != victim).map(|machine| machine.host);
    others
        .chain(clients.then_some(CLIENTS))
        .flat_map(|host| match way {
            Way::Both => vec![Rule::DropFrom(host), Rule::DropTo(host)],
            Way::In => vec![Rule::DropFrom(host)],
            Way::Out => vec![Rule::DropTo(host)],
        })
        .collect()
}

/// Each reaches its neighbours only; of three, the link of `first` to the next one is cut.
fn ring(machines: &[Machine], first: &Machine) -> Vec<(Machine, Vec<Rule>)> {
    let count = machines.len();
    let start = machines.iter().position(|machine| machine == first).unwrap_or(0);
    let no_neighbour = |step: usize| if count == 3 { step == 1 } else { step > 1 && step < count - 1 };
    let at = |place: usize| &machines[(start + place) % count];
    let rules = |place: usize| {
        let far = (1..count).filter(|step| no_neighbour(*step)).map(|step| at(place + step).host);
        far.flat_map(|host| [Rule::DropFrom(host), Rule::DropTo(host)]).collect::<Vec<_>>()
    };
    let places = if count == 3 { 0..1 } else { 0..count };
    places.map(|place| (at(place).clone(), rules(place))).collect()
}

/// Each hears only the one before it.
fn one_way_ring(machines: &[Machine]) -> Vec<(Machine, Vec<Rule>)> {
    let count = machines.len();
    let deaf = |place: usize| (1..count - 1).map(move |step| Rule::DropFrom(machines[(place + step) % count].host));
    (0..count).map(|place| (machines[place].clone(), deaf(place).collect())).collect()
}
