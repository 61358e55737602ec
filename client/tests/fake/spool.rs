//! Outboxes, and what is put into them.

use std::path::Path;
use std::time::Duration;

use kho_client::{
    Draft, Drained, Limits, Outbox, OutboxError, OutboxEvent, Pace, PemSigner, Place, Signed, Stored, System,
};
use kho_proto::id::RecordId;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};

use super::{Fake, client};

pub const WAIT: Duration = Duration::from_secs(10);

pub fn pace() -> Pace {
    let (pause_min, pause_max) = (Duration::from_millis(10), Duration::from_millis(100));
    Pace { pause_min, pause_max, doubt: Duration::from_millis(300), ..Pace::default() }
}

pub fn signer() -> PemSigner {
    static KEY: std::sync::OnceLock<(String, String)> = std::sync::OnceLock::new();
    let (certificate, key) = KEY.get_or_init(|| {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let certificate = CertificateParams::new(vec!["signer".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    });
    PemSigner::from_pem(certificate.as_bytes(), key.as_bytes(), None).unwrap()
}

/// A record of this series.
pub async fn of(series: &str, supersedes: Option<&Signed>) -> Signed {
    with(series, supersedes, None, "{}").await
}

pub async fn with(series: &str, supersedes: Option<&Signed>, record_id: Option<RecordId>, payload: &str) -> Signed {
    let draft = Draft {
        record_id,
        unit: "BYT".parse().unwrap(),
        regime: "YT-01".parse().unwrap(),
        period: "2020-06-12".parse().unwrap(),
        series: series.to_owned(),
        supersedes: supersedes.map(Signed::record_id),
        receivers: Vec::new(),
        media_type: "application/json".to_owned(),
        payload: payload.to_owned().into(),
    };
    draft.sign(&signer(), &System).await.unwrap()
}

pub fn open(dir: &Path) -> Outbox {
    Outbox::open(dir, Limits::default()).unwrap()
}

/// Delivers until nothing waits.
pub async fn drain(outbox: &Outbox, nodes: &[&Fake]) {
    let drained = tokio::time::timeout(WAIT, outbox.drain(&client(nodes), pace(), std::future::pending())).await;
    assert_eq!(drained.expect("in time").unwrap(), Drained::Empty);
}

/// Delivers for so long.
pub async fn deliver_for(outbox: &Outbox, nodes: &[&Fake], time: Duration) {
    outbox.deliver_at(&client(nodes), pace(), tokio::time::sleep(time)).await.unwrap();
}

pub fn places(outbox: &Outbox) -> Vec<(RecordId, Place)> {
    outbox.list(None).into_iter().map(|listed| (listed.record_id, listed.place)).collect()
}

pub async fn stored(outbox: &Outbox, record: &Signed) -> Stored {
    outbox.read(record.record_id()).await.unwrap().expect("the outbox has it")
}

pub fn code_of(outbox: &Outbox, record: &Signed) -> String {
    let listed = outbox.list(None).into_iter().find(|listed| listed.record_id == record.record_id());
    listed.expect("the outbox has it").why.map_or_else(String::new, |(code, _)| code)
}

/// As one who does not know whether it was sent before.
pub fn perhaps_sent(record: &Signed) -> Signed {
    Signed::from_record(record.record().clone()).unwrap()
}

pub async fn next(events: &mut tokio::sync::broadcast::Receiver<OutboxEvent>) -> OutboxEvent {
    tokio::time::timeout(WAIT, events.recv()).await.unwrap().unwrap()
}

/// Delivers until the test ends.
pub fn delivering(outbox: &Outbox, node: &Fake, pace: Pace) -> tokio::task::JoinHandle<Result<(), OutboxError>> {
    let (outbox, client) = (outbox.clone(), client(&[node]));
    tokio::spawn(async move { outbox.deliver_at(&client, pace, std::future::pending()).await })
}
