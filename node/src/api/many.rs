//! `SubmitMany`: records of one message, one result for each.

use std::time::Instant;

use kho_proto::batch::{Known, SUBMIT_MANY_BYTES_MAX, SUBMIT_MANY_RECORDS_MAX};
use kho_proto::error::{Code, Refusal};
use kho_proto::pb::v1::{SubmitManyRequest, SubmitManyResponse};
use prost::Message;
use tonic::{Request, Response, Status};

use super::context::{deadline, identity, refuse};
use super::metric_definitions::MANY_RECORDS;
use super::outcome::{decode, to_wire};
use super::store::StoreService;
use crate::identity::Role;

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
            results: outcomes.into_iter().map(|outcome| to_wire(outcome, took)).collect(),
            node_id: self.node.0,
            epoch: self.epoch.0,
            leader_id: self.leader_id(),
        }))
    }
}
