//! Wrong usage, as clap finds it.

use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::exit::Exit;
use crate::lang::{self, Lang};

/// Prints what is wrong with the arguments, or the help that was asked for. What is wrong is said in the language of this process;
/// what was given and may be given stands below it, as the help has it.
pub fn report(error: &clap::Error) -> ExitCode {
    let wrong = error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if let Some(text) = in_words(error.kind(), lang::current()).filter(|_| wrong) {
        eprintln!("{}: {text}", lang::ERROR.get());
    }
    // nobody can be told that nothing can be printed
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8))
}

/// In English clap says it itself.
fn in_words(kind: ErrorKind, lang: Lang) -> Option<&'static str> {
    let text = match kind {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => lang::USAGE_VALUE,
        ErrorKind::UnknownArgument => lang::USAGE_UNKNOWN,
        ErrorKind::InvalidSubcommand => lang::USAGE_COMMAND,
        ErrorKind::ArgumentConflict => lang::USAGE_CONFLICT,
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand => lang::USAGE_MISSING,
        ErrorKind::TooFewValues | ErrorKind::TooManyValues | ErrorKind::WrongNumberOfValues => lang::USAGE_NUMBER,
        _ => lang::USAGE,
    };
    (lang != Lang::En).then(|| text.of(lang))
}
