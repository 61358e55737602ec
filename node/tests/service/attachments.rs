//! Attachments: uploaded in pieces through any node, named by records, read by whoever may; and what is refused.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kho_node::serve::Node;
use kho_proto::digest::Digest;
use kho_proto::error::Code;
use kho_proto::leaf::{Leaf, attachments_digest};
use kho_proto::object::{CHUNK_LENGTH, SealedDigest};
use kho_proto::pb::v1 as pb;
use kho_proto::pb::v1::get_attachment_request::Attachment as Which;
use kho_proto::pb::v1::get_attachment_response::Part as Got;
use kho_proto::pb::v1::put_attachment_request::Part;
use kho_proto::pb::v1::store_client::StoreClient;
use prost::Message;
use tonic::Status;
use tonic::transport::Channel;

use crate::sender::Sender;
use crate::thin_line::{code, id_of, submit};
use crate::world::{World, tree};

type Client = StoreClient<Channel>;

/// Bytes that repeat nowhere near.
fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

fn said(unit: &str, content: &[u8]) -> pb::BeginAttachmentRequest {
    let digest = Bytes::copy_from_slice(Digest::of(content).as_ref());
    pb::BeginAttachmentRequest { unit: unit.to_owned(), digest, length: content.len() as u64 }
}

async fn begin(client: &Client, said: pb::BeginAttachmentRequest) -> Result<(u64, bool), Status> {
    let begun = client.clone().begin_attachment(said).await?.into_inner();
    Ok((begun.stored, begun.complete))
}

/// Sends `data` as what was said, from `offset` on.
async fn put(client: &Client, said: pb::BeginAttachmentRequest, offset: u64, data: &[u8]) -> Result<u64, Status> {
    let first = Part::Begin(pb::PutAttachmentBegin { content: Some(said), offset });
    // pieces of another length than chunks
    let pieces = data.chunks(100_000).map(|piece| Part::Data(Bytes::copy_from_slice(piece)));
    let parts: Vec<_> = std::iter::once(first).chain(pieces).collect();
    let parts = parts.into_iter().map(|part| pb::PutAttachmentRequest { part: Some(part) });
    let response = client.clone().put_attachment(futures::stream::iter(parts)).await?;
    Ok(response.into_inner().length)
}

async fn upload(client: &Client, unit: &str, content: &[u8]) {
    assert_eq!(put(client, said(unit, content), 0, content).await.unwrap(), content.len() as u64);
}

/// A report that names attachments.
fn report(sender: &Sender, attachments: &[(&str, &[u8])]) -> pb::SignedRecord {
    let mut header = pb::Header::decode(sender.report().header).unwrap();
    header.attachments = attachments
        .iter()
        .map(|(name, content)| pb::Attachment {
            name: (*name).to_owned(),
            media_type: "application/octet-stream".to_owned(),
            length: content.len() as u64,
            digest: Bytes::copy_from_slice(Digest::of(content).as_ref()),
        })
        .collect();
    sender.sign_raw(header.encode_to_vec(), "{\"ghi_chú\":\"không có ca mắc mới\"}".as_bytes())
}

async fn download(
    client: &Client,
    record: &pb::SignedRecord,
    which: Which,
    offset: u64,
) -> Result<(pb::AttachmentInfo, Vec<u8>), Status> {
    let request =
        pb::GetAttachmentRequest { record_id: id_of(record).0.to_vec().into(), attachment: Some(which), offset };
    let mut parts = client.clone().get_attachment(request).await?.into_inner();
    let Some(Got::Info(info)) = parts.message().await?.and_then(|part| part.part) else { panic!("first what it is") };
    let mut content = Vec::new();
    while let Some(part) = parts.message().await? {
        let Some(Got::Data(piece)) = part.part else { panic!("then data") };
        assert!(piece.len() <= CHUNK_LENGTH);
        content.extend_from_slice(&piece);
    }
    Ok((info, content))
}

async fn formed(more: &str) -> (World, Node) {
    let world = World::new(1);
    let node = world.try_start(world.parse(&format!("{}{more}", world.toml(1)))).await.unwrap();
    world.form(1).await;
    (world, node)
}

