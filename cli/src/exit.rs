//! How a command ends. Scripts rely on the numbers.

use std::process::ExitCode;

use kho::{admin, client_file, dev};
use kho_client::{GetError, SubmitError};
use kho_proto::error::Code;

/// Exit codes of failed commands; wrong usage ends with 2, in clap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Refused, or a check failed.
    Refused = 1,
    /// The outcome is not known: the record may or may not be in.
    Unknown = 3,
    /// No node was reached.
    Unreachable = 4,
}

/// Shown at the end of `kho --help`.
pub const HELP: &str = "\
Exit codes:
  0  done
  1  refused, or a check failed
  2  wrong usage
  3  outcome unknown: the record may or may not be in; submit the same ID.record again
  4  no node reached
kho serve: 74 its disk failed, 78 it refused to start (kho config check: 78 it would)";

/// Why a command failed, and how it ends.
#[derive(Debug)]
pub struct Failure {
    exit: Option<Exit>,
    error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { exit: None, error: error.into() }
    }
}

/// What commands return.
pub type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure with a message of its own.
    pub fn new(exit: Exit, message: impl std::fmt::Display + std::fmt::Debug + Send + Sync + 'static) -> Self {
        Self { exit: Some(exit), error: anyhow::Error::msg(message) }
    }

    fn exit(&self) -> u8 {
        let chosen = self.exit.map(|exit| exit as u8);
        chosen.or_else(|| self.error.chain().find_map(of)).unwrap_or(Exit::Refused as u8)
    }

    fn code(&self) -> Option<Code> {
        self.error.chain().find_map(code)
    }
}

fn of(error: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(error) = error.downcast_ref::<kho_node::ServeError>() {
        return Some(error.exit_code());
    }
    if let Some(error) = error.downcast_ref::<SubmitError>() {
        let exit = match error {
            SubmitError::Unknown { .. } => Exit::Unknown,
            SubmitError::Unreachable { .. } => Exit::Unreachable,
            _ => Exit::Refused,
        };
        return Some(exit as u8);
    }
    // what an operator asked for may have been done
    if matches!(error.downcast_ref(), Some(admin::Error::Refused { refusal, .. }) if refusal.code == Code::OutcomeUnknown)
    {
        return Some(Exit::Unknown as u8);
    }
    let unreachable = matches!(error.downcast_ref(), Some(GetError::Unreachable { .. }))
        || matches!(error.downcast_ref(), Some(admin::Error::Unreachable { .. }))
        || matches!(error.downcast_ref(), Some(dev::Error::Timeout { .. }));
    unreachable.then_some(Exit::Unreachable as u8)
}

fn code(error: &(dyn std::error::Error + 'static)) -> Option<Code> {
    let refused = |refusal: &kho_proto::error::Refusal| refusal.code;
    None.or_else(|| error.downcast_ref::<SubmitError>().map(SubmitError::code))
        .or_else(|| error.downcast_ref::<GetError>().map(GetError::code))
        .or_else(|| error.downcast_ref::<admin::Error>().map(admin::Error::code))
        .or_else(|| error.downcast_ref::<kho_client::SignDraftError>().map(kho_client::SignDraftError::code))
        .or_else(|| error.downcast_ref::<kho_client::PemError>().map(kho_client::PemError::code))
        .or_else(|| error.downcast_ref::<kho_client::ConfigError>().map(kho_client::ConfigError::code))
        .or_else(|| error.downcast_ref::<kho_client::channel::Error>().map(kho_client::channel::Error::code))
        .or_else(|| error.downcast_ref::<kho_node::config::Error>().map(kho_node::config::Error::code))
        .or_else(|| error.downcast_ref::<kho_node::keys::Error>().map(kho_node::keys::Error::code))
        .or_else(|| error.downcast_ref::<kho_node::ServeError>().map(kho_node::ServeError::code))
        .or_else(|| error.downcast_ref::<client_file::Error>().map(|_| Code::ConfigInvalid))
        .or_else(|| error.downcast_ref().map(refused))
}

/// Prints what went wrong and turns it into an exit code.
pub fn report(result: Result) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    // nobody answered: a node's code would say what no node said
    let code = failure.code().filter(|_| failure.exit() != Exit::Unreachable as u8).map(Code::as_str);
    // the messages of most errors hold their cause already: say nothing twice
    let mut text = String::new();
    for cause in failure.error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    match code {
        Some(code) => eprintln!("error [{code}]: {}", text.replacen(&format!("{code}: "), "", 1)),
        None => eprintln!("error: {text}"),
    }
    ExitCode::from(failure.exit())
}
