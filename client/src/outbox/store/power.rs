//! Power cuts on a disk that keeps to its word and to nothing more: what was synced stays; of what was written since, any
//! part may have arrived, each sector for itself. After every cut the store opens, and holds exactly what was committed, or
//! that and the commit under way.

use std::collections::BTreeMap;
use std::io;

use parking_lot::Mutex;

use super::super::step::Unwatched;
use super::*;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
/// Cuts, each in a life of its own. Seconds.
const CUTS: u64 = 600;
/// Commits that a life is good for.
const COMMITS: u64 = 12;

struct Random(u64);

impl Random {
    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }
}

#[derive(Debug)]
enum Unsynced {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Default)]
struct Platter {
    synced: Vec<u8>,
    now: Vec<u8>,
    unsynced: Vec<Unsynced>,
    operations: u64,
    /// The power goes before this operation.
    cut: Option<u64>,
    /// Syncs do nothing.
    lies: bool,
}

/// Clones are the same disk.
#[derive(Debug, Clone, Default)]
struct SimulatedDisk(Arc<Mutex<Platter>>);

impl SimulatedDisk {
    fn holding(image: Vec<u8>) -> Self {
        let platter = Platter { synced: image.clone(), now: image, ..Platter::default() };
        Self(Arc::new(Mutex::new(platter)))
    }

    fn operate(&self) -> io::Result<parking_lot::MutexGuard<'_, Platter>> {
        let mut platter = self.0.lock();
        if platter.cut.is_some_and(|cut| platter.operations >= cut) {
            return Err(io::Error::other("the power is off"));
        }
        platter.operations += 1;
        Ok(platter)
    }

    /// What is on the disk when the power is back. A journalling file system keeps the order of lengths, not of contents.
    fn after_the_cut(&self, random: &mut Random) -> Vec<u8> {
        let platter = self.0.lock();
        let mut image = platter.synced.clone();
        let lengths = platter.unsynced.iter().filter(|one| matches!(one, Unsynced::Length(_))).count() as u64;
        let mut arrived = random.below(lengths + 1);
        for one in &platter.unsynced {
            match one {
                Unsynced::Length(length) if arrived > 0 => {
                    arrived -= 1;
                    image.resize(*length, 0);
                }
                Unsynced::Length(_) => {}
                Unsynced::Write(offset, data) => {
                    let all = random.below(3);
                    for (n, sector) in data.chunks(SECTOR).enumerate() {
                        let at = offset + n * SECTOR;
                        let here = all == 0 || all == 1 && random.below(2) == 0;
                        if here && at + sector.len() <= image.len() {
                            image[at..at + sector.len()].copy_from_slice(sector);
                        }
                    }
                }
            }
        }
        image
    }
}

