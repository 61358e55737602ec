//! How a command ends. Scripts rely on the numbers.

use std::process::ExitCode;

use kho::{admin, client_file, dev};
use kho_client::{
    AttachmentError, ConfigError, GetError, OutboxError, PemError, ReadError, SignDraftError, SubmitError, channel, log,
};
use kho_node::{ServeError, config, keys};
use kho_proto::error::{Code, Refusal};
use kho_proto::{certificate, checkpoint, header, period, receipt, record, report, signature, tlog};

use crate::lang::{self, Lang};

/// Exit codes of failed commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Refused, or a check failed.
    Refused = 1,
    /// Wrong usage; what clap finds ends with it, too.
    Usage = 2,
    /// The outcome is not known, or not proven: the record may be in.
    Unknown = 3,
    /// No node was reached, or none could do it now: it was not done, and may be asked again as it is.
    Unreachable = 4,
    /// A drill was made, and a requirement is not met.
    NotMet = 5,
    /// A drill's fault may still be there.
    NotHealed = 6,
    /// A configuration that nothing would start with.
    Config = 78,
    /// Ended by SIGINT, in good order.
    Interrupted = 130,
    /// Ended by SIGTERM, in good order.
    Terminated = 143,
}

/// Shown at the end of `kho --help`.
pub const HELP: &str = "\
Exit codes:
  0  done
  1  refused, or a check failed
  2  wrong usage
  3  outcome unknown, or no good receipt: the record may be in; submit the same ID.record again
  4  no node reached, or none could do it now (no leader, over quota): not done; submit it again
  5  kho drill: a requirement is not met, or the fault took no effect; the report says which
  6  kho drill: what it broke is not mended; the message says what to run
  130, 143  ended by SIGINT (Ctrl-C), SIGTERM; kho submit says what was acknowledged, and the same command goes on
kho serve: 74 its disk failed, 78 it refused to start (kho config check: 78 the file is wrong)";

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

    /// Arguments that don't go together, where clap does not see it.
    pub fn usage(message: impl std::fmt::Display + std::fmt::Debug + Send + Sync + 'static) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A failure with a stable code that ends as `exit`.
    pub fn coded(exit: Exit, refusal: Refusal) -> Self {
        Self { exit: Some(exit), error: refusal.into() }
    }

    /// How the command ends.
    pub fn exit(&self) -> u8 {
        let chosen = self.exit.map(|exit| exit as u8);
        chosen.or_else(|| self.error.chain().find_map(of)).unwrap_or(Exit::Refused as u8)
    }

    /// Of several, the one that the command ends as: an unknown outcome asks most of who reads it, then what did not reach
    /// anybody. The others are told.
    pub fn worst(failures: impl IntoIterator<Item = Self>) -> Option<Self> {
        let weight = |failure: &Self| match failure.exit() {
            exit if exit == Exit::Unknown as u8 => 2,
            exit if exit == Exit::Unreachable as u8 => 1,
            _ => 0,
        };
        failures.into_iter().reduce(|before, failure| {
            let (told, kept) = if weight(&failure) > weight(&before) { (before, failure) } else { (failure, before) };
            told.tell();
            kept
        })
    }

    /// The same failure, ending as `exit`.
    pub fn ending(self, exit: Exit) -> Self {
        Self { exit: Some(exit), ..self }
    }

    /// Prints what went wrong.
    pub fn tell(&self) {
        tell(self);
    }

    /// The same, of something at `place`: a file, or a line of one.
    pub fn at(self, place: &str) -> Self {
        Self { exit: self.exit, error: self.error.context(place.to_owned()) }
    }

    /// The stable code, where there is one.
    pub fn code(&self) -> Option<Code> {
        self.error.chain().find_map(code)
    }
}

fn of(error: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(error) = error.downcast_ref::<ServeError>() {
        return Some(error.exit_code());
    }
    if let Some(refusal) = refusal(error) {
        let exit = match refusal.code {
            // what an operator asked for may have been done
            Code::OutcomeUnknown => Exit::Unknown,
            code if code.retry() => Exit::Unreachable,
            _ => Exit::Refused,
        };
        return Some(exit as u8);
    }
    if let Some(error) = error.downcast_ref::<SubmitError>() {
        let exit = match error {
            SubmitError::Unknown { .. } | SubmitError::Receipt { .. } => Exit::Unknown,
            SubmitError::Unreachable { .. } => Exit::Unreachable,
            _ => Exit::Refused,
        };
        return Some(exit as u8);
    }
    let unreachable = matches!(error.downcast_ref(), Some(GetError::Unreachable { .. }))
        || matches!(error.downcast_ref(), Some(ReadError::Unreachable { .. }))
        || matches!(error.downcast_ref(), Some(AttachmentError::Stopped { .. }))
        || matches!(error.downcast_ref(), Some(admin::Error::Unreachable { .. }))
        || matches!(error.downcast_ref(), Some(log::Error::Unreachable { .. }))
        || matches!(error.downcast_ref(), Some(dev::Error::Timeout { .. }));
    unreachable.then_some(Exit::Unreachable as u8)
}

