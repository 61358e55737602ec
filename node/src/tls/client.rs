//! The dialling side of the peer plane.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use kho_proto::id::{ClusterId, NodeId};
use kho_transport::Coalesced;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::files::Loaded;
use super::judge::{Judge, Register};
use super::standing::{Cut, revoked};
use super::{Error, Plane, provider};
use crate::config::TlsFiles;
use crate::consensus::PeerIdentity;
use crate::identity::Identity;
use crate::seams::{BoxIo, Dial, Net};

/// Connecting and the handshake together: a peer that takes longer counts as gone.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// The dialling side of the peer plane: files, and what was last made of them.
pub struct ClientTls {
    files: TlsFiles,
    /// Whom the certificate named at the start.
    own: Option<PeerIdentity>,
    current: ArcSwap<Made>,
    /// What open connections are held to.
    register: Register,
}

/// What was made of the files at one time.
struct Made {
    config: Arc<ClientConfig>,
    judge: Option<Arc<Judge>>,
}

impl ClientTls {
    /// Reads the files.
    pub fn load(files: &TlsFiles) -> Result<ClientTls, Error> {
        let loaded = Loaded::read(files)?;
        let own = loaded.node();
        let made = build(files, loaded)?;
        let register = Register::of(Plane::Peer, made.judge.as_ref());
        Ok(ClientTls { files: files.clone(), own, current: ArcSwap::from_pointee(made), register })
    }

    /// An error unless the certificate names `own`.
    pub(super) fn check_own(&self, own: PeerIdentity) -> Result<(), Error> {
        Loaded::read(&self.files)?.check_own(own)
    }

    /// Reads the files again; new connections use what they hold now, and those to who is listed as revoked by now break. On an
    /// error the old stays, also when the certificate is another node's by now.
    pub fn reload(&self) -> Result<(), Error> {
        let loaded = Loaded::read(&self.files)?;
        self.own.map_or(Ok(()), |own| loaded.check_own(own))?;
        let made = Arc::new(build(&self.files, loaded)?);
        self.register.check(made.judge.as_ref(), made.config.time_provider.current_time())?;
        self.current.store(made.clone());
        self.register.replace(made.judge.as_ref());
        Ok(())
    }
}

fn build(files: &TlsFiles, loaded: Loaded) -> Result<Made, Error> {
    let judge = Judge::read(files, &loaded.trusted)?;
    let Loaded { chain, key, roots, .. } = loaded;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|config| config.with_root_certificates(roots).with_client_auth_cert(chain, key))
        .map_err(|source| Error::Refused { path: files.certificate.clone(), source })?;
    config.alpn_protocols = Plane::Peer.protocols();
    config.resumption = Resumption::disabled();
    Ok(Made { config: Arc::new(config), judge })
}

/// Dials the other nodes: TLS, and the certificate must be that node's of this cluster.
pub struct PeerDial {
    tls: Arc<ClientTls>,
    net: Arc<dyn Net>,
    cluster: ClusterId,
}

impl PeerDial {
    /// Within `cluster`.
    pub fn new(tls: Arc<ClientTls>, net: Arc<dyn Net>, cluster: ClusterId) -> Self {
        Self { tls, net, cluster }
    }

    pub(super) fn tls(&self) -> &ClientTls {
        &self.tls
    }

    async fn connect(&self, node_id: NodeId, address: &str) -> io::Result<BoxIo> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = Coalesced::new(self.net.dial(address).await?);
        let made = self.tls.current.load_full();
        let tls = TlsConnector::from(made.config.clone()).connect(name, stream).await?;
        let chain = tls.get_ref().1.peer_certificates();
        let now = made.config.time_provider.current_time();
        let standing = self.tls.register.standing(made.judge.as_ref(), chain, now).map_err(io::Error::other)?;
        if standing.is_lost() {
            return Err(revoked());
        }
        let certificate = chain.and_then(|chain| chain.first());
        let found = Identity::of_certificate(certificate.map(AsRef::as_ref)).map_err(io::Error::other)?;
        let expected = PeerIdentity { cluster_id: self.cluster, node_id };
        match found.node() {
            Ok(found) if found == expected && made.judge.is_none() => Ok(Box::new(tls)),
            Ok(found) if found == expected => Ok(Box::new(Cut::new(tls, standing))),
            found => Err(io::Error::other(format!("{address}: expected {expected:?}, found {found:?}"))),
        }
    }
}

#[async_trait]
impl Dial for PeerDial {
    async fn dial(&self, node: NodeId, address: &str) -> io::Result<BoxIo> {
        match tokio::time::timeout(DIAL_TIMEOUT, self.connect(node, address)).await {
            Ok(connected) => connected,
            Err(_) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("{address}: no handshake in {DIAL_TIMEOUT:?}")))
            }
        }
    }
}
