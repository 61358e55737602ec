//! Uploads and downloads that are cut off go on where they stopped, and what arrives is held against its digest.
#![allow(clippy::unwrap_used)] // this is a test

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fake::{Act, Fake, client, signed, signed_with};
use kho_client::{AttachmentError, Content, Part, describe};
use kho_proto::error::Code;
use kho_proto::header::Attachment;
use kho_proto::id::RecordId;
use kho_proto::object::CHUNK_LENGTH;

const CHUNK: u64 = CHUNK_LENGTH as u64;

fn content(length: usize) -> Bytes {
    (0..length).map(|n| (n % 251) as u8).collect::<Vec<_>>().into()
}

fn described(content: &Bytes) -> Attachment {
    describe("a", "text/plain", content).unwrap()
}

async fn upload(fakes: &[&Fake], attachment: &Attachment, content: impl Content) -> Result<u64, AttachmentError> {
    let sent = AtomicU64::new(0);
    let unit = "BYT".parse().unwrap();
    let progress = |at| sent.store(at, Ordering::Relaxed);
    client(fakes).upload(&unit, attachment, Arc::new(content), progress).await?;
    Ok(sent.load(Ordering::Relaxed))
}

#[tokio::test]
async fn an_upload_goes_on_behind_what_is_stored() {
    let fake = Fake::node(1, 1, &[Act::Accept]).await;
    let file = content(5 * CHUNK_LENGTH + 9);
    fake.attachments.0.lock().unwrap().cuts = [CHUNK_LENGTH * 2, CHUNK_LENGTH].into();
    assert_eq!(upload(&[&fake], &described(&file), file.clone()).await.unwrap(), file.len() as u64);
    fake.attachments.with(|state| {
        assert!(state.content == file);
        assert_eq!(state.offsets, [0, 2 * CHUNK, 3 * CHUNK]);
    });
    // what is there is not sent again
    upload(&[&fake], &described(&file), file.clone()).await.unwrap();
    assert_eq!(fake.attachments.0.lock().unwrap().offsets.len(), 3);
}

#[tokio::test]
async fn an_upload_goes_to_a_node_that_is_there() {
    let (absent, fake) = (Fake::absent().await, Fake::node(1, 1, &[Act::Accept]).await);
    let file = content(100);
    upload(&[&absent, &fake], &described(&file), file.clone()).await.unwrap();
    assert!(fake.attachments.0.lock().unwrap().content == file);
}

/// A content that is no longer what was measured.
struct Changed(Bytes);

impl Content for Changed {
    fn length(&self) -> std::io::Result<u64> {
        self.0.length()
    }
    fn read_at(&self, offset: u64, piece: &mut [u8]) -> std::io::Result<()> {
        self.0.read_at(offset, piece)?;
        piece[0] ^= 1;
        Ok(())
    }
}

#[tokio::test]
async fn a_file_that_changed_is_refused_and_one_that_shrank_says_so() {
    let fake = Fake::node(1, 1, &[Act::Accept]).await;
    let file = content(1000);
    let error = upload(&[&fake], &described(&file), Changed(file.clone())).await.unwrap_err();
    assert_eq!(error.code(), Code::AttachmentDigestMismatch);
    fake.attachments.0.lock().unwrap().content.clear();
    let error = upload(&[&fake], &described(&file), file.slice(..500)).await.unwrap_err();
    assert!(matches!(error, AttachmentError::Content { .. }), "{error}");
}

async fn download(fake: &Fake, attachment: &Attachment, part: Part) -> Result<Vec<u8>, AttachmentError> {
    let client = client(&[fake]);
    let mut download = client.download(RecordId([7; 16]), 0, attachment, part);
    let mut found = Vec::new();
    while let Some(piece) = download.next().await? {
        found.extend_from_slice(&piece);
    }
    Ok(found)
}

#[tokio::test]
async fn a_download_goes_on_behind_what_it_has() {
    let fake = Fake::node(1, 1, &[Act::Accept]).await;
    let file = content(200_000);
    fake.attachments.with(|state| (state.content, state.cuts) = (file.to_vec(), [30_000, 0, 50_000].into()));
    assert!(download(&fake, &described(&file), Part::default()).await.unwrap() == file);
    assert_eq!(fake.attachments.0.lock().unwrap().offsets, [0, 30_000, 30_000, 80_000]);
    let mut part = Part::default();
    part.update(&file[..150_000]);
    assert!(download(&fake, &described(&file), part).await.unwrap() == file[150_000..]);
}

/// A node of a cluster that node 1 leads, with a content, whose disk can't be read from some byte on.
async fn holder(id: u64, content: &Bytes, damaged_at: Option<usize>) -> Fake {
    let fake = Fake::node(id, 1, &[Act::Duplicate]).await;
    fake.attachments.with(|state| (state.content, state.damaged_at) = (content.to_vec(), damaged_at));
    fake
}