/// What a node answered in place of doing it.
fn refusal<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Refusal> {
    if let Some(SubmitError::Refused { refusal, .. }) = error.downcast_ref() {
        return Some(refusal);
    }
    if let Some(GetError::Refused { refusal, .. }) = error.downcast_ref() {
        return Some(refusal);
    }
    if let Some(ReadError::Refused { refusal, .. }) = error.downcast_ref() {
        return Some(refusal);
    }
    if let Some(AttachmentError::Refused { refusal, .. }) = error.downcast_ref() {
        return Some(refusal);
    }
    match error.downcast_ref() {
        Some(admin::Error::Refused { refusal, .. }) => Some(refusal),
        _ => None,
    }
}

/// The stable code of the first of these types that `error` is.
macro_rules! code_of {
    ($error:ident: $($kind:ty),* $(,)?) => {
        $(if let Some(error) = $error.downcast_ref::<$kind>() {
            return Some(error.code());
        })*
    };
}

fn code(error: &(dyn std::error::Error + 'static)) -> Option<Code> {
    // a transparent error hides what it wraps: each type that reaches a command must be here
    code_of!(error:
        SubmitError, GetError, ReadError, AttachmentError, SignDraftError, PemError, ConfigError, channel::Error, // the client
        OutboxError,
        admin::Error, client_file::Error, // the tools
        log::Error, tlog::CompareError, // the public log
        ServeError, config::Error, keys::Error, // the node
        report::Error, period::Error, record::Error, header::Error, // what a sender made
        signature::Error, certificate::Error, receipt::Error, checkpoint::Error, // what proves it
    );
    if let Some(error) = error.downcast_ref::<dev::Error>() {
        return error.code();
    }
    error.downcast_ref::<Refusal>().map(|refusal| refusal.code)
}

/// Prints what went wrong and turns it into an exit code.
pub fn report(result: Result) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    failure.tell();
    ExitCode::from(failure.exit())
}

fn tell(failure: &Failure) {
    // where nobody answered, a node's code would say what no node said
    let answered = failure.error.chain().any(|error| refusal(error).is_some());
    let code = failure.code().filter(|_| answered || failure.exit() != Exit::Unreachable as u8);
    // the messages of most errors hold their cause already: say nothing twice
    let mut text = String::new();
    for cause in failure.error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    eprintln!("{}", told(lang::current(), code, &text));
}

/// An error as people read it: in Vietnamese what the code means, and below it the English sentence with its values.
fn told(lang: Lang, code: Option<Code>, text: &str) -> String {
    let error = lang::ERROR.of(lang);
    let Some(code) = code else { return format!("{error}: {text}") };
    let text = text.replacen(&format!("{}: ", code.as_str()), "", 1);
    match lang {
        Lang::En => format!("{error} [{}]: {text}", code.as_str()),
        Lang::Vi => format!("{error} [{}]: {}\n  {text}", code.as_str(), lang::sentence(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_code_and_its_values_in_either_language() {
        let (code, text) =
            (Some(Code::PeriodInvalid), "reports.ndjson:3: period-invalid: expected 2020-06, found 06/2020");
        assert_eq!(
            told(Lang::En, code, text),
            "error [period-invalid]: reports.ndjson:3: expected 2020-06, found 06/2020"
        );
        assert_eq!(
            told(Lang::Vi, code, text),
            "lỗi [period-invalid]: kỳ báo cáo viết không đúng quy cách\n  reports.ndjson:3: expected 2020-06, found 06/2020"
        );
        assert_eq!(told(Lang::Vi, None, "absent"), "lỗi: absent");
    }

    /// Whoever takes a 1 for "it will never be taken" drops a report that the next leader would have taken.
    #[test]
    fn what_may_be_asked_again_as_it_is_does_not_end_as_refused() {
        let (unreachable, refused) = (Exit::Unreachable, Exit::Refused);
        for (code, exit) in [
            (Code::NoLeader, unreachable),
            (Code::QuotaExceeded, unreachable),
            (Code::Overloaded, unreachable),
            (Code::SeriesHasHead, refused),
            (Code::SignatureInvalid, refused),
        ] {
            let record_id = kho_proto::id::RecordId([1; 16]);
            let refusal = || Box::new(Refusal::new(code, "why"));
            let submit = SubmitError::Refused { record_id, refusal: refusal() };
            let get = GetError::Refused { record_id, refusal: refusal(), absent: false };
            let list = ReadError::Refused { refusal: refusal() };
            let attach = AttachmentError::Refused { name: "map.pdf".to_owned(), refusal: refusal() };
            let operate = admin::Error::Refused { address: "a:1".to_owned(), refusal: refusal() };
            for failure in [Failure::from(submit), get.into(), list.into(), attach.into(), operate.into()] {
                assert_eq!((failure.code(), failure.exit()), (Some(code), exit as u8), "{failure:?}");
            }
        }
    }

    #[test]
    fn of_several_what_is_in_doubt_ends_the_command() {
        let failure = |exit| Failure::new(exit, "one of several");
        let (refused, unknown, unreachable) = (Exit::Refused, Exit::Unknown, Exit::Unreachable);
        for (all, worst) in [
            (vec![refused], refused),
            (vec![refused, unreachable, refused], unreachable),
            (vec![unreachable, unknown], unknown),
            (vec![unknown, unreachable, refused], unknown),
        ] {
            assert_eq!(Failure::worst(all.into_iter().map(failure)).map(|failure| failure.exit()), Some(worst as u8));
        }
        assert!(Failure::worst([]).is_none());
    }
}
