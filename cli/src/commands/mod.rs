//! The commands. Each file holds its arguments and what it does.

mod attachment;
mod bench;
mod catalogue;
mod certs;
mod cluster;
mod completions;
mod config;
mod crl;
mod csv;
mod data;
mod entries;
mod evidence;
mod export;
mod filter;
mod get;
mod history;
mod keys;
mod list;
mod log;
mod man;
mod outbox;
mod replace;
mod serve;
mod stats;
mod status;
mod submit;
mod verify;
mod version;
mod watch;

pub use verify::check;

use std::future::Future;

use clap::{Parser, Subcommand};

use crate::exit::{HELP, Result};
use crate::lang::Lang;
use crate::{demo, drill};

/// A replicated, sealed, receipt-issuing store for signed report records.
#[derive(Parser)]
#[command(name = "kho", version, propagate_version = true, max_term_width = 110, after_help = HELP, arg_required_else_help = true)]
pub struct Kho {
    #[command(subcommand)]
    command: Command,
    /// Language of messages; else by LC_ALL, LC_MESSAGES or LANG. Help, JSON and CSV are the same in both.
    #[arg(long, global = true, value_enum, value_name = "LANG")]
    lang: Option<Lang>,
}

impl Kho {
    /// The language that was asked for.
    pub fn lang(&self) -> Option<Lang> {
        self.lang
    }
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Status(status::Args),
    Submit(submit::Args),
    #[command(subcommand)]
    Outbox(outbox::Command),
    Get(get::Args),
    #[command(subcommand)]
    Attachment(attachment::Command),
    List(list::Args),
    History(history::Args),
    Watch(watch::Args),
    Stats(stats::Args),
    #[command(subcommand)]
    Catalogue(catalogue::Command),
    Verify(verify::Args),
    #[command(subcommand)]
    Log(log::Command),
    #[command(subcommand)]
    Cluster(cluster::Command),
    #[command(subcommand)]
    Crl(crl::Command),
    #[command(subcommand)]
    Drill(drill::Command),
    Bench(bench::Args),
    #[command(subcommand)]
    Certs(certs::Command),
    #[command(subcommand)]
    Keys(keys::Command),
    #[command(subcommand)]
    Config(config::Command),
    #[command(subcommand)]
    Data(data::Command),
    Completions(completions::Args),
    Man(man::Args),
    Version(version::Args),
}

/// Runs what the command line says.
pub fn run(kho: Kho) -> Result {
    match kho.command {
        Command::Demo(args) => block_on(demo::run(args)),
        Command::Serve(args) => serve::run(args),
        Command::Status(args) => block_on(status::run(args)),
        Command::Submit(args) => block_on(submit::run(args)),
        Command::Outbox(command) => block_on(outbox::run(command)),
        Command::Get(args) => block_on(get::run(args)),
        Command::Attachment(command) => block_on(attachment::run(command)),
        Command::List(args) => block_on(list::run(args)),
        Command::History(args) => block_on(history::run(args)),
        Command::Watch(args) => block_on(watch::run(args)),
        Command::Stats(args) => block_on(stats::run(args)),
        Command::Catalogue(command) => block_on(catalogue::run(command)),
        Command::Verify(args) => verify::run(&args),
        Command::Log(command) => block_on(log::run(command)),
        Command::Cluster(command) => block_on(cluster::run(command)),
        Command::Crl(command) => block_on(crl::run(command)),
        Command::Drill(command) => block_on(drill::run(command)),
        Command::Bench(args) => block_on(bench::run(args)),
        Command::Certs(command) => certs::run(command),
        Command::Keys(command) => keys::run(command),
        Command::Config(command) => config::run(command),
        Command::Data(command) => data::run(command),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Version(args) => version::run(&args),
    }
}

fn block_on(future: impl Future<Output = Result>) -> Result {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Kho;

    fn each(command: &mut clap::Command, path: &str, check: &mut impl FnMut(&str, &mut clap::Command)) {
        check(path, command);
        for sub in command.get_subcommands_mut() {
            let path = format!("{path} {}", sub.get_name());
            each(sub, &path, check);
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Kho::command().debug_assert();
    }

    #[test]
    fn every_command_and_argument_is_explained() {
        each(&mut Kho::command(), "kho", &mut |path, command| {
            assert!(command.get_about().is_some(), "{path} says nothing of itself");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{path} {} has no help", argument.get_id());
            }
        });
    }

    #[test]
    fn commands_for_operators_show_examples() {
        each(&mut Kho::command(), "kho", &mut |path, command| {
            if command.get_subcommands().next().is_none() {
                let help = command.render_long_help().to_string();
                assert!(help.contains("Example"), "{path} shows no example:\n{help}");
            }
        });
    }

    /// A binary that was copied to a machine has no docs/ beside it.
    #[test]
    fn no_help_points_to_a_file_that_is_not_there() {
        each(&mut Kho::command(), "kho", &mut |path, command| {
            let help = command.render_long_help().to_string();
            assert!(!help.contains("docs/"), "{path}:\n{help}");
        });
    }

    /// One way to ask for JSON and CSV; the older one goes on to work where it did, and is not shown.
    #[test]
    fn every_result_has_a_format() {
        let mut with_format = Vec::new();
        each(&mut Kho::command(), "kho", &mut |path, command| {
            let argument = |long: &str| command.get_arguments().find(|one| one.get_long() == Some(long)).cloned();
            if let Some(json) = argument("json").filter(|json| !json.get_action().takes_values()) {
                assert!(json.is_hide_set() && argument("format").is_some(), "{path}");
            }
            if argument("format").is_some() {
                assert!(argument("json").is_some(), "{path}");
                with_format.push(path.to_owned());
            }
        });
        for path in [
            "kho status",
            "kho version",
            "kho crl list",
            "kho list",
            "kho outbox list",
            "kho stats",
            "kho catalogue show",
        ] {
            assert!(with_format.iter().any(|one| one == path), "{path}: {with_format:?}");
        }
    }

    #[test]
    fn the_help_names_the_exit_codes() {
        let help = Kho::command().render_help().to_string();
        for exit in ["2  wrong usage", "3  outcome unknown", "130, 143  ended by SIGINT"] {
            assert!(help.contains(exit), "{exit}\n{help}");
        }
    }
}
