//! Holds certificates against the lists of revoked ones: in the handshake, and again for who is there already when lists are
//! read. // R-C5

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use kho_proto::certificate::{self, Issued, TrustRoots};
use kho_proto::id::UnixMs;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::sync::watch;

use super::revoked::Lists;
use super::standing::Standing;
use super::{Error, Plane, metric_definitions, provider};
use crate::config::TlsFiles;

/// Roots of a plane, and the lists of those below them.
#[derive(Debug)]
pub(super) struct Judge {
    roots: TrustRoots,
    lists: Arc<Lists>,
}

impl Judge {
    /// None where no lists are configured.
    pub fn read(files: &TlsFiles, trusted: &[CertificateDer<'_>]) -> Result<Option<Arc<Self>>, Error> {
        let Some(path) = &files.crl else { return Ok(None) };
        let roots = TrustRoots::from_der(trusted);
        let roots = roots.map_err(|source| Error::List { path: files.trust.clone(), source })?;
        let lists = Arc::new(Lists::read(path, &roots)?);
        Ok(Some(Arc::new(Self { roots, lists })))
    }

    /// What lists are held against.
    fn path(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Vec<Issued>, certificate::Error> {
        self.roots.path_of(certificate, others, provider().signature_verification_algorithms.all, now)
    }
}

/// Verifies certificates as rustls does, and then looks them up in the lists.
///
/// rustls itself takes the first list of the issuer's *name*, and refuses all certificates of an authority that has two keys:
/// lists of authorities that changed theirs could not be used (decision 21).
#[derive(Debug)]
pub(super) struct Verifier {
    pub inner: Arc<dyn ClientCertVerifier>,
    pub judge: Arc<Judge>,
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        let path = self.judge.path(end_entity, intermediates, now);
        let path = path.map_err(|error| CertificateError::Other(OtherError(Arc::new(error))))?;
        if self.judge.lists.take_back(&path) { Err(CertificateError::Revoked.into()) } else { Ok(verified) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The lists that open connections are held to.
pub(super) struct Register {
    plane: Plane,
    lists: watch::Sender<Option<Arc<Lists>>>,
}

impl Register {
    pub fn of(plane: Plane, judge: Option<&Arc<Judge>>) -> Self {
        let register = Self { plane, lists: watch::Sender::new(None) };
        register.replace(judge);
        register
    }

    /// An error if what is in use knows more, or if nothing that comes later would be taken.
    pub fn check(&self, next: Option<&Arc<Judge>>, now: Option<UnixTime>) -> Result<(), Error> {
        let Some(next) = next else { return Ok(()) };
        // of a clock that says nothing no list is ahead
        now.map_or(Ok(()), |now| next.lists.check_not_ahead(UnixMs(now.as_secs().saturating_mul(1000))))?;
        match &*self.lists.borrow() {
            Some(before) => next.lists.check_no_less(before, &next.roots),
            None => Ok(()),
        }
    }

    /// To be called when no handshake begins by the old lists any more: who came by them is asked again by these.
    pub fn replace(&self, judge: Option<&Arc<Judge>>) {
        if let Some(judge) = judge {
            metric_definitions::read(self.plane, &judge.lists);
            let (plane, revoked) = (self.plane.as_str(), judge.lists.revoked());
            tracing::info!(plane, revoked, "lists of revoked certificates read");
        }
        self.lists.send_replace(judge.map(|judge| judge.lists.clone()));
    }

    /// Of a connection whose handshake was by `judge`, with this chain.
    pub fn standing(
        &self,
        judge: Option<&Arc<Judge>>,
        chain: Option<&[CertificateDer<'_>]>,
        now: Option<UnixTime>,
    ) -> Result<Standing, certificate::Error> {
        let (Some(judge), Some((certificate, others))) = (judge, chain.and_then(<[_]>::split_first)) else {
            return Ok(Standing::lasting());
        };
        // a clock that says nothing let no handshake come so far
        let path = judge.path(certificate, others, now.unwrap_or(UnixTime::since_unix_epoch(Duration::ZERO)))?;
        Ok(Standing::of(path, self.lists.subscribe()))
    }
}
