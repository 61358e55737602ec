//! A month of the country in miniature, over real processes: 63 provinces and 22 ministries hand in reports of all regimes,
//! on time, late, corrected or not at all, some with attachments; the leader is killed, a signer's certificate is taken back,
//! a province is merged. In the end statistics agree with a count that the plan makes by itself, and lists, watch and HTTP
//! with each other and with what was acknowledged. R-A2, R-C1, R-D5, R-E1, R-E3.
//!
//! `chaos-tests/scenarios/reporting-month.sh` shows it.

mod over_http;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::StreamExt;
use kho::dev::{NodeId, Options};
use kho_chaos_tests::rig::{Rig, draft};
use kho_chaos_tests::skip;
use kho_client::{
    Acknowledged, Client, Draft, Filter, ListQuery, Order, Part, PemSigner, StatsBy, StatsCounts, StatsQuery,
    SubmitError, WatchFrom, describe,
};
use kho_proto::error::Code;
use kho_proto::header::{Attachment, SubmittedAt};
use kho_proto::id::{RecordId, Seq, UnitCode};
use kho_sample::Country;
use serde_json::{Value, json};

use over_http::Http;
use plan::{Key, MERGED, Plan, SUCCESSOR, Task, total};

const SEED: u64 = 2020;
/// Reports under way at once.
const WORKERS: usize = 16;
/// Between the leader's end and its return.
const AWAY: Duration = Duration::from_secs(2);

/// A record that stands in the log.
struct Accepted {
    key: Key,
    at: u64,
    correction: bool,
    id: RecordId,
    attachment: Option<(Attachment, Bytes)>,
}

/// What is common to all reports.
struct Month {
    client: Client,
    signers: BTreeMap<String, PemSigner>,
    /// A unit whose first signer was taken back, and that signer.
    revoked: Option<(String, PemSigner)>,
    accepted: Mutex<Vec<Accepted>>,
    /// Reports that were handed in, or refused as they must be.
    done: AtomicUsize,
    gone: AtomicUsize,
    refused: AtomicUsize,
    outdated: AtomicUsize,
}

fn kho(rig: &Rig, arguments: &[&str]) -> Result<String> {
    let output = Command::new(rig.cluster.executable()).args(arguments).env_remove("KHO_CONFIG").output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(output.status.success(), "kho {}: {}", arguments.join(" "), text(&output.stderr));
    Ok(text(&output.stdout))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("paths here are UTF-8")
}

/// The province's last day, as its keeper records it.
fn merge(rig: &Rig, plan: &Plan) -> Result<()> {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample/catalogue/units.json");
    let units: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(units)?)?;
    let mut merged = units.into_iter().find(|unit| unit["code"] == MERGED).context("the merged unit")?;
    let from = plan.merged.next_day().context("a day after")?;
    merged["effective_from"] = json!(plan::written(from));
    merged["valid_to"] = json!(plan::written(plan.merged));
    merged["successors"] = json!([SUCCESSOR]);
    let file = rig.path().join("merged.json");
    std::fs::write(&file, merged.to_string())?;
    rig.load_catalogue(&file)
}

