//! Words of an unfinished command line -> candidates for the last one, as kubectl asks plugins for them (IO).
//!
//! kubectl runs `kubectl_complete-workspace` with all words, the unfinished one last. The answer has a candidate per line and ends with
//! cobra's directive.

use std::io::Write;

use api::Workspace;
use clap::{Command, CommandFactory as _, FromArgMatches as _};

use crate::args::{Cli, Connection};
use crate::cluster::Cluster;

/// Cobra's directive: offer no file names.
const NO_FILES: &str = ":4";
/// Cobra's directive: offer file names.
const FILES: &str = ":0";

/// What the last word may be.
#[derive(Debug, PartialEq, Eq)]
enum Candidates {
    Words(Vec<String>),
    /// Names of workspaces.
    Names,
    Files,
}

/// Writes the candidates. Without a connection there are no names.
pub async fn complete(words: &[String], out: &mut dyn Write) -> std::io::Result<()> {
    let last = words.last().map(String::as_str).unwrap_or_default();
    let (candidates, directive) = match candidates(words) {
        Candidates::Words(words) => (words, NO_FILES),
        Candidates::Names => (names(words).await, NO_FILES),
        Candidates::Files => (Vec::new(), FILES),
    };
    for candidate in candidates.iter().filter(|candidate| candidate.starts_with(last)) {
        writeln!(out, "{candidate}")?;
    }
    writeln!(out, "{directive}")
}

fn candidates(words: &[String]) -> Candidates {
    let mut root = Cli::command();
    root.build();
    let (last, before) = match words.split_last() {
        Some((last, before)) => (last.as_str(), before),
        None => ("", words),
    };
    let mut command: &Command = &root;
    for word in before {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    if last.starts_with('-') {
        let flags = command.get_arguments().filter_map(clap::Arg::get_long);
        return Candidates::Words(flags.map(|flag| format!("--{flag}")).collect());
    }
    let previous = before
        .last()
        .filter(|word| word.starts_with('-') && !word.contains('='));
    if let Some(flag) = previous.and_then(|word| flag(command, word))
        && flag.get_action().takes_values()
    {
        let values = flag.get_possible_values();
        let names = values.iter().map(|value| value.get_name().to_owned());
        return if values.is_empty() {
            Candidates::Files
        } else {
            Candidates::Words(names.collect())
        };
    }
    if command.has_subcommands() {
        let names = command.get_subcommands().map(|inner| inner.get_name().to_owned());
        return Candidates::Words(names.collect());
    }
    let positional = command.get_positionals().next();
    match positional.map(|it| it.get_id().as_str()) {
        Some("name" | "names") => Candidates::Names,
        Some("paths") => Candidates::Files,
        _ => Candidates::Words(Vec::new()),
    }
}

fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a clap::Arg> {
    command.get_arguments().find(|flag| {
        let long = flag.get_long().map(|long| format!("--{long}"));
        let short = flag.get_short().map(|short| format!("-{short}"));
        long.as_deref() == Some(word) || short.as_deref() == Some(word)
    })
}

async fn names(words: &[String]) -> Vec<String> {
    let line = std::iter::once("kubectl-workspace".to_owned()).chain(words.iter().cloned());
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(line);
    let connection = matches
        .ok()
        .and_then(|matches| Connection::from_arg_matches(&matches).ok());
    let Ok(cluster) = Cluster::connect(&connection.unwrap_or_default()).await else {
        return Vec::new();
    };
    let found = cluster
        .list::<Workspace>(Some(cluster.namespace()), None, None)
        .await;
    let found = found.unwrap_or_default().into_iter();
    found
        .filter_map(|workspace| Some(workspace["metadata"]["name"].as_str()?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Candidates {
        candidates(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn commands_flags_values_names_and_files_are_offered() {
        let Candidates::Words(commands) = of("") else {
            unreachable!()
        };
        assert!(commands.contains(&"start".to_owned()) && commands.contains(&"explain".to_owned()));
        let Candidates::Words(flags) = of("stop --") else {
            unreachable!()
        };
        assert!(flags.contains(&"--wait".to_owned()) && flags.contains(&"--namespace".to_owned()));
        assert_eq!(of("stop -n team de"), Candidates::Names);
        assert_eq!(of("lint "), Candidates::Files);
        assert_eq!(of("stop -f "), Candidates::Files);
        let Candidates::Words(formats) = of("list -o ") else {
            unreachable!()
        };
        assert!(formats.contains(&"wide".to_owned()), "{formats:?}");
        let Candidates::Words(inner) = of("template ") else {
            unreachable!()
        };
        assert!(inner.contains(&"show".to_owned()), "{inner:?}");
    }
}
