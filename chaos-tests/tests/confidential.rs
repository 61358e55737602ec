//! I10, R-C3: random markers in payload, attachments, unit, regime, series, receiver and the signer's certificate never
//! appear in any file that a node writes: log, state, snapshots, process output. Compression is off, so that
//! nothing hides in it. `scripts/test-confidential` runs this on a build that seals nothing as well, and
//! there it must fail.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use kho::dev::NodeId;
use kho_chaos_tests::needles::{self, Found, Needle};
use kho_chaos_tests::rig::Rig;
use kho_client::{Client, Draft, Signed, Signer, SubmitError, describe};
use kho_proto::object::CHUNK_LENGTH;
use rand::Rng;

/// Records, each with markers of its own.
const RECORDS: usize = 20;
/// A record is submitted so often at the most until its outcome is known.
const SUBMITS_MAX: usize = 10;
/// Enough to fill log files, and to have values large and small.
const FILLER_BYTES: [usize; 4] = [0, 100, 10_000, 300_000];

/// Twenty letters and digits: a name that nobody else uses.
fn marker(kind: char) -> String {
    let mut random = rand::rng();
    let random: String = (0..19).map(|_| char::from(random.sample(rand::distr::Alphanumeric))).collect();
    format!("{kind}{random}")
}

/// A draft full of markers, and what to search for.
fn marked(place: usize, unit: &str) -> Result<(Draft, Vec<Needle>)> {
    let (regime, series, receiver, payload) = (marker('R'), marker('S'), marker('E'), marker('P'));
    let draft = Draft {
        record_id: None,
        unit: unit.parse()?,
        regime: regime.parse()?,
        period: "2020-06-12".parse()?,
        series: series.clone(),
        supersedes: None,
        receivers: vec![receiver.parse()?],
        media_type: "text/plain".to_owned(),
        payload: format!("{payload}{}", " lấp".repeat(FILLER_BYTES[place % FILLER_BYTES.len()] / 5)).into(),
    };
    let all = [("regime", &regime), ("series", &series), ("receiver", &receiver), ("payload", &payload)];
    Ok((draft, all.into_iter().flat_map(|(what, text)| needles::forms(what, text.as_bytes())).collect()))
}

/// An upload takes a fraction of a second.
const UPLOAD_MAX: Duration = Duration::from_secs(15);

/// A content of more than one chunk with a marker in each, and what to search for.
fn attachment() -> Result<(Bytes, Vec<Needle>)> {
    let (first, last) = (marker('A'), marker('Z'));
    let content = format!("{first}{}{last}", " lấp".repeat(CHUNK_LENGTH / 5 + 100));
    let needles = [("attachment", &first), ("attachment's end", &last)];
    Ok((content.into(), needles.into_iter().flat_map(|(what, text)| needles::forms(what, text.as_bytes())).collect()))
}

/// Core dumps would hold plaintext and keys: the process must have switched them off, for good (a soft limit of 0 is the
/// usual default, and proves nothing).
fn core_dumps_are_off(pid: u32) -> Result<()> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).context("a limit of core files")?;
    let limits: Vec<_> = line.split_whitespace().skip(4).take(2).collect();
    ensure!(limits == ["0", "0"], "core dumps are on: {line}");
    Ok(())
}

/// Until the outcome is known: with all that these nodes log, a leader may be lost on the way.
async fn submit(client: &Client, record: &Signed) -> Result<()> {
    for _ in 0..SUBMITS_MAX {
        match client.submit(record).await {
            Err(SubmitError::Unknown { .. }) => {}
            known => return Ok(known.map(drop)?),
        }
    }
    bail!("record {}: unknown after {SUBMITS_MAX} submits", record.record_id())
}

/// What was searched for, and what came of it.
#[derive(Default)]
struct Search {
    wanted: Vec<Needle>,
    ids: Vec<Needle>,
    bytes: u64,
    seen: usize,
    clear: BTreeSet<Found>,
}

