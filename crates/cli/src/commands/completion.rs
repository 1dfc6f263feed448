//! A shell -> the script by which it completes the plugin's commands (IO).

use clap::CommandFactory as _;
use clap_complete::{Shell as ClapShell, generate};

use crate::args::{Cli, Completion, Shell};
use crate::failure::Failure;
use crate::run::Console;

/// The program that kubectl looks for beside a plugin. It answers with names of the cluster, too.
const FOR_KUBECTL: &str = "#!/bin/sh\nexec kubectl-workspace __complete \"$@\"\n";

/// Prints the script.
pub(crate) fn run(args: &Completion, console: &mut Console<'_>) -> Result<(), Failure> {
    let shell = match args.shell {
        Shell::Bash => ClapShell::Bash,
        Shell::Zsh => ClapShell::Zsh,
        Shell::Fish => ClapShell::Fish,
        Shell::Kubectl => return Ok(write!(console.out, "{FOR_KUBECTL}")?),
    };
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "kubectl-workspace", &mut script);
    Ok(console.out.write_all(&script)?)
}
