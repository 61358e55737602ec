//! What shows only from inside: a dropped deliverer's last write, and a record that does not read any more.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};

use super::*;
use crate::{Client, Config, Draft, LogMemory, PemSigner, Preference, ReceiptCheck, Timing};

async fn record(series: &str) -> Signed {
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let params = CertificateParams::new(vec!["signer".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    let signer = PemSigner::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes(), None).expect("a signer");
    let draft = Draft {
        record_id: None,
        unit: "BYT".parse().expect("a unit"),
        regime: "YT-01".parse().expect("a regime"),
        period: "2020-06-12".parse().expect("a period"),
        series: series.to_owned(),
        supersedes: None,
        receivers: Vec::new(),
        media_type: "application/json".to_owned(),
        payload: "{}".into(),
    };
    draft.sign(&signer, &System).await.expect("a record")
}

/// Nobody listens there.
fn client_of_nobody() -> Client {
    let timing =
        Timing { deadline: Duration::from_millis(200), attempt: Duration::from_millis(100), ..Timing::default() };
    let config = Config {
        nodes: vec!["127.0.0.1:1".to_owned()],
        further_sites: Vec::new(),
        tls: None,
        receipts: ReceiptCheck::Unchecked,
        memory: LogMemory::default(),
        preference: Preference::Leader,
        timing,
        surroundings: Arc::new(System),
    };
    Client::new(config).expect("a client")
}

/// Stops the first settling until it is let go.
#[derive(Debug)]
struct Stops {
    reached: SyncSender<()>,
    go: Mutex<Option<Receiver<()>>>,
}

impl Steps for Stops {
    fn at(&self, step: Step) {
        if step == Step::Settling
            && let Some(go) = self.go.lock().take()
        {
            self.reached.send(()).expect("the test waits for it");
            go.recv().expect("the test lets it go");
        }
    }
}

/// Else the next deliverer sends a record, and then what the dropped one had to say of it is written over that.
#[tokio::test]
async fn a_dropped_deliverer_has_its_turn_until_its_last_write_has_ended() {
    let dir = tempfile::tempdir().expect("a directory");
    let (reached, has_reached) = sync_channel(1);
    let (let_go, go) = sync_channel(1);
    let steps = Stops { reached, go: Mutex::new(Some(go)) };
    let outbox = Outbox::open_watched(dir.path(), Limits::default(), Arc::new(steps)).expect("an outbox");
    outbox.add(&record("a").await).await.expect("room");
    let delivering = tokio::spawn({
        let (outbox, client) = (outbox.clone(), client_of_nobody());
        async move { outbox.deliver(&client, std::future::pending()).await }
    });
    tokio::task::spawn_blocking(move || has_reached.recv()).await.expect("a thread").expect("it settles");
    delivering.abort();
    assert!(delivering.await.expect_err("it was dropped").is_cancelled());
    assert!(outbox.shared.delivering.try_lock().is_err(), "its write is under way");
    let_go.send(()).expect("it waits");
    let turn = tokio::time::timeout(Duration::from_secs(10), outbox.shared.delivering.lock()).await;
    drop(turn.expect("it has ended"));
    assert_eq!(outbox.list(None)[0].rounds, 1);
}

#[tokio::test]
async fn a_record_that_does_not_read_is_refused_and_holds_up_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let outbox = Outbox::open(dir.path(), Limits::default()).expect("an outbox");
    let (broken, whole) = (record("a").await, record("b").await);
    let (row, _) = Waiting::of(broken.record(), "", System.now(), false).expect("a row");
    outbox.shared.commit(vec![Change::Add(1, row, Bytes::from_static(b"no record"))], Step::Adding).expect("a disk");
    outbox.add(&whole).await.expect("room");
    let delivered = outbox.deliver(&client_of_nobody(), tokio::time::sleep(Duration::from_millis(100))).await;
    delivered.expect("the store is well");
    let found: Vec<_> =
        outbox.list(None).into_iter().map(|listed| (listed.record_id, listed.place, listed.rounds)).collect();
    let expected = [(whole.record_id(), Place::Queued, 1), (broken.record_id(), Place::Refused, 1)];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_list_says_what_records_are_about_and_where_they_came_from() {
    let dir = tempfile::tempdir().expect("a directory");
    let outbox = Outbox::open(dir.path(), Limits::default()).expect("an outbox");
    let long = "ệ".repeat(row::ORIGIN_LENGTH_MAX);
    outbox
        .add_all_from(&[(record("a").await, "june.ndjson:3".to_owned()), (record("b").await, long)])
        .await
        .expect("added");
    outbox.add(&record("c").await).await.expect("added");
    let about =
        |outbox: &Outbox| -> Vec<OutboxAbout> { outbox.list(None).into_iter().filter_map(|one| one.about).collect() };
    let told = about(&outbox);
    drop(outbox);
    assert_eq!(about(&Outbox::open(dir.path(), Limits::default()).expect("an outbox")), told, "on the disk");
    let first = &told[0];
    assert_eq!([&*first.unit, &*first.regime, &*first.period, &*first.series], ["BYT", "YT-01", "2020-06-12", "a"]);
    let cut = "ệ".repeat(row::ORIGIN_LENGTH_MAX / 3);
    let origins: Vec<_> = told.iter().map(|one| one.origin.as_deref()).collect();
    assert_eq!(origins, [Some("june.ndjson:3"), Some(&*cut), None]);
}

/// Else one that is queued again during the round that passed it over can't be given up until that has ended.
#[tokio::test]
async fn what_a_round_passes_over_is_not_being_sent() {
    let dir = tempfile::tempdir().expect("a directory");
    let outbox = Outbox::open(dir.path(), Limits::default()).expect("an outbox");
    let record = record("a").await;
    outbox.add(&record).await.expect("room");
    // planned, and given up before its round began
    let _turn = outbox.shared.delivering.lock().await;
    outbox.give_up(vec![record.record_id()]).await.expect("it waits");
    outbox.shared.state.lock().under_way = [1].into();
    assert!(outbox.shared.mark(&[1]).expect("the store is well").sent.is_empty());
    assert_eq!(outbox.retry(None).await.expect("the store is well"), 1);
    assert_eq!(outbox.give_up(vec![record.record_id()]).await.expect("nobody sends it"), 0);
}
