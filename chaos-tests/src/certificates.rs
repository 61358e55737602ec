//! Certificates of a running cluster, issued anew; and what a handshake shows of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kho::certs::{Authority, Issued, KeyKind, Profile, Role, Validity};
use kho::dev::{DevCluster, Identity, Layout, NodeId, Plane};
use kho_client::Surroundings;
use kho_proto::id::{ClusterId, UnixMs};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Planes that speak TLS.
pub const PLANES: [Plane; 3] = [Plane::Client, Plane::Peer, Plane::Admin];
/// Longer than any clock of a test goes wrong.
const FAR: Duration = Duration::from_secs(30 * 24 * 3600);
/// A handshake takes milliseconds, on a machine that has time for it.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// Until a list is due to be renewed.
const LIST_DAYS: u32 = 7;
const POLL: Duration = Duration::from_millis(50);
/// How a client begins HTTP/2: preface, and settings that say nothing. Who refuses a certificate says so instead of an
/// answer (in TLS 1.3 the client's side of the handshake has ended by then).
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// What a certificate's number is.
pub type Serial = String;

/// Good for long.
pub fn good() -> Validity {
    between(now(), FAR, FAR)
}

/// Ended long ago.
pub fn expired() -> Validity {
    let past = UnixMs(now().0 - 2 * ms(FAR));
    between(past, FAR, FAR)
}

/// Ends after `left`.
pub fn ending(left: Duration) -> Validity {
    between(now(), FAR, left)
}

