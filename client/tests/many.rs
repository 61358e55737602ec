//! Many records in one call: each has its own answer, whatever becomes of its neighbours.

mod fake;

use std::time::{Duration, Instant};

use fake::{Act, Fake, client, refuse, several, timing};
use kho_client::SubmitError;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::NodeId;

#[tokio::test]
async fn each_has_its_own_answer_in_its_place() {
    let acts = [Act::Accept, refuse(Code::SignatureInvalid), Act::Duplicate, Act::Accept];
    let node = Fake::node(1, 1, &acts).await;
    let records = several(4).await;
    let answers = client(&[&node]).submit_many(&records).await;
    assert_eq!(answers.len(), 4);
    for (record, answer) in records.iter().zip(&answers) {
        match answer {
            Ok(done) => assert_eq!(done.record_id, record.record_id()),
            Err(error) => assert_eq!(error.code(), Code::SignatureInvalid),
        }
    }
    assert!(answers[0].is_ok() && answers[1].is_err());
    assert!(answers[2].as_ref().unwrap().duplicate && !answers[3].as_ref().unwrap().duplicate);
    assert_eq!(node.requests(), 4, "none was sent again");
}

#[tokio::test]
async fn only_those_without_an_answer_are_sent_again() {
    let hint =
        Refusal { retry_after: Some(Duration::from_millis(200)), ..Refusal::new(Code::Overloaded, "queue full") };
    let acts = [Act::Accept, Act::Refuse(hint), Act::Admit(Code::OutcomeUnknown), Act::Accept, Act::Duplicate];
    let node = Fake::node(1, 1, &acts).await;
    let start = Instant::now();
    let answers = client(&[&node]).submit_many(&several(3).await).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(answers.iter().map(|answer| answer.as_ref().unwrap().attempts).collect::<Vec<_>>(), [1, 2, 2]);
    assert_eq!(node.requests(), 5);
    assert!(start.elapsed() >= Duration::from_millis(200), "the hint is respected");
}

#[tokio::test]
async fn another_node_answers_what_one_left_open() {
    let well = Fake::node(2, 2, &[Act::Duplicate]).await;
    for bad in [
        Fake::absent().await,
        Fake::hangs_up().await,
        Fake::node(1, 1, &[Act::Accept, Act::Hang]).await,
        Fake::node(1, 1, &[Act::Accept, Act::Foreign(tonic::Code::Internal)]).await,
        // fewer results than records: whose are they?
        Fake::node(1, 1, &[Act::Accept, Act::End]).await,
    ] {
        let answers = client(&[&bad, &well]).submit_many(&several(3).await).await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|done| done.node == NodeId(2))), "{answers:?}");
    }
}

#[tokio::test]
async fn silence_is_unknown_for_all_and_a_refusal_of_the_call_for_all_alike() {
    let hangs = Fake::node(1, 1, &[Act::Hang]).await;
    let start = Instant::now();
    let answers = client(&[&hangs]).submit_many(&several(3).await).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(SubmitError::is_unknown)), "{answers:?}");
    assert!(start.elapsed() < timing().deadline + Duration::from_millis(300), "the deadline holds");

    let absent = Fake::absent().await;
    let answers = client(&[&absent]).submit_many(&several(2).await).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(SubmitError::Unreachable { .. }))), "{answers:?}");

    let old = Fake::node(1, 1, &[Act::Foreign(tonic::Code::Unimplemented)]).await;
    let answers = client(&[&old]).submit_many(&several(2).await).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(SubmitError::Foreign { .. }))), "{answers:?}");
}

#[tokio::test]
async fn doubt_outlives_the_call() {
    let hangs = Fake::node(1, 1, &[Act::Hang]).await;
    let records = several(2).await;
    let dropped = tokio::time::timeout(Duration::from_millis(100), client(&[&hangs]).submit_many(&records)).await;
    assert!(dropped.is_err());
    let refuses = Fake::node(1, 1, &[refuse(Code::UnitNotPermitted)]).await;
    for answer in client(&[&refuses]).submit_many(&records).await {
        assert!(answer.unwrap_err().is_unknown());
    }
}

#[tokio::test]
async fn more_than_a_message_takes_is_more_messages() {
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    let record = several(1).await.remove(0);
    let many: Vec<_> = std::iter::repeat_n(record, 600).collect();
    let client = client(&[&node]);
    let answers = client.submit_many(&many).await;
    assert_eq!((answers.len(), node.requests()), (600, 600));
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(client.checkpoints_verified(), 1, "one note, verified once");
    assert!(client.submit_many(&[]).await.is_empty());
}

#[tokio::test]
async fn a_forged_receipt_is_its_own_records_only() {
    let forge = Act::Forge(|receipt| receipt.sequence.0 += 1);
    let node = Fake::node(1, 1, &[Act::Accept, forge, Act::Accept]).await;
    let answers = client(&[&node]).submit_many(&several(3).await).await;
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert!(matches!(&answers[1], Err(SubmitError::Receipt { rejected, .. }) if rejected.receipt().is_some()));
}
