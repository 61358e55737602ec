//! What calls tell of themselves: ids, nodes and codes, and nothing of a report.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod fake;

use std::io::Write;
use std::sync::{Arc, Mutex};

use fake::{Act, Fake, client, refuse, signed};
use kho_proto::error::Code;
use tracing::instrument::WithSubscriber;
use tracing_subscriber::fmt::format::FmtSpan;

/// One test at a time: what spans are wanted is cached for the whole process.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("whole").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Each line as JSON, of those with this span at its end.
    fn closed(&self, span: &str) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["fields"]["message"] == "close" && line["span"]["name"] == span).collect()
    }
}

#[tokio::test]
async fn spans_hold_ids_nodes_and_outcomes_and_no_payload() {
    let _alone = ALONE.lock().await;
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .finish();
    let one = Fake::node(1, 0, &[refuse(Code::NoLeader), refuse(Code::RecordUnknown)]).await;
    let two = Fake::node(2, 0, &[Act::Accept]).await;
    let record = signed().await;
    async {
        let client = client(&[&one, &two]);
        client.submit(&record).await.unwrap();
        fake::client(&[&one]).get(record.record_id()).await.unwrap_err();
    }
    .with_subscriber(subscriber)
    .await;

    let calls = lines.closed("kho.call");
    let of = |span: &serde_json::Value, name: &str| span["span"][name].as_str().unwrap_or_default().to_owned();
    let told: Vec<_> = calls.iter().map(|call| (of(call, "call"), of(call, "outcome"), of(call, "record"))).collect();
    let id = record.record_id().to_string();
    let expected = [("submit", "ok"), ("get", "record-unknown")];
    assert_eq!(told, expected.map(|(call, outcome)| (call.to_owned(), outcome.to_owned(), id.clone())));
    let attempts = lines.closed("kho.attempt");
    let told: Vec<_> = attempts.iter().map(|one| (of(one, "node"), of(one, "outcome"))).collect();
    let expected = [(&one, "no-leader"), (&two, "ok"), (&one, "record-unknown")];
    assert_eq!(told, expected.map(|(node, outcome)| (node.address.clone(), outcome.to_owned())));
    assert_eq!(attempts[1]["span"]["attempt"], 2);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("new_cases"), "a payload is nobody's business");
}

#[cfg(feature = "metrics")]
mod metered {
    use std::collections::BTreeMap;

    use metrics::{
        Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };

    use super::*;

    type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

    /// Counts under names with their labels.
    struct Counting(Counts);

    struct One(Counts, String);

    impl One {
        fn add(&self, value: u64) {
            *self.0.lock().unwrap().entry(self.1.clone()).or_default() += value;
        }
    }

    impl CounterFn for One {
        fn increment(&self, value: u64) {
            self.add(value);
        }

        fn absolute(&self, _: u64) {
            panic!("counters only grow");
        }
    }

    impl HistogramFn for One {
        fn record(&self, seconds: f64) {
            assert!(seconds > 0.0);
            self.add(1);
        }
    }

    impl Counting {
        fn one(&self, key: &Key) -> Arc<One> {
            let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            Arc::new(One(self.0.clone(), format!("{} {}", key.name(), labels.join(" "))))
        }
    }

    impl Recorder for Counting {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.one(key))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            panic!("the client has no gauges")
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(self.one(key))
        }
    }

    #[test]
    fn calls_and_attempts_are_counted() {
        let _alone = ALONE.blocking_lock();
        let counts = Counts::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        metrics::with_local_recorder(&Counting(counts.clone()), || {
            runtime.block_on(async {
                let one = Fake::node(1, 0, &[refuse(Code::NoLeader), Act::Hang]).await;
                let two = Fake::node(2, 0, &[Act::Accept]).await;
                let client = client(&[&one, &two]);
                client.submit(&signed().await).await.unwrap();
                client.submit_many(&fake::several(3).await).await.into_iter().for_each(|done| drop(done.unwrap()));
                let timing = kho_client::Timing { hedge: Some(std::time::Duration::from_millis(20)), ..fake::timing() };
                let hedging = kho_client::Client::new(kho_client::Config { timing, ..fake::config(&[&one, &two]) });
                hedging.unwrap().get(signed().await.record_id()).await.unwrap();
            });
        });
        let counts = counts.lock().unwrap();
        let of = |name: &str| counts.get(name).copied().unwrap_or_default();
        assert_eq!(of("kho_client_calls_total call=submit outcome=ok"), 1, "{counts:?}");
        assert_eq!(of("kho_client_calls_total call=get outcome=ok"), 1);
        assert_eq!(of("kho_client_call_seconds call=submit"), 1);
        assert_eq!(of("kho_client_records_total call=submit_many outcome=ok"), 3);
        assert_eq!(of("kho_client_attempts_total outcome=no-leader"), 1);
        assert_eq!(of("kho_client_attempts_total outcome=ok"), 3);
        assert_eq!(of("kho_client_hedges_total "), 1);
        assert_eq!(of("kho_client_connections_total "), 4, "two clients, two nodes each");
        assert_eq!(of("kho_client_checkpoints_verified_total "), 2, "one note, once for each client");
    }
}
