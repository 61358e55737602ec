//! A closed loop: each connection sends its next record when the last one is acknowledged.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::system::{Connection, NODES, System};
use kho::bench::process;

/// Latencies up to here, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;
/// Before each measurement.
const REST: Duration = Duration::from_secs(2);
/// Latencies are kept to this many digits.
const DIGITS: u8 = 3;
/// Load before the measurement, so that connections, caches and trees have their size.
const WARM_UP: Duration = Duration::from_secs(2);
/// Records made ready per second of load and connection, at most...
const RECORDS_PER_CONNECTION_S: usize = 400;
/// ...and per second in all.
const RECORDS_S_MAX: usize = 12_000;

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Connections.
    pub connections: usize,
    /// Acknowledged records.
    pub records: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Acknowledged per second.
    pub records_per_s: f64,
    /// Median latency.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Longest.
    pub max_ms: f64,
    /// CPU time of all three servers per record.
    pub server_cpu_us_per_record: f64,
}

/// How many records `connections` may send within `seconds`.
pub fn records_for(connections: usize, seconds: Duration) -> usize {
    let per_second = (connections * RECORDS_PER_CONNECTION_S).clamp(1_000, RECORDS_S_MAX);
    per_second * (seconds.as_secs() as usize + 1)
}

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_US_MAX, DIGITS).expect("constant bounds are sound")
}

pub(crate) fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// Sends until `end`; latencies of what was sent after `begin`, and errors.
async fn drive(mut connection: impl Connection, begin: Instant, end: Instant) -> (Histogram<u64>, u64) {
    let (mut latencies, mut errors) = (histogram(), 0);
    loop {
        let sent = Instant::now();
        if sent >= end {
            return (latencies, errors);
        }
        let outcome = connection.send().await;
        let took = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        if sent >= begin {
            match outcome {
                Ok(()) => latencies.saturating_record(took),
                Err(_) => errors += 1,
            }
        }
    }
}

/// Loads `system` with `connections`, spread over its nodes.
pub async fn measure<S: System>(system: &mut S, connections: usize, duration: Duration) -> Result<Measured> {
    system.prepare(records_for(connections, duration + WARM_UP)).await?;
    let open: Result<Vec<_>> = (0..connections).map(|n| system.connect(n % NODES)).collect();
    // preparing lets one system rest and not the other: then both do
    tokio::time::sleep(REST).await;
    let begin = Instant::now() + WARM_UP;
    let end = begin + duration;
    let tasks: Vec<_> = open?.into_iter().map(|connection| tokio::spawn(drive(connection, begin, end))).collect();
    tokio::time::sleep_until(begin.into()).await;
    let pids = system.processes();
    let cpu_before = pids.iter().map(|pid| process::cpu(*pid)).sum::<Result<Duration>>()?;
    tokio::time::sleep_until(end.into()).await;
    let cpu = pids.iter().map(|pid| process::cpu(*pid)).sum::<Result<Duration>>()? - cpu_before;
    let (mut latencies, mut errors) = (histogram(), 0);
    for task in tasks {
        let (more, failed) = task.await.context("a connection")?;
        latencies.add(more)?;
        errors += failed;
    }
    let records = latencies.len();
    ensure!(records > 0 && errors == 0, "{}: {records} records were acknowledged, {errors} failed", S::NAME);
    Ok(Measured {
        connections,
        records,
        errors,
        records_per_s: records as f64 / duration.as_secs_f64(),
        p50_ms: ms(latencies.value_at_quantile(0.5)),
        p99_ms: ms(latencies.value_at_quantile(0.99)),
        max_ms: ms(latencies.max()),
        server_cpu_us_per_record: cpu.as_secs_f64() * 1e6 / records as f64,
    })
}
