//! Everything that can refuse a start, before anything answers: keyring, data directory, certificates, ports.

use std::path::Path;
use std::sync::Arc;

use kho_proto::certificate::TrustRoots;

use super::{Machine, ServeError};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::keys::{DataKeys, KeyProvider, Notary, keyring};
use crate::seams::{Accept, Seams};
use crate::tls::{Dialler, Plane, Secure};

/// What a keyring gives.
pub(super) struct Keys {
    pub provider: Arc<dyn KeyProvider>,
    pub data_keys: Arc<DataKeys>,
    pub notary: Arc<Notary>,
}

/// A bound port, and who finds out who comes.
pub(super) struct Door {
    pub accept: Box<dyn Accept>,
    pub plane: Plane,
    pub secure: Arc<dyn Secure>,
}

/// What a node starts with.
pub(super) struct Prepared {
    pub keys: Option<Keys>,
    pub data_dir: DataDir,
    pub signers: TrustRoots,
    pub dialler: Arc<dyn Dialler>,
    pub client: Door,
    pub peer: Door,
    pub admin: Door,
    pub log: Option<Door>,
}

impl Prepared {
    /// Checks all of it, in an order in which nothing is created before what only needs reading was read.
    pub async fn check(config: &Config, machine: &Machine) -> Result<Self, ServeError> {
        let Machine { seams, transport, .. } = machine;
        config.validate()?;
        let (node, cluster) = (config.node(), config.cluster_id);
        let keys = load_keys(config)?;
        let fingerprint = keys.as_ref().map(|keys| keys.provider.fingerprint());
        let data_dir = DataDir::open(&config.data_dir, cluster, node, fingerprint)?;
        let signers = load_signers(&config.signers.trust)?;
        let (listen, tls) = (&config.listen, &config.tls);
        let client = transport.door(Plane::Client, &tls.client)?;
        let peer = transport.door(Plane::Peer, &tls.peer)?;
        let admin = transport.door(Plane::Admin, &tls.admin)?;
        let log = tls.log.as_ref().map(|files| transport.public_door(files)).transpose()?;
        let dialler = transport.dialler(config, seams.net.clone())?;
        Ok(Self {
            keys,
            data_dir,
            signers,
            dialler,
            client: Door::open(seams, Plane::Client, &listen.client, client).await?,
            peer: Door::open(seams, Plane::Peer, &listen.peer, peer).await?,
            admin: Door::open(seams, Plane::Admin, &listen.admin, admin).await?,
            log: match (&listen.log, log) {
                (Some(address), Some(log)) => Some(Door::open(seams, Plane::Log, address, log).await?),
                _ => None,
            },
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

/// Roots that signers' chains must lead to.
pub(super) fn load_signers(path: &Path) -> Result<TrustRoots, ServeError> {
    let pem = std::fs::read(path).map_err(|source| ServeError::SignersUnreadable { path: path.to_owned(), source })?;
    TrustRoots::from_pem(&pem).map_err(|source| ServeError::Signers { path: path.to_owned(), source })
}

impl Door {
    async fn open(seams: &Seams, plane: Plane, address: &str, secure: Arc<dyn Secure>) -> Result<Self, ServeError> {
        let bound = seams.net.bind(address).await;
        let failed = |source| ServeError::Bind { plane: plane.as_str(), address: address.to_owned(), source };
        Ok(Self { accept: bound.map_err(failed)?, plane, secure })
    }
}
