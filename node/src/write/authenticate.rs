//! May this connection submit for the unit that the header names? Says nothing of the record's signature yet.

use kho_proto::error::{Code, Refusal};
use kho_proto::header::{self, Header};
use kho_proto::pb::v1::SignedRecord;

use crate::identity::{Identity, Role};

/// A record whose header keeps its rules, from a connection that may submit for its unit.
pub struct Authenticated {
    record: SignedRecord,
    header: Header,
}

impl Authenticated {
    /// The header, as yet unverified.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The record.
    pub fn record(&self) -> &SignedRecord {
        &self.record
    }

    /// The same record with what travelled apart from it.
    pub(super) fn completed<E>(
        mut self,
        complete: impl FnOnce(&Header, &mut SignedRecord) -> Result<(), E>,
    ) -> Result<Self, E> {
        complete(&self.header, &mut self.record)?;
        Ok(self)
    }
}

/// Why a connection may not submit a record.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// No certificate, or no role that submits.
    #[error(transparent)]
    Identity(Refusal),
    /// The header can't be read, so nobody knows whose it is.
    #[error(transparent)]
    Header(#[from] header::Error),
    /// Another unit's.
    #[error("the connection may not submit for unit {unit}")]
    Unit { unit: String },
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error {
            Error::Identity(refusal) => refusal,
            Error::Header(error) => error.into(),
            Error::Unit { ref unit } => Refusal::new(Code::UnitNotPermitted, error.to_string())
                .expected_found("a unit of the connection's certificate", unit.clone()),
        }
    }
}

pub(super) fn authenticate(identity: &Identity, record: SignedRecord) -> Result<Authenticated, Error> {
    let party = identity.party().map_err(Error::Identity)?;
    party.require(&[Role::Submitter]).map_err(Error::Identity)?;
    let header = Header::decode(&record.header)?;
    if !party.acts_for(&header.unit) {
        return Err(Error::Unit { unit: header.unit.to_string() });
    }
    Ok(Authenticated { record, header })
}
