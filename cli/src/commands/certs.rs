//! `kho certs`

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use kho::certs::{Authority, Error, KeyKind, Profile, Role, Validity};
use kho::dev::{Layout, NodeId, Plane, write_certificates};
use kho_node::seams::Seams;
use kho_proto::id::{ClusterId, UnitCode, UnixMs};

use crate::exit::{Exit, Failure, Result};

/// Makes certificates for development: five authorities, and what they issue.
#[derive(clap::Subcommand)]
#[command(after_help = "\
Layout below --dir:  ca/{client,peer,admin,log,signers}-ca.pem   nodes/nodeN/{client,peer,admin,log}.pem
                     identities/NAME.pem                         signers/UNIT.pem
Each NAME.pem has its private key beside it, NAME.key.pem, mode 600. No key that exists is written
over, unless with --force. In production the certificates come from a real authority, with the same SAN URIs:
urn:kho:node:CLUSTER:ID, urn:kho:role:ROLE, urn:kho:unit:CODE, urn:kho:units:all.")]
pub enum Command {
    /// Makes certificate authorities; never over one that exists.
    #[command(
        after_help = "Examples:\n  kho certs ca --dir pki\n  kho certs ca --dir pki --plane signers --algorithm rsa2048"
    )]
    Ca {
        #[command(flatten)]
        common: Common,
        /// Which; all five if absent.
        #[arg(long, value_parser = word(&Plane::ALL, Plane::as_str))]
        plane: Vec<Plane>,
    },
    /// Issues a node's four certificates: client, peer and admin listener, public log.
    #[command(
        after_help = "Example:\n  kho certs node --dir pki --cluster-id 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e --node 1 --host kho1.example --host 10.0.0.1"
    )]
    Node {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        over: Over,
        /// Cluster id, a UUID.
        #[arg(long)]
        cluster_id: ClusterId,
        /// Node id, from 1.
        #[arg(long)]
        node: u64,
        /// Host name or address that the node is reached by; repeatable.
        #[arg(long = "host", required = true)]
        hosts: Vec<String>,
    },
    /// Issues the certificate of a system or a person that connects.
    #[command(after_help = "\
Examples:
  kho certs client --dir pki --name platform --role submitter --role reader --all-units
  kho certs client --dir pki --name byt --role submitter --role reader --unit BYT
  kho certs client --dir pki --name operator --plane admin --role operator")]
    Client {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        over: Over,
        /// Common name, and name of the files.
        #[arg(long)]
        name: String,
        /// Which listeners it connects to: client or admin.
        #[arg(long, value_parser = word(&Plane::ALL, Plane::as_str), default_value = "client")]
        plane: Plane,
        /// What it may do; repeatable.
        #[arg(long = "role", required = true)]
        roles: Vec<Role>,
        /// A unit that it submits and reads for; repeatable.
        #[arg(long = "unit")]
        units: Vec<UnitCode>,
        /// It submits and reads for every unit: a platform.
        #[arg(long, conflicts_with = "units")]
        all_units: bool,
    },
    /// Issues a unit's certificate for signing records.
    #[command(
        after_help = "Examples:\n  kho certs signer --dir pki --unit BYT\n  kho certs signer --dir pki --unit T01 --algorithm rsa2048"
    )]
    Signer {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        over: Over,
        /// The unit.
        #[arg(long)]
        unit: UnitCode,
    },
    /// Makes an authority's list of revoked certificates, complete: name all that are taken back.
    #[command(after_help = "\
Examples:
  kho certs crl --dir pki --certificate pki/signers/BYT.pem --out signers.crl
  kho crl install signers.crl --config client.toml

Lists of the other planes are files that nodes read: tls.client.crl, tls.admin.crl and tls.peer.crl of their configuration.

  kho certs crl --dir pki --plane client --certificate pki/identities/platform.pem --out client.crl
  kill -HUP \"$(pidof kho)\"")]
    Crl {
        /// Where the authorities are.
        #[arg(long)]
        dir: PathBuf,
        /// Whose list.
        #[arg(long, value_parser = word(&Plane::ALL, Plane::as_str), default_value = "signers")]
        plane: Plane,
        /// A certificate that is taken back, PEM; repeatable. None: an empty list.
        #[arg(long = "certificate", value_name = "FILE")]
        certificates: Vec<PathBuf>,
        /// Days until the next list is due.
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
        /// Where the list goes, PEM.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Makes a whole development set: authorities, nodes on 127.0.0.1, a platform and an operator.
    #[command(after_help = "`kho cluster new` does this and writes keyring and configurations as well.\n\n\
        Example:\n  kho certs dev --dir pki --nodes 3 --cluster-id 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e")]
    Dev {
        /// Where the files go.
        #[arg(long)]
        dir: PathBuf,
        /// How many nodes.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=9))]
        nodes: u64,
        /// Cluster id, a UUID.
        #[arg(long)]
        cluster_id: ClusterId,
    },
}

