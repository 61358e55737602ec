//! A cluster's surroundings: authorities, certificates, keyring, configurations; and callers.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kho_node::data_dir::DataDir;
use kho_node::seams::Seams;
use kho_node::serve::Node;
use kho_node::{Config, ServeError, keys};
use kho_proto::checkpoint::VerifierKey;
use kho_proto::digest::Digest;
use kho_proto::error::Code;
use kho_proto::id::{ClusterId, NodeId};
use kho_proto::pb::admin::v1::InitClusterRequest;
use kho_proto::pb::admin::v1::admin_client::AdminClient;
use kho_proto::pb::v1::store_client::StoreClient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

const PLANES: [&str; 4] = ["client", "peer", "admin", "log"];
pub const CLUSTER: ClusterId = ClusterId(*b"kho test cluster");

/// Issues certificates of one plane.
pub struct Authority {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, PEM.
#[derive(Clone)]
pub struct Card {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub fn card(&self, hosts: &[&str], uris: &[&str]) -> Card {
        let mut params =
            CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
        params.subject_alt_names.extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Card { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Everything around a cluster of some nodes.
pub struct World {
    pub dir: tempfile::TempDir,
    pub clients: Authority,
    pub peers: Authority,
    pub operators: Authority,
    pub signers: Authority,
    pub log: Authority,
    ports: Vec<[u16; 4]>,
}

impl World {
    pub fn new(nodes: usize) -> World {
        let dir = tempfile::tempdir().unwrap();
        let free: Vec<TcpListener> =
            (0..nodes * PLANES.len()).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = free.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let world = World {
            clients: Authority::new("clients"),
            peers: Authority::new("peers"),
            operators: Authority::new("operators"),
            signers: Authority::new("signers"),
            log: Authority::new("log"),
            ports: ports.as_chunks::<4>().0.to_vec(),
            dir,
        };
        for (name, authority) in [
            ("client", &world.clients),
            ("peer", &world.peers),
            ("admin", &world.operators),
            ("signers", &world.signers),
            ("log", &world.log),
        ] {
            world.write(&format!("{name}-ca.pem"), &authority.issuer.pem());
        }
        for node in 1..=nodes {
            let uri = format!("urn:kho:node:{CLUSTER}:{node}");
            world.write_card(&format!("client{node}"), &world.clients.card(&["127.0.0.1"], &[]));
            world.write_card(&format!("peer{node}"), &world.peers.card(&["127.0.0.1"], &[&uri]));
            world.write_card(&format!("admin{node}"), &world.operators.card(&["127.0.0.1"], &[]));
            world.write_card(&format!("log{node}"), &world.log.card(&["127.0.0.1"], &[]));
            DataDir::create(&world.path(&format!("data{node}")), CLUSTER, NodeId(node as u64)).unwrap();
        }
        keys::keyring::create(&world.path("keyring"), CLUSTER, &*Seams::system().entropy).unwrap();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn write_card(&self, name: &str, card: &Card) {
        self.write(&format!("{name}.pem"), &card.certificate);
        self.write(&format!("{name}.key"), &card.key);
    }

    pub fn port(&self, node: usize, plane: &str) -> u16 {
        let at = PLANES.iter().position(|name| *name == plane).unwrap();
        self.ports[node - 1][at]
    }

    pub fn toml(&self, node: usize) -> String {
        let addresses = |node: usize| {
            ["client", "peer", "admin"]
                .map(|plane| format!("{plane} = \"127.0.0.1:{}\"\n", self.port(node, plane)))
                .concat()
        };
        let mut text = format!(
            "cluster_id = \"{CLUSTER}\"\nnode_id = {node}\ndata_dir = \"data{node}\"\nkeyring = \"keyring\"\n[listen]\n{}log = \"127.0.0.1:{}\"\n",
            addresses(node),
            self.port(node, "log")
        );
        for plane in ["client", "peer", "admin"] {
            text += &format!(
                "[tls.{plane}]\ncertificate = \"{plane}{node}.pem\"\nkey = \"{plane}{node}.key\"\ntrust = \"{plane}-ca.pem\"\n"
            );
        }
        text += &format!("[tls.log]\ncertificate = \"log{node}.pem\"\nkey = \"log{node}.key\"\n");
        text += "[signers]\ntrust = \"signers-ca.pem\"\n[limits]\nqueue_records = 64\n[disk]\nreserve_percent = 0\nballast_mib = 1\n";
        for node in 1..=self.ports.len() {
            text += &format!("[[members]]\nid = {node}\n{}", addresses(node));
        }
        text
    }

    pub fn config(&self, node: usize) -> Config {
        self.parse(&self.toml(node))
    }

    pub fn parse(&self, toml: &str) -> Config {
        Config::parse(toml, self.dir.path()).unwrap()
    }

    pub async fn start(&self, node: usize) -> Node {
        begin(self.config(node), &Seams::system()).await
    }

    pub async fn try_start(&self, config: Config) -> Result<Node, ServeError> {
        Node::start(config, Seams::system()).await
    }

    /// Starts all nodes and forms the cluster.
    pub async fn formed(nodes: usize) -> (World, Vec<Node>, VerifierKey) {
        let world = World::new(nodes);
        let mut running = Vec::new();
        for node in 1..=nodes {
            running.push(world.start(node).await);
        }
        let key = world.form(1).await;
        (world, running, key)
    }

    pub async fn form(&self, node: usize) -> VerifierKey {
        let formed = self.operator(node).await.init_cluster(InitClusterRequest {}).await.unwrap().into_inner();
        formed.verifier_key.parse().unwrap()
    }

    pub async fn operator(&self, node: usize) -> AdminClient<Channel> {
        let card = self.operators.card(&[], &["urn:kho:role:operator"]);
        AdminClient::new(self.channel(node, "admin", Some(&card)).await)
    }

    /// A platform that submits and reads for all units.
    pub async fn platform(&self, node: usize) -> StoreClient<Channel> {
        self.store(node, &["urn:kho:role:submitter", "urn:kho:role:reader", "urn:kho:units:all"]).await
    }

    pub async fn store(&self, node: usize, uris: &[&str]) -> StoreClient<Channel> {
        let card = self.clients.card(&[], uris);
        self.store_of(node, Some(&card)).await
    }

    pub async fn store_of(&self, node: usize, card: Option<&Card>) -> StoreClient<Channel> {
        StoreClient::new(self.channel(node, "client", card).await).max_encoding_message_size(64 << 20)
    }

    pub async fn channel(&self, node: usize, plane: &str, card: Option<&Card>) -> Channel {
        self.try_channel(node, plane, card).await.unwrap()
    }

    pub async fn try_channel(
        &self,
        node: usize,
        plane: &str,
        card: Option<&Card>,
    ) -> Result<Channel, tonic::transport::Error> {
        let trust = std::fs::read_to_string(self.path(&format!("{plane}-ca.pem"))).unwrap();
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(trust)).domain_name("127.0.0.1");
        if let Some(card) = card {
            tls = tls.identity(Identity::from_pem(&card.certificate, &card.key));
        }
        let uri = format!("https://127.0.0.1:{}", self.port(node, plane));
        let endpoint = Endpoint::from_shared(uri).unwrap().tls_config(tls).unwrap();
        endpoint.connect_timeout(Duration::from_secs(5)).connect().await
    }
}

/// Starts a node, also one that has just stopped: its process would be gone by then; here tasks of it may hold its database
/// for a moment longer.
pub async fn begin(config: Config, seams: &Seams) -> Node {
    let begun = std::time::Instant::now();
    loop {
        match Node::start(config.clone(), seams.clone()).await {
            Err(error) if error.code() == Code::DataDirLocked && begun.elapsed() < Duration::from_secs(10) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            started => return started.unwrap(),
        }
    }
}

/// Size and root of a node's tree.
pub fn tree(node: &Node) -> (u64, Digest) {
    let tip = node.state().tip();
    (tip.size(), tip.root())
}

pub fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
