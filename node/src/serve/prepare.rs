//! Everything that can refuse a start, before anything answers: keyring, data directory, certificates, ports.

use std::path::Path;
use std::sync::Arc;

use kho_proto::certificate::TrustRoots;

use super::ServeError;
use crate::config::Config;
use crate::consensus::PeerIdentity;
use crate::data_dir::DataDir;
use crate::identity::Identity;
use crate::keys::{DataKeys, KeyProvider, Notary, keyring};
use crate::seams::{Accept, Seams};
use crate::tls::{ClientTls, Plane, ServerTls};

/// What a keyring gives.
pub(super) struct Keys {
    pub provider: Arc<dyn KeyProvider>,
    pub data_keys: Arc<DataKeys>,
    pub notary: Arc<Notary>,
}

/// A bound port and the TLS that is spoken there.
pub(super) struct Door {
    pub accept: Box<dyn Accept>,
    pub tls: Arc<ServerTls>,
}

/// What a node starts with.
pub(super) struct Prepared {
    pub keys: Option<Keys>,
    pub data_dir: DataDir,
    pub signers: TrustRoots,
    pub peer_tls: Arc<ClientTls>,
    pub client: Door,
    pub peer: Door,
    pub admin: Door,
}

impl Prepared {
    /// Checks all of it, in an order in which nothing is created before what only needs reading was read.
    pub async fn check(config: &Config, seams: &Seams) -> Result<Self, ServeError> {
        config.validate()?;
        let (node, cluster) = (config.node(), config.cluster_id);
        let keys = load_keys(config)?;
        let fingerprint = keys.as_ref().map(|keys| keys.provider.fingerprint());
        let data_dir = DataDir::open(&config.data_dir, cluster, node, fingerprint)?;
        let signers = load_signers(&config.signers.trust)?;
        let tls = |plane, files| ServerTls::load(plane, files).map(Arc::new);
        let client_tls = tls(Plane::Client, &config.tls.client)?;
        let peer_server_tls = tls(Plane::Peer, &config.tls.peer)?;
        let admin_tls = tls(Plane::Admin, &config.tls.admin)?;
        let peer_tls = Arc::new(ClientTls::load(&config.tls.peer)?);
        check_own_certificate(config)?;
        Ok(Self {
            keys,
            data_dir,
            signers,
            peer_tls,
            client: Door { accept: bind(seams, "client", &config.listen.client).await?, tls: client_tls },
            peer: Door { accept: bind(seams, "peer", &config.listen.peer).await?, tls: peer_server_tls },
            admin: Door { accept: bind(seams, "admin", &config.listen.admin).await?, tls: admin_tls },
        })
    }
}

fn load_keys(config: &Config) -> Result<Option<Keys>, ServeError> {
    let Some(path) = &config.keyring else { return Ok(None) };
    let provider: Arc<dyn KeyProvider> = Arc::new(keyring::load(path, config.cluster_id)?);
    let data_keys = Arc::new(DataKeys::new(config.cluster_id, provider.clone()));
    let notary = Arc::new(Notary::new(provider.clone()));
    Ok(Some(Keys { provider, data_keys, notary }))
}

fn load_signers(path: &Path) -> Result<TrustRoots, ServeError> {
    let pem = std::fs::read(path).map_err(|source| ServeError::SignersUnreadable { path: path.to_owned(), source })?;
    TrustRoots::from_pem(&pem).map_err(|source| ServeError::Signers { path: path.to_owned(), source })
}

/// With another node's certificate every peer would refuse this one, and say so only in its own log.
fn check_own_certificate(config: &Config) -> Result<(), ServeError> {
    let expected = PeerIdentity { cluster_id: config.cluster_id, node_id: config.node() };
    let der = crate::tls::own_certificate(&config.tls.peer)?;
    let found = match Identity::of_certificate(Some(&der)) {
        Ok(Identity::Node(found)) if found == expected => return Ok(()),
        Ok(Identity::Node(found)) => format!("cluster {}, node {}", found.cluster_id, found.node_id),
        Ok(_) => "no node".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(ServeError::PeerCertificate { cluster: config.cluster_id, node: config.node(), found })
}

async fn bind(seams: &Seams, plane: &'static str, address: &str) -> Result<Box<dyn Accept>, ServeError> {
    let bound = seams.net.bind(address).await;
    bound.map_err(|source| ServeError::Bind { plane, address: address.to_owned(), source })
}
