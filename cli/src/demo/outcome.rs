//! The demo's last word.

use std::time::Duration;

use comfy_table::{Table, presets};
use kho::dev::DevCluster;

use super::check::Verdict;
use super::drive::{Drive, Sent};
use crate::exit::Result;

/// Complaints of one kind that are printed, at most.
const COMPLAINTS_MAX: usize = 5;

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// The value that `percent` of the sorted values don't exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// The longest time without an acknowledgement.
fn longest_gap(sent: &[Sent]) -> Duration {
    let mut times: Vec<Duration> = sent.iter().filter(|sent| sent.answer.is_ok()).map(|sent| sent.at).collect();
    times.sort();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// Prints the table; says whether all is well.
pub fn print(drive: &Drive, verdict: &Verdict, took: Duration) -> Result<bool> {
    let acknowledged: Vec<&Sent> = drive.sent.iter().filter(|sent| sent.answer.is_ok()).collect();
    let mut latencies: Vec<Duration> = acknowledged.iter().map(|sent| sent.latency).collect();
    latencies.sort();
    let doubts: u32 = drive.sent.iter().map(|sent| sent.unknown).sum();
    let rate = acknowledged.len() as f64 / drive.took.as_secs_f64();

    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    let mut row = |name: &str, value: String| {
        table.add_row([name, &value]);
    };
    row("sent", drive.sent.len().to_string());
    row("acknowledged", format!("{} ({rate:.0} a second)", acknowledged.len()));
    row("lost", verdict.lost.len().to_string());
    row("duplicates", verdict.duplicates.to_string());
    row("unknown, then settled", doubts.to_string());
    row("read back elsewhere", verdict.read_back.to_string());
    row("receipts verified", verdict.verified.to_string());
    row("acknowledged in, p50", ms(percentile(&latencies, 50)));
    row("acknowledged in, p99", ms(percentile(&latencies, 99)));
    row("acknowledged in, max", ms(latencies.last().copied().unwrap_or_default()));
    row("longest gap", ms(longest_gap(&drive.sent)));
    row("leader before", format!("node {}", drive.old_leader));
    row("leader after", format!("node {} (after {})", drive.new_leader, ms(drive.election)));
    row("tree", format!("{} leaves, root {}, equal on all nodes", verdict.size, verdict.root));
    row("took", format!("{:.1} s", took.as_secs_f64()));
    outln!("{table}")?;

    let refused = drive.sent.iter().filter_map(|sent| sent.answer.as_ref().err().map(ToString::to_string));
    let refused: Vec<String> = refused.collect();
    complain("not acknowledged", &refused);
    complain("lost", &verdict.lost);
    complain("unverified", &verdict.unverified);
    Ok(refused.is_empty() && verdict.lost.is_empty() && verdict.unverified.is_empty() && verdict.duplicates == 0)
}

fn complain(what: &str, complaints: &[String]) {
    for complaint in complaints.iter().take(COMPLAINTS_MAX) {
        eprintln!("{what}: {complaint}");
    }
    if complaints.len() > COMPLAINTS_MAX {
        eprintln!("{what}: {} more", complaints.len() - COMPLAINTS_MAX);
    }
}

/// Says how to talk to a cluster that goes on running.
pub fn print_commands(cluster: &DevCluster) -> Result {
    let client = cluster.layout().client_file();
    let client = client.display();
    outln!("The cluster goes on running. Talk to it:\n")?;
    outln!("  kho status --config {client}")?;
    outln!("  kho submit --config {client} report.json --out .")?;
    outln!("  kho get    --config {client} ID --export check")?;
    outln!(
        "  kho verify --key '{}' --trust {} ID.tlog-proof ID.record",
        cluster.verifier_key()?,
        cluster.layout().trust(kho::dev::Plane::Signers).display()
    )?;
    let pids: Vec<String> = cluster.nodes().filter_map(|node| cluster.pid(node)).map(|pid| pid.to_string()).collect();
    outln!("\nEnd it:\n\n  kill {}", pids.join(" "))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_millis(100));
        assert_eq!(percentile(&sorted, 99), Duration::from_millis(198));
        assert_eq!(percentile(&sorted[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
