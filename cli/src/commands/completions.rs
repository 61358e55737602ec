//! `kho completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::Kho;
use crate::exit::Result;

/// Prints what makes a shell complete `kho`'s commands and options.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kho completions bash > /etc/bash_completion.d/kho       (all users; or ~/.local/share/bash-completion/completions/kho)
  kho completions zsh > ~/.zfunc/_kho                     (a directory of $fpath)
  kho completions fish > ~/.config/fish/completions/kho.fish")]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &Args) -> Result {
    // a pipe that is closed would make the generator panic: it writes into memory
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Kho::command(), "kho", &mut script);
    Ok(crate::out::bytes(&script)?)
}
