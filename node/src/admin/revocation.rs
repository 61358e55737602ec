//! Lists of revoked certificates: checked here, installed by the log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kho_ledger::entry_version;
use kho_proto::certificate::{self, CHAIN_LENGTH_MAX, Crl, IssuerId};
use kho_proto::error::{Code, Refusal};
use kho_proto::header::SubmittedAt;
use kho_proto::id::UnixMs;
use kho_proto::pb::admin::v1::{CrlStatus, InstallCrlRequest, ListCrlsResponse};
use kho_proto::pb::ledger::v1::{Command, InstallCrl, command::Kind};

use crate::read::Barrier;
use crate::seams::Clock;
use crate::write::metric_definitions::CRLS_EXPIRED;
use crate::write::propose::Answer;
use crate::write::revocation::Lists;
use crate::write::{Deadline, Members, Queue, Revocations, Verifier};

/// A list is proposed, applied here and seen within so long.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A list may be made so far ahead of this node's clock: one from the far future would keep out all that come before it.
const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);
/// Between looks at which lists have expired.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// Installs lists, and says which count.
pub struct Revoker {
    pub(crate) members: Arc<Members>,
    pub(crate) queue: Queue,
    pub(crate) barrier: Arc<Barrier>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Revoker {
    /// Installs a list on the whole cluster, and waits until it counts here.
    pub async fn install(&self, request: InstallCrlRequest) -> Result<CrlStatus, Refusal> {
        let InstallCrlRequest { der, issuers } = request;
        let (crl, issuer) = self.check(&der, &issuers)?;
        let install =
            InstallCrl { der, issuer: Bytes::copy_from_slice(issuer.0.as_ref()), this_update_ms: crl.this_update().0 };
        let command = Command { kind: Some(Kind::InstallCrl(install)) };
        // after the first list no member can be older any more: a machine that is down must not keep a stolen key alive
        if self.lists()?.version == 0 {
            self.members.check(entry_version(&command)).await?;
        }
        let deadline = Deadline::after(Some(INSTALL_TIMEOUT));
        match self.queue.propose(command, deadline).await? {
            Answer::Refused(refusal) => return Err(refusal),
            Answer::Done | Answer::Accepted { .. } => self.barrier.pass(deadline).await?,
        }
        let status = self.status(issuer, &crl);
        tracing::info!(issuer = status.issuer, number = status.number, revoked = status.revoked, "a crl was installed");
        Ok(status)
    }

    fn check(&self, der: &[u8], issuers: &[Bytes]) -> Result<(Crl, IssuerId), Refusal> {
        if issuers.len() > CHAIN_LENGTH_MAX {
            return Err(certificate::Error::ChainLength { found: issuers.len() }.into());
        }
        let (crl, now) = (Crl::from_der(der)?, self.clock.now());
        let issuer = self.verifier.roots().verify_crl(der, issuers, now)?;
        let latest = UnixMs(now.0.saturating_add(AHEAD_MAX.as_millis() as u64));
        if crl.this_update() > latest {
            let text = |at| SubmittedAt::from_unix_ms(at).to_string();
            let refusal =
                Refusal::new(Code::CrlMalformed, "the list was made in the future; later ones would never count");
            return Err(refusal.expected_found(format!("made until {}", text(latest)), text(crl.this_update())));
        }
        Ok((crl, issuer))
    }

    /// Those that count here.
    pub fn list(&self) -> Result<ListCrlsResponse, Refusal> {
        let lists = self.lists()?;
        let crls = lists.crls.lists.iter().map(|(issuer, crl)| self.status(*issuer, crl)).collect();
        Ok(ListCrlsResponse { version: lists.version, crls })
    }

    fn lists(&self) -> Result<Arc<Lists>, Refusal> {
        self.revocations.current().map_err(|error| Refusal::new(Code::StorageFailed, error.to_string()))
    }

    fn status(&self, issuer: IssuerId, crl: &Crl) -> CrlStatus {
        CrlStatus {
            issuer: crl.issuer().to_owned(),
            issuer_id: Bytes::copy_from_slice(issuer.0.as_ref()),
            number: crl.number().unwrap_or_default().to_owned(),
            this_update_ms: crl.this_update().0,
            next_update_ms: crl.next_update().map_or(0, |next| next.0),
            revoked: crl.revoked() as u64,
            digest: Bytes::copy_from_slice(crl.digest().as_ref()),
            expired: crl.next_update().is_some_and(|next| next < self.clock.now()),
        }
    }

    /// Runs for ever: counts the lists whose authorities are late.
    pub async fn watch(self: Arc<Self>) {
        loop {
            match self.list() {
                Ok(lists) => {
                    let late: Vec<_> = lists.crls.iter().filter(|crl| crl.expired).map(|crl| &crl.issuer).collect();
                    metrics::gauge!(CRLS_EXPIRED).set(late.len() as f64);
                    if !late.is_empty() {
                        tracing::warn!(authorities = ?late, "lists of revoked certificates are past their time");
                    }
                }
                Err(error) => tracing::error!(%error, "lists of revoked certificates"),
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}
