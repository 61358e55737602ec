//! What was done and how that is known; the table at the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// A fault that took effect.
#[derive(Debug, Clone, Serialize)]
pub struct Effect {
    /// Since the run began.
    pub began_ms: u64,
    /// Since the run began.
    pub ended_ms: u64,
    /// Kind.
    pub fault: String,
    /// Whom it hit.
    pub victim: String,
    /// What was seen of it. Absent: it could not be done, for the reason in `reason`.
    pub proof: Option<String>,
    /// Why it was not done: only what an operator asks for may be refused while other faults go on.
    pub reason: Option<String>,
}

/// All of them.
pub struct Report {
    start: Instant,
    effects: Mutex<Vec<Effect>>,
}

impl Default for Report {
    fn default() -> Self {
        Self { start: Instant::now(), effects: Mutex::default() }
    }
}

const WHOLE: &str = "no thread panics while it reports";

impl Report {
    /// Milliseconds since the run began.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn add(&self, began_ms: u64, fault: &str, victim: &str, proof: Option<String>, reason: Option<String>) {
        let ended_ms = self.now_ms();
        let (fault, victim) = (fault.to_owned(), victim.to_owned());
        let said = proof.clone().or_else(|| reason.as_ref().map(|reason| format!("not done: {reason}")));
        println!("{began_ms:>6} to {ended_ms:>6} ms  {fault:<18} {victim:<9} {}", said.unwrap_or_default());
        let effect = Effect { began_ms, ended_ms, fault, victim, proof, reason };
        self.effects.lock().expect(WHOLE).push(effect);
    }

    /// It took effect.
    pub fn proven(&self, began_ms: u64, fault: &str, victim: &str, proof: String) {
        self.add(began_ms, fault, victim, Some(proof), None);
    }

    /// It was not done.
    pub fn not_done(&self, began_ms: u64, fault: &str, victim: &str, reason: String) {
        self.add(began_ms, fault, victim, None, Some(reason));
    }

    /// Writes all down.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(&*self.effects.lock().expect(WHOLE))?;
        std::fs::write(path, json).with_context(|| path.display().to_string())
    }

    /// Faults that took effect, by kind.
    pub fn faults(&self) -> BTreeMap<String, u64> {
        let mut faults = BTreeMap::new();
        for effect in self.effects.lock().expect(WHOLE).iter().filter(|effect| effect.proof.is_some()) {
            *faults.entry(effect.fault.clone()).or_default() += 1;
        }
        faults
    }

    /// Faults that took effect.
    pub fn count(&self) -> usize {
        self.effects.lock().expect(WHOLE).iter().filter(|effect| effect.proof.is_some()).count()
    }

    /// One line per kind: how often, how often not, and the last proof. An error if nothing took effect.
    pub fn table(&self) -> Result<String> {
        let effects = self.effects.lock().expect(WHOLE);
        let mut kinds: BTreeMap<&str, (usize, usize, &str)> = BTreeMap::new();
        for effect in effects.iter() {
            let (done, not_done, last) = kinds.entry(&effect.fault).or_default();
            match &effect.proof {
                Some(proof) => (*done, *last) = (*done + 1, proof),
                None => *not_done += 1,
            }
        }
        ensure!(kinds.values().any(|(done, ..)| *done > 0), "no fault took effect");
        let mut table = format!("{:<18} {:>5} {:>8}  proof of the last\n", "fault", "times", "not done");
        for (kind, (done, not_done, last)) in kinds {
            table.push_str(&format!("{kind:<18} {done:>5} {not_done:>8}  {last}\n"));
        }
        Ok(table)
    }
}
