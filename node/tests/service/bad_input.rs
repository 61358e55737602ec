//! Bad input of issue 2, as far as it meets a running node: each with its code, and the tree as it was.

use bytes::Bytes;
use http::uri::PathAndQuery;
use kho_node::serve::Node;
use kho_proto::error::Code;
use kho_proto::header::{Header, PAYLOAD_LENGTH_MAX, SubmittedAt};
use kho_proto::id::UnixMs;
use kho_proto::leaf::Leaf;
use kho_proto::pb::v1 as pb;
use kho_proto::pb::v1::store_client::StoreClient;
use kho_proto::status::from_status;
use prost::Message;
use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose, date_time_ymd};
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use crate::sender::{Sender, now, signer_params};
use crate::thin_line::{code, id_of, submit};
use crate::world::{Authority, World, tree};

struct Scene {
    world: World,
    nodes: Vec<Node>,
    client: StoreClient<Channel>,
    sender: Sender,
}

impl Scene {
    async fn new() -> Scene {
        let (world, nodes, _) = World::formed(1).await;
        let client = world.platform(1).await;
        let sender = Sender::new(&world.signers, "BYT");
        // The unit's data key is there: from now on any change of state is the bad input's.
        submit(&client, &sender.report()).await.unwrap();
        Scene { world, nodes, client, sender }
    }

    async fn refuses(&self, record: pb::SignedRecord, expect: Code) {
        self.refuses_from(&self.client, record, expect).await;
    }

    async fn refuses_from(&self, client: &StoreClient<Channel>, record: pb::SignedRecord, expect: Code) {
        let before = tree(&self.nodes[0]);
        let status = submit(client, &record).await.unwrap_err();
        assert_eq!(code(&status), expect, "{status:?}");
        assert!(!status.message().is_empty());
        assert_eq!(tree(&self.nodes[0]), before, "{expect:?} changed the state");
    }

