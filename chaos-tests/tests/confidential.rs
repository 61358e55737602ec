//! I10, R-C3: random markers in payload, unit, regime, series, receiver and the signer's certificate never
//! appear in any file that a node writes: log, state, snapshots, process output. Compression is off, so that
//! nothing hides in it. `scripts/test-confidential` runs this on a build that seals nothing as well, and
//! there it must fail.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use kho::dev::NodeId;
use kho_chaos_tests::needles::{self, Needle};
use kho_chaos_tests::rig::Rig;
use kho_client::{Client, Draft, Signed, Signer, SubmitError};
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

/// Core dumps would hold plaintext and keys: the process must have switched them off.
fn core_dumps_are_off(pid: u32) -> Result<()> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).context("a limit of core files")?;
    ensure!(line.split_whitespace().nth(4) == Some("0"), "core dumps are on: {line}");
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

#[test]
fn nothing_in_clear_in_any_file() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let settings: toml::Table =
        toml::from_str("[storage]\ncompression = \"none\"\n[telemetry]\nlog = \"debug,openraft=info\"\n")?;
    let mut rig = Rig::create("confidential", 10, settings)?;
    let (mut wanted, mut ids, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    runtime.block_on(async {
        rig.launch().await?;
        let client = rig.cluster.client()?;
        for place in 0..RECORDS {
            let unit = marker('U');
            let signer = rig.cluster.signer(&unit.parse()?)?;
            let (draft, needles) = marked(place, &unit)?;
            let record = draft.sign(&signer, client.surroundings()).await?;
            submit(&client, &record).await?;
            // reading puts more into memory and logs; a build that seals nothing may fail here, and is judged below
            unread.extend(client.get(record.record_id()).await.err());
            wanted.extend(needles);
            wanted.extend(needles::forms("unit", unit.as_bytes()));
            let certificate = signer.certificates().first().context("a certificate")?;
            // the middle of its DER: subject, validity, public key
            wanted.extend(needles::forms("certificate", &certificate[certificate.len() / 3..][..32]));
            ids.extend(needles::forms("record id", record.record_id().as_bytes()));
        }
        for node in rig.cluster.nodes() {
            core_dumps_are_off(rig.cluster.pid(node).context("running")?)?;
            rig.cluster.admin(node)?.trigger_snapshot().await?;
        }
        // a follower that comes back replays its log; more tables are written and merged
        rig.cluster.terminate(NodeId(2)).await?;
        rig.cluster.start(NodeId(2))?;
        rig.cluster.wait_equal().await?;
        rig.cluster.terminate_all().await?;
        Ok::<_, anyhow::Error>(())
    })?;

    let layout = rig.cluster.layout();
    let (mut bytes, mut clear, mut seen) = (0, Vec::new(), 0);
    for top in ["data", "logs"] {
        let top = layout.dir().join(top);
        let (read, found) = needles::search(&top, &wanted)?;
        bytes += read;
        clear.extend(found);
        seen += needles::search(&top, &ids)?.1.len();
    }
    // ids stand in clear rows: were they not found, the search would have looked past the records
    assert!(seen > 0, "not even a record's id was found in {bytes} bytes");
    for found in clear.iter().take(20) {
        println!("{} ({}) in {}", found.what, found.form, found.path.display());
    }
    println!(
        "searched {bytes} bytes for {} forms of {} markers; {seen} finds of record ids",
        wanted.len(),
        RECORDS * 6
    );
    assert!(clear.is_empty(), "FOUND IN CLEAR: {} finds", clear.len());
    assert!(unread.is_empty(), "records that can't be read: {unread:?}");
    runtime.block_on(rig.finish())
}
