//! `kho config`

use std::path::{Path, PathBuf};

use clap::ArgGroup;
use kho::client_file::{self, ClientFile};
use kho_node::{Config, ServeError, config, telemetry};
use kho_proto::certificate::TrustRoots;

use crate::exit::{Exit, Failure, Result};

/// Checks configurations, and shows what one looks like.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Reads a node's configuration as `kho serve` would, or a client file, and says what is wrong with it.
    #[command(
        after_help = "Unknown fields and values out of range are named with the allowed range; relative paths are\n\
        relative to the file. Of a client file the certificates and keys that it names are read as well, and held against each\n\
        other. Nothing is started, nobody is asked and no file is changed. Ends with 78 if anything is wrong, as\n\
        `kho serve` would.\n\nExamples:\n  kho config check node1.toml\n  kho config check client.toml"
    )]
    Check {
        /// The node's configuration, or a client file.
        file: PathBuf,
    },
    /// Prints a configuration with every field explained, to be filled in.
    #[command(group = ArgGroup::new("of").required(true), after_help = "\
What is printed is valid as it stands; names, addresses and paths are to be replaced. A whole development cluster, with
certificates, is kho cluster new's.

Examples:
  kho config example --client > client.toml && kho config check client.toml
  kho config example --server > node1.toml && kho config check node1.toml")]
    Example {
        /// A client file: how to reach a cluster, as whom, and what to believe.
        #[arg(long, group = "of")]
        client: bool,
        /// A node's configuration.
        #[arg(long, group = "of")]
        server: bool,
    },
}

const CLIENT: &str = include_str!("../examples/client.toml");
const SERVER: &str = include_str!("../examples/node.toml");

pub fn run(command: Command) -> Result {
    match command {
        Command::Example { server, .. } => {
            // its last line ends by itself
            Ok(outln!("{}", if server { SERVER } else { CLIENT }.trim_end())?)
        }
        Command::Check { file } if is_client(&file) => {
            check_client(&file).map_err(|failure| failure.ending(Exit::Config))
        }
        Command::Check { file } => {
            let config = load(&file)?;
            telemetry::filter(&config.telemetry).map_err(ServeError::Telemetry)?;
            outln!(
                "{}: ok: node {} of cluster {}, {} members",
                file.display(),
                config.node_id,
                config.cluster_id,
                config.members.len()
            )?;
            Ok(())
        }
    }
}

fn is_client(file: &Path) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| client_file::is_client(&text))
}

/// Reads a node's configuration.
pub fn load(file: &Path) -> Result<Config> {
    Ok(Config::load(file).map_err(|error| {
        ServeError::Config(match error {
            config::Error::Malformed { .. } if is_client(file) => config::Error::Malformed {
                file: Some(file.to_owned()),
                message: "expected a node's configuration (node_id, listen, members), found a client file; kho config \
                          example --server prints one"
                    .to_owned(),
            },
            error => error,
        })
    })?)
}

fn check_client(path: &Path) -> Result {
    let file = ClientFile::load(path)?;
    file.timing()?;
    file.tls.load()?;
    let mut says = vec![format!("{} nodes", file.nodes.len())];
    says.push(match file.verifier_key {
        Some(_) => format!("log {}", file.verifier_key()?.origin()),
        None => "no verifier_key yet (kho cluster init --pin)".to_owned(),
    });
    if file.admin_tls.is_some() {
        file.operator()?;
        says.push(format!("an operator of {} nodes", file.admin_nodes.len()));
    }
    if file.signer.is_some() {
        file.signer()?;
        says.push("a signer".to_owned());
    }
    if let Some(trust) = &file.signers_trust {
        let at = |failure: Failure| failure.at(&trust.display().to_string());
        let pem = std::fs::read(trust).map_err(|error| at(error.into()))?;
        TrustRoots::from_pem(&pem).map_err(|error| at(error.into()))?;
    }
    outln!("{}: ok: client file: {}", path.display(), says.join(", "))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_what_they_say() {
        let node = Config::parse(SERVER, Path::new("/etc/kho")).unwrap();
        assert_eq!((node.node_id, node.members.len()), (1, 3));
        let client: ClientFile = toml::from_str(CLIENT).unwrap();
        assert_eq!((client.nodes.len(), client.admin_nodes.len()), (3, 3));
        client.timing().unwrap();
        assert!(client_file::is_client(CLIENT) && client_file::is_node(SERVER));
        // whatever is commented out may be taken in: it is a field, with a value that is allowed
        let all = |text: &str| {
            let given = |line: &str| line.strip_prefix("# ").filter(|rest| is_field(rest)).unwrap_or(line).to_owned();
            text.lines().map(given).collect::<Vec<_>>().join("\n")
        };
        Config::parse(&all(SERVER), Path::new("/etc/kho")).unwrap();
        let client: ClientFile = toml::from_str(&all(CLIENT)).unwrap();
        client.verifier_key().unwrap();
        assert!(client.deadline_ms.is_some() && client.signer.unwrap().algorithm.is_some());
    }

    /// `name = value`, or `[table]`.
    fn is_field(line: &str) -> bool {
        let name = line.split([' ', '=']).next().unwrap_or_default();
        let simple =
            |name: &str| !name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        line.starts_with('[') || (simple(name) && line[name.len()..].trim_start().starts_with('='))
    }
}