fn offsets(fake: &Fake) -> Vec<u64> {
    fake.attachments.with(|state| state.offsets.clone())
}

/// The leader opens the stream, and can't read a chunk; others have good copies.
#[tokio::test]
async fn a_download_leaves_a_node_that_can_not_serve_it_though_it_leads_and_is_well() {
    let file = content(200_000);
    let (leader, second) = (holder(1, &file, Some(50_000)).await, holder(2, &file, Some(50_000)).await);
    let well = holder(3, &file, None).await;
    let client = client(&[&leader, &second, &well]);
    client.submit(&signed().await).await.unwrap();
    let attachment = described(&file);
    let mut download = client.download(RecordId([7; 16]), 0, &attachment, Part::default());
    let all = async {
        let mut found = Vec::new();
        while let Some(piece) = download.next().await.unwrap() {
            found.extend_from_slice(&piece);
        }
        found
    };
    let found = tokio::select! {
        found = tokio::time::timeout(Duration::from_secs(10), all) => found.expect("good copies elsewhere"),
        // whatever else is asked of the leader, it answers: for everybody else it is well
        () = async { loop { client.submit(&signed().await).await.unwrap(); } } => unreachable!(),
    };
    assert!(found == file);
    assert_eq!((offsets(&leader), offsets(&well)), (vec![0], vec![50_000]));
    assert!(offsets(&second).len() <= 1, "once a round");
}

/// Words that are no content don't keep a stream alive.
#[tokio::test]
async fn a_download_leaves_a_node_that_says_much_and_serves_nothing() {
    let file = content(30_000);
    let (babbler, well) = (holder(1, &file, None).await, holder(2, &file, None).await);
    babbler.attachments.with(|state| state.babbles = true);
    let client = client(&[&babbler, &well]);
    let attachment = described(&file);
    let download = client.download(RecordId([7; 16]), 0, &attachment, Part::default());
    let mut download = download.stalls_after(Duration::from_millis(300));
    let all = async {
        let mut found = Vec::new();
        loop {
            // a caller who looks now and then sets nothing back
            match tokio::time::timeout(Duration::from_millis(70), download.next()).await {
                Ok(Ok(Some(piece))) => found.extend_from_slice(&piece),
                Ok(end) => break end.map(|_| found),
                Err(_) => {}
            }
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), all).await.expect("another node").unwrap() == file);
    assert_eq!((offsets(&babbler), offsets(&well)), (vec![0], vec![0]));
}

#[tokio::test]
async fn what_is_not_what_the_header_says_is_an_error() {
    let fake = Fake::node(1, 1, &[Act::Accept]).await;
    let file = content(70_000);
    fake.attachments.with(|state| (state.content, state.forged) = (file.to_vec(), true));
    let error = download(&fake, &described(&file), Part::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::AttachmentDigestMismatch);
    // longer than the header says
    let error = download(&fake, &described(&file.slice(..69_000)), Part::default()).await.unwrap_err();
    assert!(matches!(error, AttachmentError::Differs { what: "length", .. }), "{error}");
    // a part that was another file's
    fake.attachments.0.lock().unwrap().forged = false;
    let mut part = Part::default();
    part.update(&[1; 100]);
    let error = download(&fake, &described(&file), part).await.unwrap_err();
    assert!(matches!(error, AttachmentError::Differs { what: "digest", .. }), "{error}");
}

#[test]
fn a_file_is_measured_piece_by_piece() {
    let dir = tempfile::tempdir().unwrap();
    let (path, content) = (dir.path().join("f"), content(3 * CHUNK_LENGTH + 1));
    std::fs::write(&path, &content).unwrap();
    let file = kho_client::FileContent::open(&path).unwrap();
    assert_eq!(describe("a", "text/plain", &file).unwrap(), described(&content));
    assert!(kho_client::FileContent::open(dir.path()).unwrap().length().is_err(), "a directory");
}

/// A header's names are compared as bytes, and macOS writes them with the accents apart.
#[tokio::test]
async fn names_and_series_are_written_in_nfc() {
    let apart = "ba\u{309}n \u{111}o\u{300}";
    let attachment = describe(apart, "text/plain", &content(9)).unwrap();
    assert_eq!(attachment.name, "b\u{1ea3}n \u{111}\u{f2}");
    let attachment = Attachment { name: apart.to_owned(), ..attachment };
    let signed = signed_with(1, apart, vec![attachment]).await;
    let header = kho_proto::header::Header::decode(&signed.record().header).unwrap();
    assert_eq!(
        (header.series.as_str(), header.attachments[0].name.as_str()),
        ("b\u{1ea3}n \u{111}\u{f2}", "b\u{1ea3}n \u{111}\u{f2}")
    );
}
