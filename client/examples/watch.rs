//! Follows the log, and goes on after a restart where it was: each record at least once, in order.
//!
//! `cargo run -p kho-client --example watch -- kho1:7101,kho2:7101,kho3:7101 ./files`

mod place;

use kho_client::{Filter, WatchFrom};
use kho_proto::id::Seq;
pub use place::{Error, Place};

/// Where the position is kept.
const POSITION: &str = "watch.position";

/// The next so many records of unit BYT; how many came.
pub async fn run(place: &Place, count: usize) -> Result<usize, Error> {
    let client = place.client()?;
    let from = match std::fs::read_to_string(place.file(POSITION)) {
        Ok(text) => Seq(text.trim().parse()?),
        // the first record is 1
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Seq(1),
        Err(error) => return Err(error.into()),
    };
    let filter = Filter { unit: Some("BYT".parse()?), ..Filter::default() };
    // lost nodes, silent ones and hours without any are its own business once it has begun: it waits, and goes on without a
    // gap. `.patience(Some(time))` is for who would rather be told. A beginning without any node is an error after 3 s: whoever
    // starts this starts it again.
    let mut watching = client.watch(&filter, WatchFrom::Sequence(from)).await?;
    let mut came = 0;
    while came < count {
        let entry = watching.record().await?;
        println!("{} {}", entry.sequence, entry.record_id);
        came += 1;
        // kept once it is handled: after a crash at most this one comes again
        if let Some(position) = watching.position() {
            let new = place.file("watch.position.new");
            std::fs::write(&new, position.0.to_string())?;
            std::fs::rename(&new, place.file(POSITION))?;
        }
    }
    Ok(came)
}

#[tokio::main]
#[allow(dead_code)] // a test runs `run`
async fn main() -> Result<(), Error> {
    run(&Place::from_args()?, usize::MAX).await.map(drop)
}