fn now() -> UnixMs {
    kho_client::System.now()
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn between(at: UnixMs, before: Duration, after: Duration) -> Validity {
    Validity { not_before: UnixMs(at.0 - ms(before)), not_after: UnixMs(at.0 + ms(after)) }
}

/// Issues for one cluster.
#[derive(Debug, Clone)]
pub struct Issuer {
    layout: Layout,
    cluster: ClusterId,
    authorities: PathBuf,
}

/// PEM of a certificate, its key, and whom its holder trusts.
pub struct Card {
    /// Certificate and key.
    pub own: Issued,
    /// Authorities.
    pub trust: String,
}

impl Issuer {
    /// By the authorities that the cluster was made with.
    pub fn of(cluster: &DevCluster) -> Result<Self> {
        let layout = cluster.layout().clone();
        let file: toml::Table = toml::from_str(&std::fs::read_to_string(layout.cluster_file())?)?;
        let id = file["cluster_id"].as_str().context("a cluster has an id")?;
        let id = id.parse().map_err(|error| anyhow::anyhow!("cluster id {id:?}: {error}"))?;
        Ok(Self { authorities: layout.authorities(), cluster: id, layout })
    }

    /// New authorities, beside those that there are.
    pub fn next(&self) -> Result<Self> {
        let authorities = self.authorities.with_extension("next");
        std::fs::create_dir_all(&authorities)?;
        for plane in PLANES {
            let name = format!("Kho development CA, next: {}", plane.as_str());
            Authority::create(&name, KeyKind::P256, good())?.write(&authorities, &plane.authority())?;
        }
        Ok(Self { authorities, ..self.clone() })
    }

    fn authority(&self, plane: Plane) -> Result<String> {
        Ok(std::fs::read_to_string(self.authorities.join(format!("{}.pem", plane.authority())))?)
    }

    /// All who read the cluster's files trust these authorities, one after the other.
    pub fn trust(&self, issuers: &[&Issuer]) -> Result<()> {
        for plane in PLANES {
            let all: Vec<String> = issuers.iter().map(|issuer| issuer.authority(plane)).collect::<Result<_>>()?;
            std::fs::write(self.layout.trust(plane), all.concat())?;
        }
        Ok(())
    }

    fn issue(&self, plane: Plane, profile: &Profile, validity: Validity) -> Result<Issued> {
        let authority = Authority::load(&self.authorities, &plane.authority())?;
        Ok(authority.issue(profile, KeyKind::P256, validity)?)
    }

    /// Replaces a node's certificates on all planes; it knows nothing of it before SIGHUP.
    pub fn renew(&self, cluster: &DevCluster, node: NodeId, validity: Validity) -> Result<Vec<(Plane, Serial)>> {
        let address = &cluster.member(node)?.client;
        let host = address.rsplit_once(':').context("host:port")?.0;
        let hosts = vec![host.to_owned(), "127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut serials = Vec::new();
        for plane in PLANES {
            let profile = match plane {
                Plane::Peer => Profile::Peer { cluster: self.cluster, node, hosts: hosts.clone() },
                _ => Profile::Server { hosts: hosts.clone() },
            };
            let issued = self.issue(plane, &profile, validity)?;
            serials.push((plane, serial(&CertificateDer::from_pem_slice(issued.certificate.as_bytes())?)?));
            issued.write(&self.layout.node_certificates(node), plane.as_str())?;
        }
        Ok(serials)
    }

    /// A certificate of the platform or an operator, and whom its holder trusts by the cluster's files.
    pub fn card(&self, identity: &Identity, validity: Validity) -> Result<Card> {
        let name = format!("Kho development {}", identity.name());
        let (roles, all_units) = match identity {
            Identity::Platform => (vec![Role::Submitter, Role::Reader], true),
            Identity::Operator => (vec![Role::Operator], false),
            Identity::Unit(_) => bail!("units are not issued here"),
        };
        let profile = Profile::Connection { name, roles, units: Vec::new(), all_units };
        let own = self.issue(identity.plane(), &profile, validity)?;
        Ok(Card { own, trust: std::fs::read_to_string(self.layout.trust(identity.plane()))? })
    }

    /// Puts it where the cluster's clients have theirs.
    pub fn hand_out(&self, identity: &Identity, validity: Validity) -> Result<Card> {
        let card = self.card(identity, validity)?;
        card.own.write(&self.layout.identities(), &identity.name())?;
        Ok(card)
    }

    fn list(&self, plane: Plane) -> PathBuf {
        self.layout.dir().join(format!("{}.crl", plane.as_str()))
    }

    /// Every node holds callers of `plane` to a list from its next start on; nobody is on it yet.
    pub fn use_list(&self, cluster: &DevCluster, plane: Plane) -> Result<()> {
        self.take_back(plane, &[])?;
        for node in cluster.nodes() {
            let path = self.layout.node_file(node);
            let text = std::fs::read_to_string(&path)?;
            let table = format!("[tls.{}]\n", plane.as_str());
            let listed = text.replace(&table, &format!("{table}crl = {:?}\n", self.list(plane)));
            ensure!(listed != text, "{}: expected {table}", path.display());
            std::fs::write(&path, listed)?;
        }
        Ok(())
    }

    /// Makes the list that takes back the certificates of these cards; nodes know nothing of it before SIGHUP.
    pub fn take_back(&self, plane: Plane, cards: &[&Card]) -> Result<()> {
        let dir = tempfile::tempdir()?;
        let mut paths = Vec::new();
        for (n, card) in cards.iter().enumerate() {
            paths.push(dir.path().join(format!("{n}.pem")));
            std::fs::write(&paths[n], &card.own.certificate)?;
        }
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let authority = Authority::load(&self.authorities, &plane.authority())?;
        std::fs::write(self.list(plane), authority.revoke(&paths, now(), LIST_DAYS)?)?;
        Ok(())
    }

    /// Handshakes with `node` until it refuses this card because it was taken back.
    pub async fn shut_out(
        &self,
        cluster: &DevCluster,
        node: NodeId,
        plane: Plane,
        card: &Card,
        patience: Duration,
    ) -> Result<()> {
        let (end, address) = (Instant::now() + patience, address(cluster, node, plane)?);
        loop {
            let answer = handshake(&address, card).await?;
            if alert(&answer) == Some(AlertDescription::CertificateRevoked) {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "node {node}: expected that a listed certificate is refused, found {answer:?}"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// The certificate that a plane's callers have: on the peer plane the node's own.
    fn caller(&self, node: NodeId, plane: Plane) -> Result<Card> {
        let files = match plane {
            Plane::Peer => self.layout.node_tls(node, plane),
            Plane::Admin => self.layout.identity(&Identity::Operator),
            _ => self.layout.identity(&Identity::Platform),
        };
        let read = |path: &PathBuf| std::fs::read_to_string(path).with_context(|| path.display().to_string());
        let own = Issued { certificate: read(&files.certificate)?, key: read(&files.key)? };
        Ok(Card { own, trust: read(&files.trust)? })
    }

    /// Handshakes with `node` on each plane until each shows its certificate of `serials`.
    pub async fn shown(
        &self,
        cluster: &DevCluster,
        node: NodeId,
        serials: &[(Plane, Serial)],
        patience: Duration,
    ) -> Result<()> {
        let end = Instant::now() + patience;
        for (plane, serial) in serials {
            let address = address(cluster, node, *plane)?;
            loop {
                match handshake(&address, &self.caller(node, *plane)?).await? {
                    Ok(found) if found == *serial => break,
                    found => ensure!(
                        Instant::now() < end,
                        "node {node} on the {} plane: expected certificate {serial}, found {found:?}",
                        plane.as_str()
                    ),
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }
}

/// Where a node listens on a plane.
pub fn address(cluster: &DevCluster, node: NodeId, plane: Plane) -> Result<String> {
    let member = cluster.member(node)?;
    Ok(match plane {
        Plane::Peer => member.peer.clone(),
        Plane::Admin => member.admin.clone(),
        _ => member.client.clone(),
    })
}

/// Why there is no connection.
#[derive(Debug)]
pub enum Refused {
    /// TLS says so: this end's verdict on a certificate, or an alert with the other's.
    Tls(rustls::Error),
    /// Nobody is there, or nothing came back.
    Network(String),
}

/// Number of the certificate that a listener shows to who comes with this card; and then the listener's verdict on the
/// card. An error: the card itself is none.
pub async fn handshake(address: &str, card: &Card) -> Result<Result<Serial, Refused>> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(card.trust.as_bytes()) {
        roots.add(root?)?;
    }
    let chain = CertificateDer::pem_slice_iter(card.own.certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(card.own.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = config.with_root_certificates(roots).with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let host = address.rsplit_once(':').context("host:port")?.0.to_owned();
    let name = ServerName::try_from(host)?;
    let shaken = tokio::time::timeout(HANDSHAKE_LIMIT, async {
        let stream = TcpStream::connect(address).await?;
        let mut tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        tls.write_all(HELLO).await?;
        tls.flush().await?;
        tls.read_u8().await?;
        let chain = tls.get_ref().1.peer_certificates();
        std::io::Result::Ok(chain.and_then(|chain| chain.first()).cloned())
    });
    Ok(match shaken.await {
        Ok(Ok(certificate)) => Ok(serial(&certificate.context("a server shows a certificate")?)?),
        Ok(Err(error)) => Err(match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => Refused::Tls(tls.clone()),
            None => Refused::Network(error.to_string()),
        }),
        Err(_) => Err(Refused::Network(format!("no handshake within {HANDSHAKE_LIMIT:?}"))),
    })
}

fn serial(certificate: &CertificateDer<'_>) -> Result<Serial> {
    let (_, parsed) = X509Certificate::from_der(certificate).context("a certificate")?;
    Ok(parsed.raw_serial_as_string())
}

/// The alert that ended it.
pub fn alert(answer: &Result<Serial, Refused>) -> Option<AlertDescription> {
    match answer {
        Err(Refused::Tls(rustls::Error::AlertReceived(alert))) => Some(*alert),
        _ => None,
    }
}

/// This end's verdict: the other's certificate has expired.
pub fn shows_expired(answer: &Result<Serial, Refused>) -> bool {
    let Err(Refused::Tls(rustls::Error::InvalidCertificate(error))) = answer else { return false };
    matches!(error, CertificateError::Expired | CertificateError::ExpiredContext { .. })
}
