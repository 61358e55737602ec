//! Submits many reports at once, and those without an answer again, until each has one.
//!
//! `cargo run -p kho-client --example batch -- kho1:7101,kho2:7101,kho3:7101 ./files`

mod place;

use std::time::Duration;

use kho_client::{Draft, Signed};
pub use place::{Error, Place};

/// Rounds over what has no answer; each message of 256 records has the deadline of a call.
const ROUNDS_MAX: u32 = 20;

/// So many reports of unit BYT, one a series. How many were accepted.
pub async fn run(place: &Place, count: usize) -> Result<usize, Error> {
    let (client, signer) = (place.client()?, place.signer()?);
    let mut left: Vec<Signed> = Vec::new();
    for n in 0..count {
        let draft = Draft {
            record_id: None,
            unit: "BYT".parse()?,
            regime: "YT-01".parse()?,
            period: "2020-06".parse()?,
            series: format!("district-{n}"),
            supersedes: None,
            receivers: Vec::new(),
            media_type: "text/plain".to_owned(),
            payload: format!("no new cases in district {n}").into(),
        };
        left.push(draft.sign(&signer, client.surroundings()).await?);
    }
    let mut accepted = 0;
    for _ in 0..ROUNDS_MAX {
        let answers = client.submit_many(&left).await;
        let (mut open, mut pause) = (Vec::new(), Duration::ZERO);
        for (record, answer) in left.into_iter().zip(answers) {
            match answer {
                Ok(done) => {
                    accepted += 1;
                    tracing::debug!(record = %done.record_id, sequence = done.receipt.sequence.0, "accepted");
                }
                // it may be in, or somebody else can take it in a moment: the same bytes again
                Err(error) if error.retry() => {
                    pause = pause.max(error.retry_after().unwrap_or_default());
                    open.push(record);
                }
                Err(error) => eprintln!("{}: {}: {error}", record.record_id(), error.code().as_str()),
            }
        }
        left = open;
        if left.is_empty() {
            break;
        }
        // as long as the nodes ask to be left alone: over a quota their answer comes at once
        tokio::time::sleep(pause).await;
    }
    println!("{accepted} of {count} accepted, {} without an answer", left.len());
    println!("{} signatures of checkpoints were verified for {accepted} receipts", client.checkpoints_verified());
    Ok(accepted)
}

#[tokio::main]
#[allow(dead_code)] // a test runs `run`
async fn main() -> Result<(), Error> {
    run(&Place::from_args()?, 1000).await.map(drop)
}
