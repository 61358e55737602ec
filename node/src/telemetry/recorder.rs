//! The Prometheus recorder: one for the process, read by `/metrics`.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Seconds: from a cached check to a request that nobody waits for any more.
const SECONDS_BUCKETS: &[f64] =
    &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Things in a batch.
const COUNT_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Process resident memory.
pub const RESIDENT_BYTES: &str = "process_resident_memory_bytes";

/// Reads what was measured.
#[derive(Clone)]
pub struct Recorder(PrometheusHandle);

impl Recorder {
    /// In Prometheus' text format.
    pub fn render(&self) -> String {
        if let Some(bytes) = super::resident_bytes() {
            metrics::gauge!(RESIDENT_BYTES).set(bytes as f64);
        }
        self.0.render()
    }

    /// Folds samples into buckets; without it they pile up until the next scrape.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// The process's recorder, installed at the first call. None if another was installed before by somebody else.
pub fn recorder() -> Option<Recorder> {
    static INSTALLED: OnceLock<Option<Recorder>> = OnceLock::new();
    INSTALLED.get_or_init(install).clone()
}

fn install() -> Option<Recorder> {
    let installed = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS)
        .and_then(|builder| builder.set_buckets(COUNT_BUCKETS))
        .and_then(|builder| builder.install_recorder());
    match installed {
        Ok(handle) => {
            metrics::describe_gauge!(RESIDENT_BYTES, metrics::Unit::Bytes, "resident memory of the process");
            crate::api::metric_definitions::describe();
            crate::catalogue::metric_definitions::describe();
            crate::disk::metric_definitions::describe();
            crate::publish::metric_definitions::describe();
            crate::pulse::metric_definitions::describe();
            crate::read::metric_definitions::describe();
            crate::serve::metric_definitions::describe();
            crate::tls::metric_definitions::describe();
            crate::web::metric_definitions::describe();
            crate::write::metric_definitions::describe();
            Some(Recorder(handle))
        }
        Err(error) => {
            tracing::warn!(%error, "no metrics recorder");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_was_measured_is_rendered() {
        let recorder = super::recorder().unwrap();
        metrics::counter!("kho_test_total").increment(3);
        metrics::histogram!("kho_test_seconds").record(0.003);
        let text = recorder.render();
        assert!(text.contains("kho_test_total 3"), "{text}");
        assert!(text.contains("kho_test_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }
}
