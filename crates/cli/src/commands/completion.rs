//! A shell -> the script by which it completes the plugin's commands (IO).

use clap::CommandFactory as _;
use clap_complete::{Shell as ClapShell, generate};

use crate::args::{Cli, Completion, Shell};
use crate::console::Console;
use crate::failure::Failure;

/// The program that kubectl looks for beside a plugin. It answers with names of the cluster, too.
const FOR_KUBECTL: &str = "#!/bin/sh\nexec kubectl-workspace __complete \"$@\"\n";

/// The name by which a shell completes the program.
const PROGRAM: &str = "kubectl-workspace";

/// Prints the script.
pub(crate) fn run(args: &Completion, console: &mut Console<'_>) -> Result<(), Failure> {
    let shell = match args.shell {
        Shell::Bash => ClapShell::Bash,
        Shell::Zsh => ClapShell::Zsh,
        Shell::Fish => ClapShell::Fish,
        Shell::Kubectl => return Ok(console.out.data(FOR_KUBECTL)?),
    };
    let mut script = Vec::new();
    if shell != ClapShell::Bash {
        generate(shell, &mut Cli::command(), PROGRAM, &mut script);
        return Ok(console.out.data(&String::from_utf8_lossy(&script))?);
    }
    // In a script for bash, clap_complete 4.6 finds no subcommand of a program whose name has a hyphen.
    let name = PROGRAM.replace('-', "_");
    generate(shell, &mut Cli::command(), name.as_str(), &mut script);
    let script = String::from_utf8_lossy(&script).replace(&format!(" {name}\n"), &format!(" {PROGRAM}\n"));
    Ok(console.out.data(&script)?)
}