/// What all certificates have.
#[derive(clap::Args)]
pub struct Common {
    /// Where the files are and go.
    #[arg(long)]
    dir: PathBuf,
    /// Key: ed25519, p256 or rsa2048. TLS certificates and authorities are best left at p256.
    #[arg(long, default_value = "p256", value_parser = word(&KeyKind::ALL, KeyKind::as_str))]
    algorithm: KeyKind,
    /// Days of validity.
    #[arg(long, default_value_t = 825, value_parser = clap::value_parser!(u32).range(1..=7300))]
    days: u32,
}

/// What is there already.
#[derive(clap::Args)]
pub struct Over {
    /// Replaces a certificate and key that stand there: what was made with the old key stays valid, nobody can make more.
    #[arg(long)]
    force: bool,
}

/// Takes one of these words, and lets a shell complete it.
fn word<T: Copy + Send + Sync + 'static>(
    all: &[T],
    text: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> + use<T> {
    let all: Vec<(&str, T)> = all.iter().map(|one| (text(*one), *one)).collect();
    PossibleValuesParser::new(all.iter().map(|(word, _)| *word)).try_map(move |found| {
        let one = all.iter().find(|(word, _)| *word == found);
        one.map(|(_, one)| *one).ok_or_else(|| format!("{found:?} is none of them"))
    })
}

fn now() -> UnixMs {
    Seams::system().clock.now()
}

impl Common {
    fn validity(&self) -> Validity {
        Validity::days(now(), self.days)
    }

    fn layout(&self) -> Layout {
        Layout::new(&self.dir)
    }

    fn authority(&self, plane: Plane) -> Result<Authority> {
        Ok(Authority::load(&self.layout().authorities(), &plane.authority())?)
    }

    fn issue(&self, plane: Plane, profile: &Profile, dir: PathBuf, name: &str, over: &Over) -> Result {
        over.check(&dir, name)?;
        let issued = self.authority(plane)?.issue(profile, self.algorithm, self.validity())?;
        let (certificate, key) = issued.write(&dir, name)?;
        outln!("{}\n{}", certificate.display(), key.display())?;
        Ok(())
    }
}

impl Over {
    /// A key may be in use, and is in no backup that this command knows of.
    fn check(&self, dir: &Path, name: &str) -> Result {
        if self.force {
            return Ok(());
        }
        Authority::check_absent(dir, name).map_err(|error| match error {
            Error::Exists { path } => Failure::new(
                Exit::Refused,
                format!("{}: exists already, and may be in use; --force makes a new key in its place", path.display()),
            ),
            error => error.into(),
        })
    }
}

pub fn run(command: Command) -> Result {
    match command {
        Command::Ca { common, plane } => {
            let planes = if plane.is_empty() { Plane::ALL.to_vec() } else { plane };
            let dir = common.layout().authorities();
            planes.iter().try_for_each(|plane| Authority::check_absent(&dir, &plane.authority()))?;
            for plane in planes {
                let name = format!("Kho development CA: {}", plane.as_str());
                Authority::create(&name, common.algorithm, common.validity())?.write(&dir, &plane.authority())?;
                outln!("{}", common.layout().trust(plane).display())?;
            }
            Ok(())
        }
        Command::Node { common, over, cluster_id, node, hosts } => {
            let node = NodeId(node);
            let dir = common.layout().node_certificates(node);
            // all four, before the first is written
            let planes = [Plane::Client, Plane::Admin, Plane::Log, Plane::Peer];
            planes.iter().try_for_each(|plane| over.check(&dir, plane.as_str()))?;
            let server = Profile::Server { hosts: hosts.clone() };
            let peer = Profile::Peer { cluster: cluster_id, node, hosts };
            common.issue(Plane::Client, &server, dir.clone(), Plane::Client.as_str(), &over)?;
            common.issue(Plane::Admin, &server, dir.clone(), Plane::Admin.as_str(), &over)?;
            common.issue(Plane::Log, &server, dir.clone(), Plane::Log.as_str(), &over)?;
            common.issue(Plane::Peer, &peer, dir, Plane::Peer.as_str(), &over)
        }
        Command::Client { common, over, name, plane, roles, units, all_units } => {
            let profile = Profile::Connection { name: name.clone(), roles, units, all_units };
            common.issue(plane, &profile, common.layout().identities(), &name, &over)
        }
        Command::Signer { common, over, unit } => {
            let profile = Profile::Signer { unit: unit.clone() };
            common.issue(Plane::Signers, &profile, common.layout().signers(), unit.as_str(), &over)
        }
        Command::Crl { dir, plane, certificates, days, out } => {
            let authority = Authority::load(&Layout::new(&dir).authorities(), &plane.authority())?;
            let certificates: Vec<&Path> = certificates.iter().map(PathBuf::as_path).collect();
            kho::files::write(&out, authority.revoke(&certificates, now(), days)?.as_bytes())?;
            outln!("{}", out.display())?;
            Ok(())
        }
        Command::Dev { dir, nodes, cluster_id } => {
            write_certificates(&Layout::new(&dir), cluster_id, nodes, now())?;
            outln!("{}", dir.display())?;
            Ok(())
        }
    }
}
