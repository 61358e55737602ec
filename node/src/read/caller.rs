//! Who reads, and what of a record.

use std::sync::Arc;

use kho_ledger::select::{Audience, Eyes};
use kho_proto::error::Refusal;
use kho_proto::header::Header;
use kho_proto::tokens::TokenKey;

use crate::identity::{Identity, Party, Role};

/// A connection that may ask for lists.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// Sees what its units sent or receive.
    Reader(Arc<Party>),
    /// Sees that there are records: leaves, without what they say and whose they are.
    Auditor,
}

impl Caller {
    /// Who is at the other end; readers that are auditors as well are readers here.
    pub(super) fn of(identity: &Identity) -> Result<Self, Refusal> {
        let party = identity.party()?;
        party.require(&[Role::Reader, Role::Auditor])?;
        Ok(if party.has_role(&[Role::Reader]) { Caller::Reader(party.clone()) } else { Caller::Auditor })
    }

    pub(super) fn audience(&self, tokens: &TokenKey) -> Audience {
        let Caller::Reader(party) = self else { return Audience::All };
        let Some(units) = party.units() else { return Audience::All };
        let eyes = |unit| Eyes { unit: tokens.unit(unit), receiver: tokens.receiver(unit) };
        Audience::These(units.iter().map(eyes).collect())
    }

    /// The signed header says who may read, not the row beside it.
    pub(super) fn sees(&self, header: &Header) -> bool {
        match self {
            Caller::Reader(party) => party.sees(header),
            Caller::Auditor => false,
        }
    }

    /// Tells callers with other rights apart, in page tokens.
    pub(super) fn written(&self) -> Vec<u8> {
        let mut written = Vec::new();
        match self {
            Caller::Auditor => written.push(1),
            Caller::Reader(party) => match party.units() {
                None => written.push(2),
                Some(units) => {
                    written.push(3);
                    for unit in units {
                        written.extend_from_slice(unit.as_str().as_bytes());
                        // in no code
                        written.push(0);
                    }
                }
            },
        }
        written
    }
}
