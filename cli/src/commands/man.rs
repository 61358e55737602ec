//! `kho man`

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::CommandFactory;

use super::Kho;
use crate::exit::Result;

/// Writes manual pages: one for `kho`, one for each command.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kho man --dir /usr/local/share/man/man1 && man kho-submit
  kho man --dir pages && man -l pages/kho-list.1")]
pub struct Args {
    /// Where the pages go; made if it is not there.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

pub fn run(args: &Args) -> Result {
    let shown = || args.dir.display().to_string();
    std::fs::create_dir_all(&args.dir).with_context(shown)?;
    let mut kho = Kho::command().disable_help_subcommand(true);
    kho.build();
    generate(&kho, &args.dir).with_context(shown)?;
    outln!("{}", args.dir.join("kho.1").display())?;
    Ok(())
}

fn generate(command: &clap::Command, dir: &Path) -> io::Result<()> {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        generate(sub, dir)?;
    }
    let man = clap_mangen::Man::new(command.clone())
        .source(format!("kho {}", env!("CARGO_PKG_VERSION")))
        .manual("Kho, a store for signed reports");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(help) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        page.extend_from_slice(behind(&help.to_string()).as_bytes());
    }
    std::fs::write(dir.join(man.get_filename()), page)
}

/// What stands behind the options in the help, as sections of a page: paragraphs are filled, and lines that are indented, such as
/// commands to copy, stay lines.
fn behind(help: &str) -> String {
    let (mut page, mut open, mut verbatim) = (String::new(), false, false);
    for line in help.lines() {
        let heading = match line {
            "Example:" | "Examples:" => Some("EXAMPLES"),
            "Exit codes:" => Some("EXIT STATUS"),
            _ if !open && !line.is_empty() => Some("NOTES"),
            _ => None,
        };
        let indented = line.starts_with(' ');
        if verbatim && (!indented || heading.is_some()) {
            page.push_str(".fi\n");
            verbatim = false;
        }
        if let Some(heading) = heading {
            page.push_str(&format!(".SH \"{heading}\"\n"));
            open = true;
            if heading != "NOTES" {
                continue;
            }
        }
        if line.is_empty() {
            page.push_str(".PP\n");
            continue;
        }
        if indented && !verbatim {
            page.push_str(".nf\n");
            verbatim = true;
        }
        page.push_str(&escaped(line));
        page.push('\n');
    }
    if verbatim {
        page.push_str(".fi\n");
    }
    page
}

/// No letter of a line means anything to roff.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_filled_and_commands_are_not() {
        let help =
            "Some words,\nand more.\n\nExamples:\n  kho list --unit 'BYT'\n  cat a\\b\nExit codes:\n  0  done\n.end";
        assert_eq!(
            behind(help),
            ".SH \"NOTES\"\nSome words,\nand more.\n.PP\n.SH \"EXAMPLES\"\n.nf\n  kho list \\-\\-unit \\(aqBYT\\(aq\n  cat a\\eb\n\
             .fi\n.SH \"EXIT STATUS\"\n.nf\n  0  done\n.fi\n\\&.end\n"
        );
    }
}
