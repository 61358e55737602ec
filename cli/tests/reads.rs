//! Lists and watches over real processes, while leaders are killed; and their commands.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod common;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{cluster, ends, text};
use kho::dev::{Identity, NodeId};
use kho_client::{Client, Draft, Filter, ListQuery, Order, Signed, StateFilter, SubmitError, System, WatchFrom};
use kho_proto::id::{RecordId, Seq, UnitCode};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, BufReader};

fn draft(unit: &str, series: String, supersedes: Option<RecordId>) -> Draft {
    Draft {
        record_id: None,
        unit: unit.parse().unwrap(),
        regime: "YT-01".parse().unwrap(),
        period: "2020-06-12".parse().unwrap(),
        series,
        supersedes,
        receivers: vec!["VPCP".parse().unwrap()],
        media_type: "text/plain; charset=utf-8".to_owned(),
        payload: "Không có ca mắc mới".into(),
    }
}

/// Submits until it is told; what is unknown is submitted again until it is known.
async fn load(
    client: Client,
    signer: Arc<kho_client::PemSigner>,
    unit: &'static str,
    stop: Arc<AtomicBool>,
    worker: u64,
) -> BTreeMap<u64, RecordId> {
    let mut acknowledged = BTreeMap::new();
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let record: Signed = draft(unit, format!("{worker} {n}"), None).sign(&*signer, &System).await.unwrap();
        n += 1;
        let done = loop {
            match client.submit(&record).await {
                Ok(done) => break done,
                Err(SubmitError::Unknown { .. } | SubmitError::Unreachable { .. }) => {}
                Err(SubmitError::Refused { refusal, .. }) if refusal.code.retry() => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert!(acknowledged.insert(done.receipt.sequence.0, done.record_id).is_none());
    }
    acknowledged
}

/// R-A2: what was acknowledged is told to everyone who watches, in order, once, whatever is killed meanwhile; and a list is of
/// the moment at which it began.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_and_a_list_go_on_while_leaders_are_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = cluster(&dir).await;
    let client = cluster.client().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut workers = Vec::new();
    for worker in 0..4 {
        let unit = if worker % 2 == 0 { "BYT" } else { "BTC" };
        let signer = Arc::new(cluster.signer(&unit.parse::<UnitCode>().unwrap()).unwrap());
        workers.push(tokio::spawn(load(cluster.client().unwrap(), signer, unit, stop.clone(), worker)));
    }
    // one that sees everything, and one of a unit that sees its own
    let all: Arc<Mutex<Vec<(u64, RecordId)>>> = Arc::default();
    let own: Arc<Mutex<Vec<(u64, RecordId)>>> = Arc::default();
    let unit = Client::new(cluster.client_config(&Identity::Unit("BTC".parse().unwrap())).unwrap()).unwrap();
    let mut followed = client.watch(&Filter::default(), WatchFrom::Sequence(Seq(1))).await.unwrap();
    let mut watchers = Vec::new();
    for (client, told) in [(&client, &all), (&unit, &own)] {
        let mut watching = client.watch(&Filter::default(), WatchFrom::Sequence(Seq(1))).await.unwrap();
        let told = told.clone();
        watchers.push(tokio::spawn(async move {
            loop {
                let entry = watching.record().await.unwrap();
                told.lock().push((entry.sequence.0, entry.record_id));
            }
        }));
    }
    let reach = |size: usize| {
        let all = all.clone();
        async move {
            while all.lock().len() < size {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    reach(60).await;
    let query = ListQuery { order: Order::Oldest, page_size: 7, ..ListQuery::default() };
    let mut listing = client.list(query.clone());
    let mut listed = vec![listing.next().await.unwrap().unwrap()];

    for kill in 0..2 {
        let leader = cluster.leader().await.unwrap().unwrap();
        let before = all.lock().len();
        cluster.kill(leader).unwrap();
        // a page and an event in the middle of it
        for _ in 0..20 {
            listed.extend(listing.next().await.unwrap());
        }
        // the node that tells may be the killed one, or is killed as well when all are back
        followed.record().await.unwrap();
        reach(before + 60).await;
        cluster.start(leader).unwrap();
        cluster.wait_ready().await.unwrap();
        if kill == 1 {
            let tells = followed.node().unwrap();
            cluster.kill(tells).unwrap();
            for _ in 0..40 {
                followed.record().await.unwrap();
            }
            cluster.start(tells).unwrap();
            cluster.wait_ready().await.unwrap();
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeMap::new();
    for worker in workers {
        acknowledged.extend(worker.await.unwrap());
    }
    reach(acknowledged.len()).await;
    let told = all.lock().clone();
    let expect: Vec<(u64, RecordId)> = acknowledged.iter().map(|(sequence, id)| (*sequence, *id)).collect();
    assert_eq!(told, expect, "everything acknowledged, in order, once");
    assert!(told.iter().map(|(sequence, _)| *sequence).eq(1..=told.len() as u64), "no gap");

    while let Some(entry) = listing.next().await.unwrap() {
        listed.push(entry);
    }
    let size = listing.fresh().unwrap().size;
    let listed: Vec<(u64, RecordId)> = listed.iter().map(|entry| (entry.sequence.0, entry.record_id)).collect();
    assert_eq!(listed, expect[..usize::try_from(size).unwrap() - 1], "of the moment of its first page");
    assert!(listed.len() < expect.len());

    let filter = Filter { unit: Some("BTC".parse().unwrap()), ..Filter::default() };
    let of_unit = client.list(ListQuery { filter: filter.clone(), ..query }).all().await.unwrap();
    let of_unit: Vec<(u64, RecordId)> = of_unit.iter().map(|entry| (entry.sequence.0, entry.record_id)).collect();
    while own.lock().len() < of_unit.len() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(*own.lock(), of_unit);
    let counted = client.count(&filter, false).await.unwrap();
    assert_eq!(counted.count, of_unit.len() as u64);
    watchers.iter().for_each(tokio::task::JoinHandle::abort);
    // each node says the same of the whole
    cluster.wait_equal().await.unwrap();
    for node in 1..=3 {
        let one = cluster.client_of(NodeId(node)).unwrap();
        let stale = one.count(&Filter::default(), true).await.unwrap();
        assert!(!stale.fresh.linearizable && stale.fresh.age.is_some());
        assert_eq!((stale.count, stale.fresh.node), (expect.len() as u64, NodeId(node)));
    }
}

/// All nodes are restarted: who follows the log waits longer than any call would, says so once, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_outlives_an_outage_of_the_whole_cluster_and_says_so_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = cluster(&dir).await;
    let client = cluster.client().unwrap();
    let signer = cluster.signer(&"BYT".parse().unwrap()).unwrap();
    client.submit(&draft("BYT", "1".to_owned(), None).sign(&signer, &System).await.unwrap()).await.unwrap();
    let config = cluster.layout().client_file();
    let watch = ["watch", "--config", text(&config), "--start", "1", "--limit", "2", "--format", "json"];
    let mut watch = tokio::process::Command::new(env!("CARGO_BIN_EXE_kho"))
        .args(watch)
        .env_remove("KHO_CONFIG")
        .env("LC_ALL", "C")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().unwrap().contains("\"sequence\":1"));

    cluster.terminate_all().await.unwrap();
    tokio::time::sleep(kho_client::DEADLINE * 2).await;
    assert!(watch.try_wait().unwrap().is_none(), "it waits");
    cluster.start_all().unwrap();
    cluster.wait_ready().await.unwrap();
    client.submit(&draft("BYT", "2".to_owned(), None).sign(&signer, &System).await.unwrap()).await.unwrap();
    let ended = async { (lines.next_line().await.unwrap(), watch.wait_with_output().await.unwrap()) };
    let (line, output) = tokio::time::timeout(Duration::from_secs(40), ended).await.expect("it goes on");
    assert!(line.unwrap().contains("\"sequence\":2"));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{err}");
    assert_eq!(err.matches("waiting, and going on at sequence 2 by itself").count(), 1, "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_counts_tells_histories_and_watches() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster(&dir).await;
    let client = cluster.client().unwrap();
    let (byt, btc): (UnitCode, UnitCode) = ("BYT".parse().unwrap(), "BTC".parse().unwrap());
    let (byt, btc) = (cluster.signer(&byt).unwrap(), cluster.signer(&btc).unwrap());
    let mut before = None;
    for _ in 0..3 {
        let record = draft("BYT", "bệnh viện 1".to_owned(), before).sign(&byt, &System).await.unwrap();
        before = Some(client.submit(&record).await.unwrap().record_id);
    }
    for n in 0..4 {
        client.submit(&draft("BTC", format!("{n}"), None).sign(&btc, &System).await.unwrap()).await.unwrap();
    }
    let config = cluster.layout().client_file();
    let config = text(&config);
    let lines =
        |out: &str| -> Vec<serde_json::Value> { out.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let sequences = |out: &str| lines(out).iter().map(|line| line["sequence"].as_u64().unwrap()).collect::<Vec<_>>();
    let json = |arguments: &[&str]| {
        let arguments = [arguments, &["--config", config, "--format", "json"]].concat();
        ends(&arguments, 0)
    };

    let (out, err) = json(&["list"]);
    assert_eq!(sequences(&out), [7, 6, 5, 4, 3, 2, 1]);
    assert!(err.contains("7 records of 8 leaves"), "{err}");
    assert_eq!(sequences(&json(&["list", "--order", "oldest", "--limit", "2"]).0), [1, 2]);
    assert_eq!(sequences(&json(&["list", "--unit", "BYT", "--state", "latest"]).0), [3]);
    assert_eq!(sequences(&json(&["list", "--unit", "BYT", "--state", "superseded"]).0), [2, 1]);
    assert_eq!(
        sequences(
            &json(&[
                "list", "--from", "2020-06", "--to", "2020-06", "--regime", "YT-01", "--unit", "BTC", "--order",
                "period"
            ])
            .0
        ),
        [4, 5, 6, 7]
    );
    assert_eq!(sequences(&json(&["list", "--from", "2020-07"]).0), [0_u64; 0]);
    assert_eq!(sequences(&json(&["list", "--accepted-before", "2020-01-01"]).0), [0_u64; 0]);
    assert_eq!(sequences(&json(&["list", "--series", "2"]).0), [6]);
    assert_eq!(lines(&json(&["list", "--count", "--receiver", "VPCP"]).0)[0]["count"], 7);
    let (out, err) = ends(&["list", "--config", config, "--unit", "BYT", "--stale"], 0);
    assert!(out.contains("bệnh viện 1") && out.contains("superseded") && err.contains("stale"), "{out}\n{err}");
    assert_eq!(ends(&["list", "--config", config, "--count"], 0).0.trim(), "7");

    let id = before.unwrap().to_string();
    let (by_id, _) = json(&["history", &id]);
    let (by_name, _) =
        json(&["history", "--unit", "BYT", "--regime", "YT-01", "--period", "2020-06-12", "--series", "bệnh viện 1"]);
    assert_eq!((sequences(&by_id), &by_id), (vec![1, 2, 3], &by_name));
    assert_eq!(lines(&by_id)[2]["supersedes"], lines(&by_id)[1]["record_id"]);
    assert_eq!(sequences(&json(&["history", &id, "--newest"]).0), [3, 2, 1]);

    let (out, _) = json(&["watch", "--start", "2", "--limit", "3", "--progress"]);
    let told = lines(&out);
    assert_eq!(told.iter().map(|line| line["next"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4, 5]);
    let (out, _) = ends(&["watch", "--config", config, "--start", "1", "--limit", "2", "--unit", "BTC"], 0);
    assert_eq!(out.lines().count(), 2, "{out}");

    // the same in CSV, with the names of JSON
    let csv = |arguments: &[&str]| ends(&[arguments, &["--config", config, "--format", "csv"]].concat(), 0).0;
    let names = "sequence,record_id,accepted_at,unit,regime,period,series,receivers,submitted_at,revision,supersedes,\
                 state,media_type,payload_length";
    for arguments in [&["list", "--order", "oldest"][..], &["history", &id]] {
        let (table, objects) = (csv(arguments), lines(&json(arguments).0));
        assert_eq!(table.lines().next(), Some(names));
        let rows: Vec<_> = table.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>()).collect();
        assert_eq!(rows.len(), objects.len());
        for (row, object) in rows.iter().zip(&objects) {
            assert_eq!((row[0], row[1]), (&*object["sequence"].to_string(), object["record_id"].as_str().unwrap()));
            assert!(row[2].ends_with("+07:00") && row[6] == object["series"], "{row:?}");
        }
    }
    assert_eq!(csv(&["list", "--from", "2020-07"]).trim(), names);
    assert_eq!(csv(&["list", "--count"]), "count,size\n7,8\n");
    let watched = csv(&["watch", "--start", "2", "--limit", "2"]);
    let told: Vec<_> = watched.lines().map(|line| line.rsplit(',').next().unwrap()).collect();
    assert_eq!(told, ["next", "3", "4"], "{watched}");

    let auditor = dir.path().join("auditor.toml");
    let pki = cluster.layout().dir().to_owned();
    ends(&["certs", "client", "--dir", text(&pki), "--name", "auditor", "--role", "auditor"], 0);
    let file = std::fs::read_to_string(cluster.layout().client_file()).unwrap();
    let file = file.replace("platform.", "auditor.").replace("\"identities", &format!("\"{}/identities", text(&pki)));
    let file = file.replace("\"ca/", &format!("\"{}/ca/", text(&pki)));
    std::fs::write(&auditor, file).unwrap();
    let (out, _) = ends(&["list", "--config", text(&auditor), "--format", "json", "--limit", "1"], 0);
    let leaf = &lines(&out)[0];
    assert!(leaf["leaf"].is_string() && leaf.get("unit").is_none(), "{out}");
    let (_, err) = ends(&["list", "--config", text(&auditor), "--unit", "BYT"], 1);
    assert!(err.contains("[role-not-permitted]"), "{err}");

    for (arguments, code, expect) in [
        (&["watch", "--start", "99"][..], 1, "[watch-from-future]"),
        (&["watch", "--start", "0"], 1, "[watch-before-first]"),
        (&["history", "0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e"], 1, "[record-unknown]"),
        (&["list", "--order", "period"], 2, "need --regime, and --unit or --receiver"),
        (&["list", "--order", "size"], 2, "newest, oldest, period, period-descending"),
        (&["list", "--from", "2020-02", "--to", "2020-01"], 2, "expected the earlier period first"),
        (&["watch", "--from", "2020-02", "--to", "2020-01"], 2, "expected the earlier period first"),
        (&["list", "--period", "2020-13"], 2, "2020-W24"),
        (&["list", "--state", "old"], 2, "superseded"),
        (&["list", "--count", "--order", "oldest"], 2, "cannot be used"),
        (&["history", "--unit", "BYT"], 2, "--regime"),
        (&["history"], 2, "required"),
    ] {
        let (_, err) = ends(&[arguments, &["--config", config]].concat(), code);
        assert!(err.contains(expect), "{arguments:?}\n{err}");
    }
    assert_eq!(Filter::default().state, StateFilter::Any);
}