/// A scan of what was signed by hand: of no use to anyone, and of no two reports the same.
fn scan(seed: usize) -> Bytes {
    let length = 20_000 + seed * 7919 % 600_000;
    (0..length as u64).map(|n| ((n + seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

impl Month {
    async fn sign(
        &self,
        draft: &Draft,
        attachment: Option<&Attachment>,
        signer: &PemSigner,
    ) -> Result<kho_client::Signed> {
        let attachments = attachment.cloned().into_iter().collect();
        Ok(draft.clone().sign_with(attachments, signer, self.client.surroundings()).await?)
    }

    /// Hands in one report, and its correction.
    async fn hand_in(&self, n: usize, task: Task) -> Result<()> {
        let unit: UnitCode = task.key[1].parse()?;
        let signer = self.signers.get(unit.as_str()).context("a signer for each unit")?;
        let mut draft = draft(task.report)?;
        let content = task.attached.then(|| scan(n));
        let attachment =
            content.as_ref().map(|content| describe("ban-ky.pdf", "application/pdf", content)).transpose()?;
        if let (Some(attachment), Some(content)) = (&attachment, &content) {
            self.client.upload(&unit, attachment, Arc::new(content.clone()), |_| {}).await?;
        }
        if let Some((of, old)) = &self.revoked
            && *of == task.key[1]
        {
            let record = self.sign(&draft, attachment.as_ref(), old).await?;
            must_refuse(self.client.submit(&record).await, Code::CertificateRevoked)?;
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(figures) = task.outdated.filter(|_| !task.gone) {
            let draft = Draft { payload: figures.into(), ..draft.clone() };
            let record = self.sign(&draft, attachment.as_ref(), signer).await?;
            must_refuse(self.client.submit(&record).await, Code::FiguresInvalid)?;
            self.outdated.fetch_add(1, Ordering::Relaxed);
        }
        for correction in [false, true] {
            if correction && !task.corrected {
                break;
            }
            let record = self.sign(&draft, attachment.as_ref(), signer).await?;
            let answer = self.client.submit(&record).await;
            if task.gone {
                must_refuse(answer, Code::UnitNotValid)?;
                self.gone.fetch_add(1, Ordering::Relaxed);
                break;
            }
            let Acknowledged { record_id, receipt, .. } = answer.with_context(|| format!("{:?}", task.key))?;
            let attachment = attachment.clone().zip(content.clone());
            let accepted = Accepted {
                key: task.key.clone(),
                at: receipt.leaf.accepted_at.0,
                correction,
                id: record_id,
                attachment,
            };
            self.accepted.lock().expect("no thread panics while it holds this").push(accepted);
            draft.supersedes = Some(record_id);
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn hand_in_all(&self, tasks: Vec<(usize, Task)>) -> Result<()> {
        let mut all = futures::stream::iter(tasks).map(|(n, task)| self.hand_in(n, task)).buffer_unordered(WORKERS);
        while let Some(done) = all.next().await {
            done?;
        }
        Ok(())
    }
}

fn must_refuse(answer: Result<Acknowledged, SubmitError>, code: Code) -> Result<()> {
    match answer {
        Err(SubmitError::Refused { refusal, .. }) if refusal.code == code => Ok(()),
        Err(error) => bail!("expected {}, found {error}", code.as_str()),
        Ok(done) => bail!("expected {}, and {} was accepted", code.as_str(), done.record_id),
    }
}

/// Kills the leader once so many reports are in, and brings it back.
async fn kill_leader(rig: &mut Rig, month: &Month, after: usize) -> Result<NodeId> {
    while month.done.load(Ordering::Relaxed) < after {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let leader = rig.cluster.leader().await?.context("a leader")?;
    rig.cluster.kill(leader)?;
    tokio::time::sleep(AWAY).await;
    rig.cluster.start(leader)?;
    Ok(leader)
}

/// Takes the first certificate of a unit's signer back; the unit gets another.
fn revoke(rig: &Rig, unit: &str) -> Result<PemSigner> {
    let (layout, code) = (rig.cluster.layout(), unit.parse()?);
    let (certificate, key) = layout.signer(&code);
    let list = rig.path().join("signers.crl");
    let config = layout.client_file();
    kho(
        rig,
        &["certs", "crl", "--dir", text(layout.dir())?, "--certificate", text(&certificate)?, "--out", text(&list)?],
    )?;
    kho(rig, &["crl", "install", text(&list)?, "--config", text(&config)?])?;
    std::fs::remove_file(certificate)?;
    std::fs::remove_file(key)?;
    Ok(rig.cluster.signer(&code)?)
}

fn years(plan: &Plan) -> Result<StatsQuery> {
    let (from, to) = (plan.years.0.to_string().parse()?, plan.years.1.to_string().parse()?);
    let (units, regimes) = (Vec::new(), Vec::new());
    Ok(StatsQuery { units, regimes, from, to, as_of: None, by: StatsBy::UnitRegimePeriod, stale: false })
}

/// Statistics over the client library, the command and HTTP, against the plan's own count.
async fn statistics(rig: &Rig, month: &Month, plan: &Plan, http: &Http) -> Result<StatsCounts> {
    let accepted: Vec<_> = month
        .accepted
        .lock()
        .expect("no thread panics while it holds this")
        .iter()
        .map(|one| (one.key.clone(), one.at, one.correction))
        .collect();
    let as_of = accepted.iter().map(|(_, at, _)| *at).max().context("records")? + 1;
    let expected = plan.count(&accepted, as_of);
    let as_of = SubmittedAt::from_unix_ms(kho_proto::id::UnixMs(as_of));
    let asked = StatsQuery { as_of: Some(as_of), ..years(plan)? };
    let told = month.client.stats(&asked).await?;
    let told: BTreeMap<Key, StatsCounts> =
        told.rows.into_iter().map(|row| ([row.regime, row.unit, row.period], row.counts)).collect();
    for (key, counts) in &expected {
        ensure!(told.get(key) == Some(counts), "{key:?}: expected {counts:?}, found {:?}", told.get(key));
    }
    ensure!(told.len() == expected.len(), "expected {} rows, found {}", expected.len(), told.len());

    let sum = total(&expected);
    let (from, to) = (plan.years.0.to_string(), plan.years.1.to_string());
    let (config, moment) = (rig.cluster.layout().client_file(), as_of.to_string());
    let range = ["stats", "--by", "total", "--format", "csv", "--from", &from, "--to", &to];
    let printed = kho(rig, &[&range[..], &["--as-of", &moment, "--config", text(&config)?]].concat())?;
    let row: Vec<u64> =
        printed.lines().nth(1).context("a row")?.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let counts = [
        sum.expected,
        sum.on_time,
        sum.late,
        sum.missing,
        sum.open,
        sum.corrected,
        sum.superseded,
        sum.unscheduled,
        sum.records,
    ];
    ensure!(row == counts, "kho stats: expected {counts:?}, found {printed}");
    let row = http.total(&from, &to, &moment)?;
    ensure!(row == counts, "/v1/stats: expected {counts:?}, found {row:?}");
    Ok(sum)
}

/// Lists, watch, HTTP: each has what was acknowledged, and nothing else.
async fn the_same_everywhere(month: &Month, http: &Http) -> Result<usize> {
    let expected: BTreeSet<RecordId> =
        month.accepted.lock().expect("no thread panics while it holds this").iter().map(|one| one.id).collect();
    let listed = month.client.list(ListQuery { order: Order::Oldest, page_size: 500, ..ListQuery::default() });
    let listed = listed.all().await?;
    let end = listed.last().context("entries")?.sequence;
    let reports = |entries: &[kho_client::Entry]| -> BTreeSet<RecordId> {
        let of_catalogue = |entry: &kho_client::Entry| {
            entry.about.as_ref().is_none_or(|about| about.regime.as_str().starts_with("kho."))
        };
        entries.iter().filter(|entry| !of_catalogue(entry)).map(|entry| entry.record_id).collect()
    };
    ensure!(reports(&listed) == expected, "a list has {} of {} reports", reports(&listed).len(), expected.len());
    let mut watch = month.client.watch(&Filter::default(), WatchFrom::Sequence(Seq(1))).await?;
    let mut watched = Vec::new();
    while watched.last().is_none_or(|entry: &kho_client::Entry| entry.sequence < end) {
        watched.push(watch.record().await?);
    }
    ensure!(
        watched.iter().map(|entry| entry.sequence).eq(listed.iter().map(|entry| entry.sequence)),
        "a watch differs"
    );
    ensure!(reports(&watched) == expected, "a watch has other reports than a list");
    let paged = http.ids()?;
    let all: Vec<String> = listed.iter().map(|entry| entry.record_id.to_string()).collect();
    ensure!(paged == all, "HTTP lists {} records, the client {}", paged.len(), all.len());
    let counted = month.client.count(&Filter::default(), false).await?.count;
    ensure!(counted == http.count()? && counted == all.len() as u64, "counts differ");
    Ok(expected.len())
}

/// Every attachment, from each node in turn.
async fn attachments(rig: &Rig, month: &Month) -> Result<usize> {
    let clients = rig.cluster.nodes().map(|node| rig.cluster.client_of(node)).collect::<Result<Vec<_>, _>>()?;
    let attached: Vec<_> = {
        let accepted = month.accepted.lock().expect("no thread panics while it holds this");
        accepted.iter().filter_map(|one| Some((one.id, one.attachment.clone()?))).collect()
    };
    for (n, (id, (attachment, content))) in attached.iter().enumerate() {
        let mut download = clients[n % clients.len()].download(*id, 0, attachment, Part::default());
        let mut found = Vec::with_capacity(content.len());
        while let Some(piece) = download.next().await? {
            found.extend_from_slice(&piece);
        }
        ensure!(found == *content, "the attachment of {id} is another one");
    }
    Ok(attached.len())
}

fn now() -> u64 {
    kho_client::Surroundings::now(&kho_client::System).0
}

#[test]
fn a_month_of_the_country() -> Result<()> {
    if !skip::can_run("reporting_month", false, &["curl"]) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(month())
}

async fn month() -> Result<()> {
    let mut rig = Rig::create_with("month", SEED, &Options::default().with_catalogue())?;
    let leader = rig.launch().await?;
    rig.load_catalogue(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample/catalogue"))?;
    let country = Country::load();
    let signers = country.units().iter().map(|unit| Ok((unit.code.clone(), rig.cluster.signer(&unit.code.parse()?)?)));
    let signers = signers.collect::<Result<BTreeMap<_, _>>>()?;
    let units = signers.len();
    let plan = Plan::of(country, now())?;
    merge(&rig, &plan)?;
    let mut first: Vec<_> = plan.tasks(now(), SEED).into_iter().enumerate().collect();
    let second = first.split_off(first.len() / 2);
    // whoever has most to hand in later on
    let mut owed: BTreeMap<&str, usize> = BTreeMap::new();
    second.iter().for_each(|(_, task)| *owed.entry(&task.key[1]).or_default() += 1);
    let unlucky = owed.into_iter().filter(|(unit, _)| *unit != MERGED).max_by_key(|(_, reports)| *reports);
    let unlucky = unlucky.context("a unit with reports")?.0.to_owned();
    println!(
        "{units} units; {} reports to hand in, {} later; {MERGED} goes with {}",
        first.len(),
        second.len(),
        plan.merged
    );

    let mut month = Month {
        client: rig.cluster.client()?,
        signers,
        revoked: None,
        accepted: Mutex::default(),
        done: AtomicUsize::new(0),
        gone: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
        outdated: AtomicUsize::new(0),
    };
    let half = first.len() / 2;
    let (handed_in, killed) = futures::join!(month.hand_in_all(first), kill_leader(&mut rig, &month, half));
    handed_in?;
    println!("the leader, node {}, was killed in the midst of it", killed?);
    rig.cluster.wait_ready().await?;

    let old = rig.cluster.signer(&unlucky.parse()?)?;
    month.signers.insert(unlucky.clone(), revoke(&rig, &unlucky)?);
    month.revoked = Some((unlucky.clone(), old));
    month.hand_in_all(second).await?;
    let (gone, refused) = (month.gone.load(Ordering::Relaxed), month.refused.load(Ordering::Relaxed));
    ensure!(gone > 0 && refused > 0, "{gone} reports of {MERGED}, {refused} by a certificate that was taken back");
    let outdated = month.outdated.load(Ordering::Relaxed);
    println!(
        "refused: {refused} reports of {unlucky} by its old certificate, {gone} of {MERGED} after its end, {outdated} that speak of it"
    );

    rig.cluster.wait_ready().await?;
    let http = Http::of(&rig, leader)?;
    let sum = statistics(&rig, &month, &plan, &http).await?;
    println!("statistics agree: {sum:?}");
    let some = [sum.on_time, sum.late, sum.missing, sum.open, sum.corrected, sum.unscheduled];
    ensure!(some.iter().all(|count| *count > 0), "a month has some of each: {sum:?}");
    let records = the_same_everywhere(&month, &http).await?;
    println!("{records} records: lists, watch and HTTP agree with what was acknowledged");
    rig.cluster.wait_equal().await?;
    let attached = attachments(&rig, &month).await?;
    ensure!(attached > 0, "no regime takes attachments");
    println!("{attached} attachments come back from all nodes as they went in");
    rig.finish().await
}