    /// The header of a good report, changed and signed again.
    async fn refuses_header(&self, change: impl FnOnce(&mut pb::Header), expect: Code) {
        let mut header = pb::Header::decode(self.sender.report().header).unwrap();
        change(&mut header);
        let payload = "{\"ghi_chú\":\"không có ca mắc mới\"}".as_bytes();
        self.refuses(self.sender.sign_raw(header.encode_to_vec(), payload), expect).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_and_certificates() {
    let scene = Scene::new().await;
    let signers = &scene.world.signers;

    let mut record = scene.sender.report();
    let mut block = pb::SignatureBlock::decode(record.signature_block.clone()).unwrap();
    let mut signature = block.signature.to_vec();
    signature[7] ^= 1;
    block.signature = signature.into();
    record.signature_block = block.encode_to_vec().into();
    scene.refuses(record, Code::SignatureInvalid).await;

    let stranger = Sender::new(&Authority::new("strangers"), "BYT");
    scene.refuses(stranger.report(), Code::CertificateUntrusted).await;

    let mut params = signer_params("BYT");
    params.not_before = date_time_ymd(2015, 1, 1);
    params.not_after = date_time_ymd(2016, 1, 1);
    scene.refuses(Sender::with(signers, "BYT", params).report(), Code::CertificateExpired).await;

    let mut params = signer_params("BYT");
    params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    scene.refuses(Sender::with(signers, "BYT", params).report(), Code::CertificateWrongUsage).await;

    let mut params = signer_params("BYT");
    params.subject_alt_names.clear();
    scene.refuses(Sender::with(signers, "BYT", params).report(), Code::CertificateUnitMissing).await;

    // nobody has brought them before
    let mut record = Sender::new(signers, "BYT").report();
    record.certificates.clear();
    scene.refuses(record, Code::CertificateMissing).await;

    let mut record = scene.sender.report();
    record.signature_block = Bytes::from_static(b"\xff\xff");
    scene.refuses(record, Code::SignatureBlockMalformed).await;

    let impostor = Sender::with(signers, "BCA", signer_params("BYT"));
    scene.refuses(impostor.report(), Code::SignerUnitMismatch).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections() {
    let scene = Scene::new().await;
    let one_unit = scene.world.store(1, &["urn:kho:role:submitter", "urn:kho:unit:BCA"]).await;
    scene.refuses_from(&one_unit, scene.sender.report(), Code::UnitNotPermitted).await;
    let reader = scene.world.store(1, &["urn:kho:role:reader", "urn:kho:units:all"]).await;
    scene.refuses_from(&reader, scene.sender.report(), Code::RoleNotPermitted).await;
    let nobody = scene.world.store(1, &["urn:kho:unit:BYT"]).await;
    scene.refuses_from(&nobody, scene.sender.report(), Code::IdentityMissing).await;
    let anonymous = scene.world.store_of(1, None).await;
    scene.refuses_from(&anonymous, scene.sender.report(), Code::ClientCertificateMissing).await;
    // Of another authority, e.g. the operators': no connection at all.
    let card = scene.world.operators.card(&[], &["urn:kho:role:submitter", "urn:kho:units:all"]);
    if let Ok(channel) = scene.world.try_channel(1, "client", Some(&card)).await {
        let before = tree(&scene.nodes[0]);
        submit(&StoreClient::new(channel), &scene.sender.report()).await.unwrap_err();
        assert_eq!(tree(&scene.nodes[0]), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_with_another_header() {
    let scene = Scene::new().await;
    let first = scene.sender.draft();
    let stored = submit(&scene.client, &scene.sender.sign(first.clone(), b"{}")).await.unwrap();
    let other = scene.sender.sign(first.clone(), b"{\"khac\":1}");
    scene.refuses(other.clone(), Code::RecordIdConflict).await;
    let status = submit(&scene.client, &other).await.unwrap_err();
    let evidence = from_status(&status).unwrap().evidence_leaf.expect("its own unit gets the evidence");
    assert_eq!(Some(&evidence), stored.receipt.as_ref().map(|receipt| &receipt.leaf));
    assert_eq!(Leaf::decode(&evidence).unwrap().record_id, first.record_id);

    let stranger = Sender::new(&scene.world.signers, "BCA");
    submit(&scene.client, &stranger.report()).await.unwrap();
    let mut draft = stranger.draft();
    draft.record_id = first.record_id;
    let record = stranger.sign(draft, b"{}");
    scene.refuses(record.clone(), Code::RecordIdConflict).await;
    let status = submit(&scene.client, &record).await.unwrap_err();
    assert_eq!(from_status(&status).unwrap().evidence_leaf, None, "another unit learns nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads() {
    let scene = Scene::new().await;
    let mut record = scene.sender.sign(scene.sender.draft(), b"{\"a\":1}");
    record.payload = Bytes::from_static(b"{\"a\":2}");
    scene.refuses(record.clone(), Code::PayloadDigestMismatch).await;
    record.payload = Bytes::from_static(b"{\"a\":1} ");
    scene.refuses(record.clone(), Code::PayloadLengthMismatch).await;
    record.payload = vec![b' '; PAYLOAD_LENGTH_MAX + 1].into();
    scene.refuses(record.clone(), Code::PayloadTooLarge).await;
    record.payload = vec![b' '; PAYLOAD_LENGTH_MAX + (1 << 20)].into();
    scene.refuses(record, Code::PayloadTooLarge).await;
    let largest = scene.sender.sign(scene.sender.draft(), &vec![b' '; PAYLOAD_LENGTH_MAX]);
    submit(&scene.client, &largest).await.expect("the bound itself is allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers() {
    let scene = Scene::new().await;
    let payload = "{\"ghi_chú\":\"không có ca mắc mới\"}".as_bytes();
    scene.refuses(scene.sender.sign_raw(vec![0xff; 20], payload), Code::HeaderMalformed).await;
    let good = scene.sender.report().header.to_vec();
    // Field 99, varint 1.
    let unknown = [&good[..], &[0x98, 0x06, 0x01]].concat();
    scene.refuses(scene.sender.sign_raw(unknown, payload), Code::HeaderNotCanonical).await;
    let doubled = [&good[..], &good[..]].concat();
    scene.refuses(scene.sender.sign_raw(doubled, payload), Code::HeaderNotCanonical).await;
    scene.refuses_header(|header| header.period = "2020-13".to_owned(), Code::PeriodInvalid).await;
    scene.refuses_header(|header| header.period = "tháng 6".to_owned(), Code::PeriodInvalid).await;
    scene.refuses_header(|header| header.unit = "Bộ Y tế".to_owned(), Code::HeaderFieldInvalid).await;
    scene.refuses_header(|header| header.version = 2, Code::HeaderFieldInvalid).await;
    scene.refuses_header(|header| header.salt = Bytes::new(), Code::HeaderFieldInvalid).await;
    let attachment = pb::Attachment {
        name: "a.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        length: 3,
        digest: vec![1; 32].into(),
    };
    scene.refuses_header(|header| header.attachments.push(attachment), Code::AttachmentMissing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn submitted_at_ahead_of_the_clock() {
    let scene = Scene::new().await;
    let at = |ahead_ms: u64| {
        let mut draft = scene.sender.draft();
        draft.submitted_at = SubmittedAt::from_unix_ms(UnixMs(now().0 + ahead_ms));
        scene.sender.sign(draft, b"{}")
    };
    scene.refuses(at(5 * 60 * 1000 + 10_000), Code::SubmittedAtInFuture).await;
    submit(&scene.client, &at(5 * 60 * 1000 - 10_000)).await.unwrap();
}

/// A request whose field 1 is a number.
#[derive(Clone, PartialEq, Message)]
struct NoRequest {
    #[prost(uint64, tag = "1")]
    number: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_none() {
    let scene = Scene::new().await;
    let before = tree(&scene.nodes[0]);
    let card = scene.world.clients.card(&[], &["urn:kho:role:submitter", "urn:kho:units:all"]);
    let mut grpc = tonic::client::Grpc::new(scene.world.channel(1, "client", Some(&card)).await);
    grpc.ready().await.unwrap();
    let codec: ProstCodec<NoRequest, pb::SubmitResponse> = ProstCodec::default();
    let path = PathAndQuery::from_static("/kho.v1.Store/Submit");
    let status = grpc.unary(tonic::Request::new(NoRequest { number: 7 }), path, codec).await.unwrap_err();
    assert_eq!(code(&status), Code::RequestMalformed);
    let status = scene.client.clone().submit(pb::SubmitRequest { record: None }).await.unwrap_err();
    assert_eq!(code(&status), Code::RequestMalformed);
    let short = pb::GetRequest { record_id: Bytes::from_static(b"short") };
    assert_eq!(code(&scene.client.clone().get(short).await.unwrap_err()), Code::RequestMalformed);
    assert_eq!(tree(&scene.nodes[0]), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_in_the_log_needs_no_new_verdict() {
    let scene = Scene::new().await;
    let record = scene.sender.report();
    let first = submit(&scene.client, &record).await.unwrap();
    // The same header with a signature that no longer verifies: the identity of a record is its header.
    let mut again = record.clone();
    again.certificates.clear();
    assert_eq!(submit(&scene.client, &again).await.unwrap().receipt, first.receipt);
    assert_eq!(id_of(&again), Header::decode(&record.header).unwrap().record_id);
}