impl Search {
    /// Looks through all files of the cluster. Ids stand in clear rows: were they not found in each of `places` of every
    /// node's log, the search would have looked past the records.
    fn run(&mut self, rig: &Rig, places: &[&str]) -> Result<()> {
        let layout = rig.cluster.layout();
        for top in ["data", "logs"] {
            let (read, found) = needles::search(&layout.dir().join(top), &self.wanted)?;
            self.bytes += read;
            self.clear.extend(found);
        }
        for node in rig.cluster.nodes() {
            for place in places {
                let place = layout.data_dir(node).join("logs/1").join(place);
                let found = needles::search(&place, &self.ids)?.1.len();
                ensure!(found > 0, "not even a record's id was found in {}", place.display());
                self.seen += found;
            }
        }
        Ok(())
    }
}

#[test]
fn nothing_in_clear_in_any_file() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let settings: toml::Table =
        toml::from_str("[storage]\ncompression = \"none\"\n[telemetry]\nlog = \"debug,openraft=info\"\n")?;
    let mut rig = Rig::create("confidential", 10, settings)?;
    let (mut search, mut unread, mut unattached) = (Search::default(), Vec::new(), Vec::new());
    runtime.block_on(async {
        rig.launch().await?;
        let client = rig.cluster.client()?;
        for place in 0..RECORDS {
            let unit = marker('U');
            let signer = rig.cluster.signer(&unit.parse()?)?;
            let (draft, needles) = marked(place, &unit)?;
            let (content, attached) = attachment()?;
            search.wanted.extend(attached);
            let described = describe(&marker('N'), "text/plain", &content)?;
            // the name and the digest stand in the header only
            search.wanted.extend(needles::forms("attachment name", described.name.as_bytes()));
            search.wanted.extend(needles::forms("attachment digest", described.digest.as_ref()));
            // What is not sealed does not open when it is verified: then this record goes without, and those behind it. The
            // client would try again for a minute.
            let mut attachments = Vec::new();
            if unattached.is_empty() {
                let unit = unit.parse()?;
                let upload = client.upload(&unit, &described, Arc::new(content), |_| {});
                match tokio::time::timeout(UPLOAD_MAX, upload).await {
                    Ok(Ok(())) => attachments.push(described),
                    Ok(Err(error)) => unattached.push(error.to_string()),
                    Err(_elapsed) => unattached.push(format!("nothing within {UPLOAD_MAX:?}")),
                }
            }
            let record = draft.sign_with(attachments, &signer, client.surroundings()).await?;
            submit(&client, &record).await?;
            // reading puts more into memory and logs; a build that seals nothing may fail here, and is judged below
            unread.extend(client.get(record.record_id()).await.err());
            search.wanted.extend(needles);
            search.wanted.extend(needles::forms("unit", unit.as_bytes()));
            let certificate = signer.certificates().first().context("a certificate")?;
            // the middle of its DER: subject, validity, public key
            search.wanted.extend(needles::forms("certificate", &certificate[certificate.len() / 3..][..32]));
            search.ids.extend(needles::forms("record id", record.record_id().as_bytes()));
        }
        // the first look comes before a snapshot lets go of the log; files of a node at work come and go
        rig.cluster.terminate_all().await?;
        search.run(&rig, &["raft"])?;
        rig.cluster.start_all()?;
        rig.cluster.wait_equal().await?;
        for node in rig.cluster.nodes() {
            core_dumps_are_off(rig.cluster.pid(node).context("running")?)?;
            let snapshot = rig.cluster.admin(node)?.trigger_snapshot().await?.snapshot;
            ensure!(snapshot > 0, "node {node} made no snapshot");
        }
        // a follower that comes back replays its log; more tables are written and merged
        rig.cluster.terminate(NodeId(2)).await?;
        rig.cluster.start(NodeId(2))?;
        rig.cluster.wait_equal().await?;
        rig.cluster.terminate_all().await?;
        Ok::<_, anyhow::Error>(())
    })?;

    search.run(&rig, &["state-1", "snapshots"])?;
    let Search { wanted, bytes, seen, clear, .. } = search;
    for found in clear.iter().take(20) {
        println!("{} ({}) in {}", found.what, found.form, found.path.display());
    }
    println!(
        "searched {bytes} bytes for {} forms of {} markers; {seen} finds of record ids",
        wanted.len(),
        RECORDS * 10
    );
    assert!(clear.is_empty(), "FOUND IN CLEAR: {} finds", clear.len());
    assert!(unread.is_empty(), "records that can't be read: {unread:?}");
    assert!(unattached.is_empty(), "attachments that were not taken: {unattached:?}");
    runtime.block_on(rig.finish())
}
