//! A unit that sends more than it may is told to wait, and so is whoever meets a full queue; nobody else notices.

use std::time::Duration;

use kho_node::serve::Node;
use kho_proto::error::Code;
use kho_proto::pb::v1::submit_result::Result as Wire;
use kho_proto::pb::v1::{Header, SignedRecord, SubmitManyRequest};
use kho_proto::record::{Draft, to_file};
use kho_proto::status::from_status;
use prost::Message;

use crate::sender::Sender;
use crate::thin_line::{id_of, submit};
use crate::world::{World, tree};

async fn world(quotas: &str) -> (World, Node) {
    let world = World::new(1);
    let node = world.try_start(world.parse(&format!("{}{quotas}", world.toml(1)))).await.unwrap();
    world.form(1).await;
    (world, node)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_over_its_quota_is_told_when_to_come_again() {
    let quotas = "[quotas]\nrecords_per_s = 5\nrecords_burst = 3\n[quotas.units.BTC]\nrecords_per_s = 0\n";
    let (world, node) = world(quotas).await;
    let client = world.platform(1).await;
    let (byt, btc) = (Sender::new(&world.signers, "BYT"), Sender::new(&world.signers, "BTC"));
    let first = byt.report();
    submit(&client, &first).await.unwrap();
    let mut refused = Vec::new();
    for _ in 0..8 {
        if let Err(status) = submit(&client, &byt.report()).await {
            assert_eq!(status.code(), tonic::Code::ResourceExhausted);
            refused.push(from_status(&status).unwrap());
        }
    }
    assert!(refused.len() >= 3, "{}", refused.len());
    let before = tree(&node).0;
    for refusal in &refused {
        assert_eq!(refusal.code, Code::QuotaExceeded);
        assert!(refusal.expected.contains("5 records a second"), "{refusal:?}");
        let wait = refusal.retry_after.unwrap();
        assert!(wait <= Duration::from_secs(3), "{wait:?}");
    }
    // an answer that was given before costs nothing, and others have their own
    assert!(submit(&client, &first).await.unwrap().duplicate);
    for _ in 0..20 {
        submit(&client, &btc.report()).await.unwrap();
    }
    assert_eq!(tree(&node).0, before + 20, "what was refused changed nothing");
    tokio::time::sleep(refused[0].retry_after.unwrap()).await;
    submit(&client, &byt.report()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_many_are_counted_one_by_one() {
    let (world, node) = world("[quotas]\nrecords_per_s = 1\nrecords_burst = 4\n").await;
    let (byt, btc) = (Sender::new(&world.signers, "BYT"), Sender::new(&world.signers, "BTC"));
    let records = (0..12).map(|n| to_file(&if n % 2 == 0 { byt.report() } else { btc.report() }).into()).collect();
    let request = SubmitManyRequest { records, certificates: Vec::new() };
    let response = world.platform(1).await.submit_many(request).await.unwrap().into_inner();
    let mut hints = Vec::new();
    for result in &response.results {
        match result.result.as_ref().unwrap() {
            Wire::Taken(_) => {}
            Wire::Refused(refused) => {
                let detail = refused.detail.as_ref().unwrap();
                assert_eq!((detail.code.as_str(), detail.retry), ("quota-exceeded", true));
                hints.push(detail.retry_after_ms);
            }
            Wire::Unknown(unknown) => panic!("{unknown:?}"),
        }
    }
    assert_eq!(hints.len(), 4, "two of each unit: {hints:?}");
    assert!(hints.iter().all(|hint| (1..=3000).contains(hint)), "{hints:?}");
    assert_eq!(tree(&node).0, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_have_a_quota_too() {
    let (world, _node) = world("[quotas]\nbytes_per_s = 20000\nbytes_burst = 40000\n").await;
    let client = world.platform(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let large = || sender.sign(sender.draft(), &[b' '; 30_000]);
    submit(&client, &large()).await.unwrap();
    let refusal = from_status(&submit(&client, &large()).await.unwrap_err()).unwrap();
    assert_eq!(refusal.code, Code::QuotaExceeded);
    assert!(refusal.message.contains("bytes"), "{refusal}");
    submit(&client, &sender.report()).await.unwrap();
}

/// R-D1: what can't be taken now may be sent again, and so may what corrects it.
#[tokio::test(flavor = "multi_thread")]
async fn a_correction_of_what_was_over_quota_may_come_again() {
    let (world, node) = world("[quotas]\nbytes_per_s = 20000\nbytes_burst = 40000\n").await;
    let mut client = world.platform(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    submit(&client, &sender.sign(sender.draft(), &[b' '; 30_000])).await.unwrap();
    let first = sender.sign(sender.draft(), &[b' '; 30_000]);
    let correction = |of: &SignedRecord| {
        let header = Header::decode(of.header.clone()).unwrap();
        let draft = Draft { series: header.series, supersedes: Some(id_of(of)), ..sender.draft() };
        sender.sign(draft, b"{}")
    };
    let second = correction(&first);
    let all = [&first, &second, &correction(&second)].map(|record| to_file(record).into()).to_vec();
    let request = SubmitManyRequest { records: all, certificates: Vec::new() };
    let response = client.submit_many(request.clone()).await.unwrap().into_inner();
    for result in &response.results {
        let Some(Wire::Refused(refused)) = &result.result else { panic!("{result:?}") };
        let detail = refused.detail.as_ref().unwrap();
        assert_eq!((detail.code.as_str(), detail.retry), ("quota-exceeded", true));
        assert!(detail.retry_after_ms > 0);
    }
    assert_eq!(tree(&node).0, 2);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let response = client.submit_many(request).await.unwrap().into_inner();
    assert!(response.results.iter().all(|result| matches!(result.result, Some(Wire::Taken(_)))), "{response:?}");
}
