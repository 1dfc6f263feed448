//! Name and arguments -> a command of the plugin, with output like kubectl's (IO).

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use cli::{Console, Failure, args, run};

/// The name by which kubectl calls the plugin for `kubectl create workspace`.
const CREATE: &str = "kubectl-create-workspace";
/// The name by which kubectl asks for candidates of the shell's completion.
const COMPLETE: &str = "kubectl_complete-workspace";
/// The first word of the same question, from the program that `completion kubectl` prints.
const ASKS: &str = "__complete";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let called: OsString = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called).file_stem().unwrap_or_default();
    let mut words = std::env::args_os().skip(1);
    if name == COMPLETE || words.next().is_some_and(|first| first == ASKS) {
        // A half-typed command line is read as it is, not as flags of this call.
        let words = std::env::args_os().skip(if name == COMPLETE { 1 } else { 2 });
        let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let completed = cli::complete(&words, &mut io::stdout()).await;
        return completed.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let mut input = io::BufReader::new(io::stdin());
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let answers = io::stdin().is_terminal().then_some(&mut input as _);
    let mut console = Console::new(&mut out, &mut err, answers);
    let cli = if name == CREATE {
        parse::<args::CreateArgs>().into()
    } else {
        parse::<args::Cli>()
    };
    match Box::pin(run::workspace(&cli, &mut console)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        // What is wrong was shown as the result.
        Err(failure @ Failure::Explained) => ExitCode::from(failure.code()),
        Err(failure) => {
            // Without its stream there is nowhere to show it; the exit code tells.
            let _ = console.show_failure(&failure);
            ExitCode::from(failure.code())
        }
    }
}

fn parse<P: Parser>() -> P {
    P::try_parse().unwrap_or_else(|error| args::with_tips(error, &P::command()).exit())
}
