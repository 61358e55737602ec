//! `kho outbox add`

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use kho::client_file::ClientFile;
use kho_client::{Draft, Outbox, PemSigner, Place, Signed, System};
use kho_proto::header::Header;
use kho_proto::id::RecordId;
use kho_proto::report::Report;

use super::taken::Taken;
use super::{At, look};
use crate::commands::submit::{Document, Key, Read, Source, source};
use crate::exit::{Exit, Failure, Result};
use crate::lang;

/// Signs reports and takes them into the outbox; when it ends, they are on the disk.
#[derive(clap::Args)]
#[command(after_help = "\
All reports are taken, or none. Files are as for kho submit: report documents, NDJSON with one report a line, directories of
these, - for NDJSON from standard input (kho submit --help says what a report is). They are signed with the signer of the client
file; no node is asked. Signed records (ID.record) are taken as they are. Corrections are given after what they correct. A report
with attachments is submitted by kho submit --attach, which uploads them.

The same report added again, in a folder that is added every hour, or after a command that was killed, is the same record: its id
is told again, and nothing is signed, nor counted. DIR/add.state has the id of each report by what it says (its file may have moved;
the same twice in one command is two). It stays known when it was delivered, and the outbox keeps it no longer. A refused one that
kho outbox export --refused --forget took out is taken anew, unless it may be in: then it stays known, and its ID.record, the same
bytes, is what may be added. An edited report is another one: of a series that has one it needs supersedes; under the same id of its
own it is refused (record-id-conflict).

Examples:
  kho outbox add --dir /var/lib/reports/outbox --config client.toml june/*.json
  kho outbox add --dir /var/lib/reports/outbox --config client.toml june.ndjson july/          (killed? the same once more)
  make-reports | kho outbox add --dir /var/lib/reports/outbox --config client.toml -
  kho outbox add --dir /var/lib/reports/outbox records/0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e.record")]
pub struct Args {
    /// Report documents (JSON), NDJSON, directories of these, - for NDJSON from standard input, or signed records (ID.record).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    at: At,
    /// The client file: its signer.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
}

pub async fn run(args: Args) -> Result {
    let mut adding = Adding::begin(&args).await?;
    for file in source::files(&args.files)? {
        let mut source = Source::open(&file).map_err(|error| Failure::from(error).at(&file.display().to_string()))?;
        while let Some(document) = source.next() {
            adding.give(document).await?;
        }
    }
    adding.end().await
}

/// What was given so far.
struct Adding<'a> {
    args: &'a Args,
    taken: Taken,
    /// Read when first needed: what is signed already needs none.
    signer: Option<PemSigner>,
    /// All of it, in its order.
    ids: Vec<RecordId>,
    /// What the outbox is to take, and where each came from.
    records: Vec<(Signed, String)>,
    /// Those of them that are signed here, and what their reports are known by.
    made: HashMap<RecordId, Key>,
    bytes: u64,
}

impl<'a> Adding<'a> {
    async fn begin(args: &'a Args) -> Result<Self> {
        let taken = Taken::open(&args.at.dir).await?;
        let (ids, records, made) = (Vec::new(), Vec::new(), HashMap::new());
        Ok(Self { args, taken, signer: None, ids, records, made, bytes: 0 })
    }

    /// One more; what was taken before is not signed again.
    async fn give(&mut self, Document { place, base, bytes, is_record, .. }: Document) -> Result {
        let read = bytes.and_then(|bytes| Read::of(bytes, &base, is_record)).map_err(|failure| failure.at(&place))?;
        let signed = match read {
            Read::Record(record) => Signed::from_record(record).map_err(Failure::from),
            Read::Report(report) => {
                let (key, id) = self.taken.know(&report);
                if self.taken.has(key) || self.made.get(&id) == Some(&key) {
                    self.ids.push(id);
                    return Ok(());
                }
                self.made.insert(id, key);
                let draft = Draft::from(Report { id: Some(id), ..report });
                draft.sign(self.signer()?, &System).await.map_err(Failure::from)
            }
        };
        let signed = signed.map_err(|failure| failure.at(&place))?;
        self.bytes += (signed.record().payload.len() + signed.record().header.len()) as u64;
        self.ids.push(signed.record_id());
        self.records.push((signed, place));
        // what can't be taken in the end is not read on and on into memory
        Ok(self.args.at.check_room(self.records.len() as u64, self.bytes)?)
    }

    fn signer(&mut self) -> Result<&PemSigner> {
        match &mut self.signer {
            Some(signer) => Ok(signer),
            none => Ok(none.insert(ClientFile::load(&self.args.config)?.signer()?)),
        }
    }

    /// Takes all that is new into the outbox, and tells the ids.
    async fn end(mut self) -> Result {
        if self.ids.is_empty() {
            return Err(Failure::new(Exit::Refused, lang::NOTHING_TO_ADD.get()));
        }
        let outbox = self.args.at.open()?;
        let mut places: HashMap<RecordId, Place> =
            outbox.list(None).into_iter().map(|listed| (listed.record_id, listed.place)).collect();
        // what an add before this one was ended too soon to write down
        for (id, keys) in self.taken.begun() {
            if places.contains_key(&id)
                && !self.made.contains_key(&id)
                && let Some(stored) = outbox.read(id).await?
            {
                self.taken.took(&keys, stored.signed()?.record())?;
            }
        }
        let mut records = Vec::new();
        for (signed, place) in self.records {
            // an earlier add was ended before it wrote down that this one was taken
            let made = self.made.contains_key(&signed.record_id());
            if !(made && is_there(&outbox, &signed).await?) {
                records.push((signed, place));
            }
        }
        self.taken.sync()?;
        outbox.add_all_from(&records).await?;
        let taken = self.taken.take(self.made.into_values());
        let new: HashSet<_> = records.iter().map(|(signed, _)| signed.record_id()).collect();
        let lang = lang::current();
        for id in self.ids {
            outln!("{id}")?;
            match places.get(&id) {
                Some(place) => {
                    let place = look::place(*place).get();
                    eprintln!("{}", lang::THERE_ALREADY.with(lang, &[("id", &id), ("state", &place)]));
                }
                None if new.contains(&id) => {
                    // given twice, told the second time
                    places.insert(id, Place::Queued);
                }
                None => eprintln!("{}", lang::ADDED_BEFORE.with(lang, &[("id", &id)])),
            }
        }
        taken
    }
}

/// Whether the outbox has this report under its id: signed twice, records differ in their time and salt.
async fn is_there(outbox: &Outbox, signed: &Signed) -> Result<bool> {
    let Some(stored) = outbox.read(signed.record_id()).await? else { return Ok(false) };
    let (ours, stored) = (signed.record(), stored.signed()?);
    let theirs = stored.record();
    let (said, header) = (Header::decode(&ours.header)?, Header::decode(&theirs.header)?);
    let Header { submitted_at, salt, payload_digest, .. } = header;
    Ok(Header { submitted_at, salt, payload_digest, ..said } == header && ours.payload == theirs.payload)
}
