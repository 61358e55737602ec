//! Signs a report, submits it until there is an answer, keeps what proves it, and reads it back.
//!
//! `cargo run -p kho-client --example submit -- kho1:7101,kho2:7101,kho3:7101 ./files`

mod place;

use std::time::Duration;

use kho_client::Draft;
use kho_proto::id::RecordId;
use kho_proto::record::to_file;
pub use place::{Error, Place};

/// Calls, each of 3 s, before a person has to look.
const CALLS_MAX: u32 = 20;
/// Between two of them, where no node says how long.
const PAUSE: Duration = Duration::from_secs(1);

/// One report of unit BYT.
pub async fn run(place: &Place, period: &str) -> Result<RecordId, Error> {
    let client = place.client()?;
    let draft = Draft {
        record_id: None,
        unit: "BYT".parse()?,
        regime: "YT-01".parse()?,
        period: period.parse()?,
        series: String::new(),
        supersedes: None,
        receivers: vec!["VPCP".parse()?],
        media_type: "application/json".to_owned(),
        payload: r#"{"new_cases": 0}"#.into(),
    };
    // signed once: whatever happens afterwards, these bytes are sent
    let record = draft.sign(&place.signer()?, client.surroundings()).await?;
    let id = record.record_id();
    // written down before it is sent: after a crash the same record is submitted again, and never a second one
    std::fs::write(place.file(&format!("{id}.record")), to_file(record.record()))?;

    let mut calls = 0;
    let done = loop {
        calls += 1;
        match client.submit(&record).await {
            Ok(done) => break done,
            // it may be in, or nobody could take it now: the same bytes again, as soon as the nodes want them
            Err(error) if error.retry() && calls < CALLS_MAX => {
                eprintln!("{error}: once more");
                tokio::time::sleep(error.retry_after().unwrap_or(PAUSE)).await;
            }
            // the code says what to do: docs/errors/README.md
            Err(error) => return Err(format!("{}: {error}", error.code().as_str()).into()),
        }
    };
    // whoever has this file can check it offline: kho verify --key log.vkey ID.tlog-proof ID.record
    std::fs::write(place.file(&format!("{id}.tlog-proof")), done.receipt.to_tlog_proof())?;
    println!("{id} stands at {}, accepted by node {}", done.receipt.sequence, done.node);

    let fetched = client.get(id).await?;
    println!("read back: {} bytes, as they were signed", fetched.record.payload.len());
    Ok(id)
}

#[tokio::main]
#[allow(dead_code)] // a test runs `run`
async fn main() -> Result<(), Error> {
    run(&Place::from_args()?, "2020-06-12").await.map(drop)
}
