//! `SubmitMany`: records of one message, one result for each.

use std::time::Instant;

use kho_proto::batch::{Known, SUBMIT_MANY_BYTES_MAX, SUBMIT_MANY_RECORDS_MAX};
use kho_proto::error::{Code, Refusal};
use kho_proto::pb::v1::submit_result::Result as Wire;
use kho_proto::pb::v1::{NotTaken, SubmitManyRequest, SubmitManyResponse, SubmitResult};
use prost::Message;
use tonic::{Request, Response, Status};

use super::context::{deadline, identity, refuse};
use super::metric_definitions::MANY_RECORDS;
use super::outcome::{decode, to_wire};
use super::store::StoreService;
use crate::identity::Role;

/// Bytes that an answer says of single fields, at most: a client takes 6 MiB in all.
const FIELDS_BYTES_MAX: usize = 1 << 20;

/// Refuses what no record of the message can be asked about.
fn check(request: &SubmitManyRequest) -> Result<(), Refusal> {
    let records = request.records.len();
    if !(1..=SUBMIT_MANY_RECORDS_MAX).contains(&records) {
        return Err(Refusal::new(Code::RequestMalformed, "too many records in one message, or none")
            .expected_found(format!("1 to {SUBMIT_MANY_RECORDS_MAX} records"), records.to_string()));
    }
    let bytes = request.encoded_len();
    if bytes > SUBMIT_MANY_BYTES_MAX {
        return Err(Refusal::new(Code::RequestMalformed, "too many bytes in one message")
            .expected_found(format!("at most {SUBMIT_MANY_BYTES_MAX} bytes"), bytes.to_string()));
    }
    Ok(())
}

impl StoreService {
    pub(super) async fn many(
        &self,
        request: Request<SubmitManyRequest>,
    ) -> Result<Response<SubmitManyResponse>, Status> {
        let start = Instant::now();
        let deadline = deadline(request.metadata());
        let identity = identity(request.extensions());
        let allowed = identity.party().and_then(|party| party.require(&[Role::Submitter]));
        allowed.and_then(|()| check(request.get_ref())).map_err(refuse)?;
        let request = request.into_inner();
        let _room = self.room.take(request.encoded_len(), request.records.len()).map_err(refuse)?;
        metrics::histogram!(MANY_RECORDS).record(request.records.len() as f64);

        let mut known = Known::default();
        known.learn(&request.certificates);
        let decoded = request.records.into_iter().map(|bytes| {
            let mut record = decode(bytes)?;
            known.fill(&mut record);
            Ok(record)
        });
        let outcomes = self.writer.submit_many(&identity, decoded.collect(), deadline).await;
        let took = start.elapsed();
        Ok(Response::new(SubmitManyResponse {
            results: bounded(outcomes.into_iter().map(|outcome| to_wire(outcome, took)).collect()),
            node_id: self.node.0,
            epoch: self.epoch.0,
            leader_id: self.leader_id(),
        }))
    }
}

/// An answer that its client does not take would leave all of its records in doubt: what it says of single fields has a bound.
/// The first records have theirs; of the others it says how many fields are wrong.
fn bounded(mut results: Vec<SubmitResult>) -> Vec<SubmitResult> {
    let mut left = FIELDS_BYTES_MAX;
    for result in &mut results {
        let Some(Wire::Refused(NotTaken { detail: Some(detail), .. })) = &mut result.result else { continue };
        let length: usize = detail.fields.iter().map(Message::encoded_len).sum();
        if length > left {
            detail.fields.clear();
        }
        left = left.saturating_sub(length);
    }
    results
}

#[cfg(test)]
mod tests {
    use kho_proto::pb::v1::{ErrorDetail, FieldError};

    use super::*;

    #[test]
    fn fields_of_all_records_together_are_bounded() {
        let field = FieldError { path: "x".repeat(1000), ..FieldError::default() };
        let detail = ErrorDetail { fields: vec![field; 200], fields_total: 200, ..ErrorDetail::default() };
        let refused = Wire::Refused(NotTaken { detail: Some(detail), ..NotTaken::default() });
        let results = bounded(vec![SubmitResult { result: Some(refused) }; 256]);
        let length: usize = results.iter().map(Message::encoded_len).sum();
        assert!(length < FIELDS_BYTES_MAX + (256 << 10), "{length}");
        let told = |result: &SubmitResult| match &result.result {
            Some(Wire::Refused(NotTaken { detail: Some(detail), .. })) => (detail.fields.len(), detail.fields_total),
            other => panic!("{other:?}"),
        };
        assert_eq!((told(&results[0]), told(&results[255])), ((200, 200), (0, 200)));
    }
}