/// Rows of attachments on a node.
fn objects(node: &Node) -> usize {
    let (mut count, mut after) = (0, None);
    while let Some((id, _)) = kho_ledger::object_after(&node.state().view(), after.as_ref()).unwrap() {
        (count, after) = (count + 1, Some(id));
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_goes_in_through_any_node_and_comes_out_of_any() {
    let (world, nodes, _) = World::formed(3).await;
    let mut clients = Vec::new();
    for node in 1..=3 {
        clients.push(world.platform(node).await);
    }
    let sender = Sender::new(&world.signers, "BYT");
    let (scan, empty) = (content(1, 3 * CHUNK_LENGTH + 17), Vec::new());
    assert_eq!(begin(&clients[0], said("BYT", &scan)).await.unwrap(), (0, false));
    // cut off after a chunk and a half; what was stored is known everywhere
    let status = put(&clients[0], said("BYT", &scan), 0, &scan[..CHUNK_LENGTH * 3 / 2]).await.unwrap_err();
    assert_eq!(code(&status), Code::AttachmentTruncated);
    let stored = CHUNK_LENGTH as u64;
    assert_eq!(begin(&clients[1], said("BYT", &scan)).await.unwrap(), (stored, false));
    // another node goes on, and verifies what the first one stored
    put(&clients[1], said("BYT", &scan), stored, &scan[CHUNK_LENGTH..]).await.unwrap();
    assert_eq!(begin(&clients[2], said("BYT", &scan)).await.unwrap(), (scan.len() as u64, true));
    upload(&clients[0], "BYT", &empty).await;
    // a third takes the record in at once
    let record = report(&sender, &[("bản đồ.pdf", &scan), ("trống.txt", &empty), ("again.pdf", &scan)]);
    let receipt = submit(&clients[2], &record).await.unwrap().receipt.unwrap();
    for client in &clients {
        let (info, found) = download(client, &record, Which::Name("bản đồ.pdf".to_owned()), 0).await.unwrap();
        assert_eq!((info.index, info.length), (0, scan.len() as u64));
        assert_eq!(Digest::of(&found), Digest::of(&scan));
        assert!(download(client, &record, Which::Index(1), 0).await.unwrap().1.is_empty());
        for offset in [1, CHUNK_LENGTH, CHUNK_LENGTH + 5, scan.len() - 1, scan.len()] {
            let (_, rest) = download(client, &record, Which::Index(2), offset as u64).await.unwrap();
            assert!(rest == scan[offset..], "from {offset}");
        }
    }
    // every replica, keys or not, comes to the leaf's digest from its own bytes
    let leaf = Leaf::decode(&receipt.leaf).unwrap();
    for node in &nodes {
        let start = Instant::now();
        while tree(node).0 < 2 {
            assert!(start.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let view = node.state().view();
        let row = kho_ledger::record_row(&view, &id_of(&record)).unwrap().unwrap();
        let named = kho_ledger::attachments(&view, row.seq).unwrap();
        let digests: Vec<Digest> = named.0.iter().map(|(id, _)| sealed_digest(&view, id)).collect();
        assert_eq!(attachments_digest(&digests), leaf.attachments_digest);
        assert_eq!(objects(node), 2, "the same content twice is one object");
    }
}

fn sealed_digest(view: &kho_node::consensus::StateView, id: &kho_proto::id::ObjectId) -> Digest {
    let mut digest = SealedDigest::default();
    let mut index = 0;
    while let Some(chunk) = kho_ledger::chunk(view, id, index).unwrap() {
        digest.push(Digest::of(&chunk));
        index += 1;
    }
    digest.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_was_said_is_refused_and_leaves_the_way_free() {
    let (world, node) = formed("[attachments]\nlength_max_mib = 1\n").await;
    let client = world.platform(1).await;
    let good = content(2, CHUNK_LENGTH + 100);
    let refused = |status: Status, expect: Code| {
        assert_eq!(code(&status), expect, "{status:?}");
        let refusal = kho_proto::status::from_status(&status).unwrap();
        assert!(!refusal.expected.is_empty() && !refusal.found.is_empty(), "{refusal:?}");
    };
    let short = put(&client, said("BYT", &good), 0, &good[..CHUNK_LENGTH]).await.unwrap_err();
    refused(short, Code::AttachmentTruncated);
    let longer = [&good[..], b"more"].concat();
    refused(put(&client, said("BYT", &good), 0, &longer).await.unwrap_err(), Code::AttachmentTooLong);
    // nothing is stored at the end yet: an upload can't begin behind what is there
    let gap = said("BYT", &content(3, 3 * CHUNK_LENGTH));
    refused(put(&client, gap.clone(), 2 * CHUNK_LENGTH as u64, b"").await.unwrap_err(), Code::AttachmentOffsetInvalid);
    refused(put(&client, said("BYT", &good), 5, &good[5..]).await.unwrap_err(), Code::AttachmentOffsetInvalid);
    let large = pb::BeginAttachmentRequest { length: (1 << 20) + 1, ..said("BYT", &good) };
    refused(begin(&client, large).await.unwrap_err(), Code::AttachmentTooLarge);
    let digest = pb::BeginAttachmentRequest { digest: Bytes::from_static(b"short"), ..said("BYT", &good) };
    refused(begin(&client, digest).await.unwrap_err(), Code::RequestMalformed);
    // all of the right length, and one byte is another
    let other = content(4, CHUNK_LENGTH + 100);
    let mut wrong = other.clone();
    wrong[CHUNK_LENGTH + 3] ^= 1;
    refused(put(&client, said("BYT", &other), 0, &wrong).await.unwrap_err(), Code::AttachmentDigestMismatch);
    assert_eq!(begin(&client, said("BYT", &other)).await.unwrap(), (0, false), "dropped");
    upload(&client, "BYT", &other).await;
    upload(&client, "BYT", &good).await;
    assert_eq!(put(&client, said("BYT", &good), 0, b"").await.unwrap(), good.len() as u64, "there already");
    assert_eq!(tree(&node).0, 1, "no leaf");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_names_only_what_its_own_unit_has_uploaded() {
    let (world, node) = formed("").await;
    let client = world.platform(1).await;
    let (byt, bct) = (Sender::new(&world.signers, "BYT"), Sender::new(&world.signers, "BCT"));
    let file = content(5, 1000);
    let before = tree(&node);
    let status = submit(&client, &report(&byt, &[("a", &file)])).await.unwrap_err();
    assert_eq!(code(&status), Code::AttachmentMissing);
    assert!(status.message().contains("\"a\""), "{status:?}");
    upload(&client, "BYT", &file).await;
    assert_eq!(code(&submit(&client, &report(&bct, &[("a", &file)])).await.unwrap_err()), Code::AttachmentMissing);
    assert_eq!(tree(&node), before);
    submit(&client, &report(&byt, &[("a", &file)])).await.unwrap();
    // the other unit's is another object
    upload(&client, "BCT", &file).await;
    submit(&client, &report(&bct, &[("a", &file)])).await.unwrap();
    assert_eq!(objects(&node), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_neither_upload_nor_download() {
    let (world, _node) = formed("").await;
    let client = world.platform(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let file = content(6, 300_000);
    upload(&client, "BYT", &file).await;
    let mut header = pb::Header::decode(report(&sender, &[("a", &file)]).header).unwrap();
    header.receivers = vec!["BTC".to_owned()];
    let payload = "{\"ghi_chú\":\"không có ca mắc mới\"}".as_bytes();
    let record = sender.sign_raw(header.encode_to_vec(), payload);
    submit(&client, &record).await.unwrap();
    let of = |role: &'static str, unit: &'static str| [role, unit];
    let cases = [
        (of("urn:kho:role:reader", "urn:kho:unit:BTC"), None),
        (of("urn:kho:role:reader", "urn:kho:unit:BCA"), Some(Code::RecordUnknown)),
        (of("urn:kho:role:submitter", "urn:kho:units:all"), Some(Code::RoleNotPermitted)),
        (of("urn:kho:role:operator", "urn:kho:units:all"), Some(Code::RoleNotPermitted)),
        (of("urn:kho:role:auditor", "urn:kho:units:all"), Some(Code::RoleNotPermitted)),
    ];
    for (uris, expect) in cases {
        let caller = world.store(1, &uris).await;
        let found = download(&caller, &record, Which::Index(0), 0).await;
        assert_eq!(found.as_ref().err().map(code), expect, "{uris:?}");
        assert!(found.is_err() || found.unwrap().1 == file);
    }
    let anonymous = world.store_of(1, None).await;
    let status = download(&anonymous, &record, Which::Index(0), 0).await.unwrap_err();
    assert_eq!(code(&status), Code::ClientCertificateMissing);
    for which in [Which::Index(1), Which::Name("b".to_owned())] {
        assert_eq!(code(&download(&client, &record, which, 0).await.unwrap_err()), Code::AttachmentUnknown);
    }
    let status = download(&client, &record, Which::Index(0), file.len() as u64 + 1).await.unwrap_err();
    assert_eq!(code(&status), Code::AttachmentOffsetInvalid);
    let other_unit = world.store(1, &of("urn:kho:role:submitter", "urn:kho:unit:BCA")).await;
    assert_eq!(code(&begin(&other_unit, said("BYT", &file)).await.unwrap_err()), Code::UnitNotPermitted);
    let reader = world.store(1, &of("urn:kho:role:reader", "urn:kho:units:all")).await;
    assert_eq!(code(&put(&reader, said("BYT", &file), 0, &file).await.unwrap_err()), Code::RoleNotPermitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_record_names_is_collected_and_what_one_names_stays() {
    let (world, node) = formed("[attachments]\norphan_after_s = 1\n").await;
    let client = world.platform(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let (named, orphan, begun) = (content(7, 600_000), content(8, 600_000), content(9, 600_000));
    upload(&client, "BYT", &named).await;
    let record = report(&sender, &[("a", &named)]);
    submit(&client, &record).await.unwrap();
    upload(&client, "BYT", &orphan).await;
    put(&client, said("BYT", &begun), 0, &begun[..CHUNK_LENGTH]).await.unwrap_err();
    assert_eq!(objects(&node), 3);
    let start = Instant::now();
    while objects(&node) > 1 {
        assert!(start.elapsed() < Duration::from_secs(20), "orphans are not collected");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let late = report(&sender, &[("late", &orphan)]);
    assert_eq!(code(&submit(&client, &late).await.unwrap_err()), Code::AttachmentMissing);
    assert_eq!(begin(&client, said("BYT", &begun)).await.unwrap(), (0, false));
    let status = put(&client, said("BYT", &begun), CHUNK_LENGTH as u64, &begun[CHUNK_LENGTH..]).await.unwrap_err();
    assert_eq!(code(&status), Code::AttachmentOffsetInvalid, "it was abandoned, and begins anew");
    assert!(download(&client, &record, Which::Index(0), 0).await.unwrap().1 == named);
    // uploaded again, the same record goes in
    upload(&client, "BYT", &orphan).await;
    submit(&client, &late).await.unwrap();
}

/// What was found complete at the last moment was gone when its record came.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_complete_is_there_when_its_record_comes() {
    let after = Duration::from_secs(20);
    let (world, node) = formed("[attachments]\norphan_after_s = 20\n").await;
    let client = world.platform(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let (named, waiting) = (content(7, 600_000), content(8, 600_000));
    upload(&client, "BYT", &named).await;
    submit(&client, &report(&sender, &[("a", &named)])).await.unwrap();
    let first = Instant::now();
    upload(&client, "BYT", &waiting).await;
    let last = Instant::now();
    assert_eq!(begin(&client, said("BYT", &waiting)).await.unwrap(), (600_000, true));
    // a quarter of its time is left
    tokio::time::sleep_until((last + after * 3 / 4 + Duration::from_millis(100)).into()).await;
    // as `kho submit` does, who uploads what is missing
    if !begin(&client, said("BYT", &waiting)).await.unwrap().1 {
        upload(&client, "BYT", &waiting).await;
    }
    assert!(first.elapsed() < after, "it was collected meanwhile: this machine is too slow to tell");
    // it would be collected by now: the leader looks four times in that time
    tokio::time::sleep_until((last + after * 5 / 4 + Duration::from_millis(500)).into()).await;
    submit(&client, &report(&sender, &[("late", &waiting)])).await.unwrap();
    assert_eq!(begin(&client, said("BYT", &named)).await.unwrap(), (600_000, true), "what is named stays");
    assert_eq!(objects(&node), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_uploads_count_against_the_units_quota() {
    let quota = "[quotas]\nbytes_per_s = 1000000\nbytes_burst = 1000000\n";
    let (world, _node) = formed(quota).await;
    let client = world.platform(1).await;
    let file = content(10, 3_000_000);
    let start = Instant::now();
    upload(&client, "BYT", &file).await;
    // the first million at once, the others at a million a second: held back, not ended
    assert!(start.elapsed() >= Duration::from_millis(1_500), "{:?}", start.elapsed());
}

/// Starts the node again, on a disk that has room for records and none for attachments.
async fn begin_again_tight(world: &World, more: &str) -> Node {
    let free = kho_node::disk::Room::of(&world.path("data1")).unwrap().free >> 20;
    let reserve = format!("[disk]\nreserve_mib = {}\n", free * 2 / 3);
    let config = world.parse(&format!("{}{more}", world.toml(1).replace("[disk]\n", &reserve)));
    crate::world::begin(config, &kho_node::seams::Seams::system()).await
}

/// It was dropped, and then could not be uploaded anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_complete_stays_where_the_disk_takes_no_other() {
    let (after, more) = (Duration::from_secs(20), "[attachments]\norphan_after_s = 20\n");
    let (world, node) = formed(more).await;
    let client = world.platform(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let waiting = content(12, 1000);
    let first = Instant::now();
    upload(&client, "BYT", &waiting).await;
    let last = Instant::now();
    node.stop().await;
    let _node = begin_again_tight(&world, more).await;
    let client = world.platform(1).await;
    // a quarter of its time is left
    tokio::time::sleep_until((last + after * 3 / 4 + Duration::from_millis(100)).into()).await;
    let found = begin(&client, said("BYT", &waiting)).await;
    assert!(first.elapsed() < after, "it was collected meanwhile: this machine is too slow to tell");
    assert_eq!(found.unwrap(), (1000, true));
    submit(&client, &report(&sender, &[("a", &waiting)])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_stop_before_records_where_the_disk_gets_short() {
    let (world, node) = formed("").await;
    let client = world.platform(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    submit(&client, &sender.report()).await.unwrap();
    let file = content(11, 1000);
    upload(&client, "BYT", &file).await;
    node.stop().await;
    let _node = begin_again_tight(&world, "").await;
    let client = world.platform(1).await;
    let record = report(&sender, &[("a", &file)]);
    let start = Instant::now();
    while let Err(status) = submit(&client, &record).await {
        assert!(start.elapsed() < Duration::from_secs(10), "records still go in: {status:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(code(&begin(&client, said("BYT", b"more")).await.unwrap_err()), Code::DiskReserve);
    let status = put(&client, said("BYT", b"more"), 0, b"more").await.unwrap_err();
    assert_eq!(code(&status), Code::DiskReserve);
    assert!(download(&client, &record, Which::Index(0), 0).await.unwrap().1 == file);
}

/// One unit's uploads leave places to others', however long they take.
#[tokio::test(flavor = "multi_thread")]
async fn a_unit_has_its_share_of_uploads() {
    const SHARE: u64 = 16;
    let (world, _node) = formed("").await;
    let client = world.platform(1).await;
    let (refused, mut refusals) = tokio::sync::mpsc::channel(1);
    let mut silent = Vec::new();
    for n in 0..=SHARE {
        let first = Part::Begin(pb::PutAttachmentBegin { content: Some(said("BYT", &content(n, 10))), offset: 0 });
        let parts = futures::stream::iter([pb::PutAttachmentRequest { part: Some(first) }]);
        let parts = futures::StreamExt::chain(parts, futures::stream::pending());
        let (mut client, refused) = (client.clone(), refused.clone());
        silent.push(tokio::spawn(async move {
            let ended = client.put_attachment(parts).await.unwrap_err();
            refused.send(ended).await.unwrap();
        }));
    }
    let refusal = tokio::time::timeout(Duration::from_secs(10), refusals.recv()).await.unwrap().unwrap();
    assert_eq!(code(&refusal), Code::Overloaded, "{refusal}");
    upload(&client, "BTC", &content(99, 1000)).await;
    assert!(refusals.try_recv().is_err(), "one too many, and no more");
    silent.iter().for_each(tokio::task::JoinHandle::abort);
}
