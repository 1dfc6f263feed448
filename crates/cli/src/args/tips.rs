//! Error about a command line -> the same error with tips that help (pure).

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error};
use strsim::damerau_levenshtein as distance;

/// The error without clap's tip to write `-- --flag`, which no command has a use for. Of similar commands only the nearest are named,
/// and a flag that other commands have is said to be theirs.
pub fn with_tips(mut error: Error, root: &Command) -> Error {
    if let Some(ContextValue::StyledStrs(tips)) = error.remove(ContextKind::Suggested) {
        let left: Vec<_> = tips
            .into_iter()
            .filter(|tip| !tip.to_string().starts_with("to pass '"))
            .collect();
        if !left.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(left));
        }
    }
    nearest_command(&mut error);
    command_of_kubectl(&mut error);
    flag_of_others(&mut error, root);
    error
}

fn nearest_command(error: &mut Error) {
    let (Some(ContextValue::String(typed)), Some(ContextValue::Strings(similar))) = (
        error.get(ContextKind::InvalidSubcommand),
        error.get(ContextKind::SuggestedSubcommand),
    ) else {
        return;
    };
    let Some(least) = similar.iter().map(|name| distance(typed, name)).min() else {
        return;
    };
    let nearest = similar.iter().filter(|name| distance(typed, name) == least);
    let nearest = ContextValue::Strings(nearest.cloned().collect());
    error.insert(ContextKind::SuggestedSubcommand, nearest);
}

/// A command of kubectl is called otherwise here.
fn command_of_kubectl(error: &mut Error) {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else {
        return;
    };
    let own = match typed.as_str() {
        "get" => "list",
        "describe" => "explain",
        "edit" => "set",
        "exec" => "ssh",
        "cp" => "ssh-config",
        "port-forward" => "connect",
        _ => return,
    };
    let own = ContextValue::Strings(vec![own.to_owned()]);
    error.insert(ContextKind::SuggestedSubcommand, own);
}

fn flag_of_others(error: &mut Error, root: &Command) {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else {
        return;
    };
    let Some(flag) = typed.strip_prefix("--").map(str::to_owned) else {
        return;
    };
    if error.kind() != clap::error::ErrorKind::UnknownArgument {
        return;
    }
    let has_it = |command: &&Command| command.get_arguments().any(|it| it.get_long() == Some(&flag));
    let others = root.get_subcommands().filter(has_it);
    let others: Vec<_> = others.map(Command::get_name).collect();
    if others.is_empty() {
        return;
    }
    // A longer name of the same beginning is what was meant, a similar word is not.
    let is_longer = |similar: &ContextValue| matches!(similar, ContextValue::String(similar) if similar.trim_start_matches('-').starts_with(&flag));
    if error.get(ContextKind::SuggestedArg).is_some_and(is_longer) {
        return;
    }
    error.remove(ContextKind::SuggestedArg);
    let tip = format!("--{flag} is a flag of {}", others.join(", "));
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
}