impl StorageBackend for SimulatedDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.0.lock();
        let from = offset as usize;
        let bytes = platter.now.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut platter = self.operate()?;
        platter.now.resize(length as usize, 0);
        platter.unsynced.push(Unsynced::Length(length as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.operate()?;
        if !platter.lies {
            platter.synced = platter.now.clone();
            platter.unsynced.clear();
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.operate()?;
        let from = offset as usize;
        platter.now[from..from + data.len()].copy_from_slice(data);
        platter.unsynced.push(Unsynced::Write(from, data.to_vec()));
        Ok(())
    }
}

/// Which records are where, and how long their bytes are.
type Contents = BTreeMap<Number, (&'static str, u64)>;

fn contents(store: &Store, loaded: &Loaded) -> Contents {
    let length = |number: &Number| store.record(*number).expect("readable").map_or(0, |bytes| bytes.len() as u64);
    let queue = loaded.queue.iter().map(|(number, _)| (*number, ("queued", length(number))));
    let refused = loaded.refused.iter().map(|(number, _)| (*number, ("refused", length(number))));
    let delivered = loaded.delivered.iter().map(|(number, _)| (*number, ("delivered", length(number))));
    queue.chain(refused).chain(delivered).collect()
}

/// Some changes, and what is there with them.
fn draw(random: &mut Random, next: &mut Number, before: &Contents) -> (Vec<Change>, Contents) {
    let (mut changes, mut after) = (Vec::new(), before.clone());
    for _ in 0..=random.below(4) {
        let known: Vec<Number> = after.keys().copied().collect();
        let length = |after: &Contents, number: &Number| after.get(number).map_or(0, |(_, length)| *length);
        let row = || Waiting { version: row::VERSION, record_id: vec![1; 16].into(), ..Waiting::default() };
        if known.is_empty() || random.below(2) == 0 {
            let length = 1 + random.below(20_000);
            let bytes = Bytes::from(vec![(*next % 251) as u8; length as usize]);
            changes.push(Change::Add(*next, row(), bytes));
            after.insert(*next, ("queued", length));
            *next += 1;
            continue;
        }
        let number = known[random.below(known.len() as u64) as usize];
        let length = length(&after, &number);
        match (random.below(3), after.get(&number).map(|(place, _)| *place)) {
            (0, Some("queued")) => {
                changes.push(Change::Refuse(number, row()));
                after.insert(number, ("refused", length));
            }
            (1, Some("queued")) => {
                let receipt = "r".repeat(900);
                let row =
                    Delivered { version: row::VERSION, record_id: vec![1; 16].into(), receipt, ..Delivered::default() };
                changes.push(Change::Deliver(number, row));
                after.insert(number, ("delivered", length));
            }
            (2, Some("delivered")) => {
                changes.push(Change::Forget(number));
                after.remove(&number);
            }
            _ => {}
        }
    }
    (changes, after)
}

/// A life that ends in a power cut. What broke, if anything did.
fn live_and_lose_power(seed: u64, lies: bool) -> Result<(), String> {
    let random = &mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let steps: Arc<dyn Steps> = Arc::new(Unwatched);
    let first = SimulatedDisk::default();
    make(first.clone()).map_err(|error| error.to_string())?;
    let mut image = first.0.lock().now.clone();
    let (mut committed, mut next) = (Contents::new(), 1);
    // the second cut strikes what the first has left, perhaps while that is being mended
    for life in 0..2 {
        let disk = SimulatedDisk::holding(image);
        {
            let mut platter = disk.0.lock();
            platter.lies = lies;
            platter.cut = Some(random.below(if life == 0 { 120 } else { 40 }));
        }
        let mut under_way = None;
        if let Ok((store, loaded)) = Store::on(disk.clone(), Path::new("simulated"), &steps) {
            if contents(&store, &loaded) != committed {
                return Err(format!("before the cut: expected {committed:?}"));
            }
            for _ in 0..COMMITS {
                let (changes, after) = draw(random, &mut next, &committed);
                if store.commit(&changes, Step::Settling).is_err() {
                    under_way = Some(after);
                    break;
                }
                committed = after;
            }
        }
        image = disk.after_the_cut(random);
        let again = Store::on(SimulatedDisk::holding(image.clone()), Path::new("simulated"), &steps);
        let (store, loaded) = again.map_err(|error| format!("it does not open again: {error}"))?;
        let found = contents(&store, &loaded);
        if found != committed && Some(&found) != under_way.as_ref() {
            return Err(format!("expected {committed:?} or {under_way:?}, found {found:?}"));
        }
        committed = found;
    }
    Ok(())
}

#[test]
fn a_power_cut_at_any_operation_takes_nothing_that_was_committed() {
    for seed in 0..CUTS / 2 {
        live_and_lose_power(seed, false).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
}

/// The test can fail: a disk whose syncs do nothing.
#[test]
fn a_disk_that_lies_is_caught() {
    let caught = (0..40).filter(|seed| live_and_lose_power(*seed, true).is_err()).count();
    assert!(caught > 20, "caught in {caught} of 40 lives");
}
