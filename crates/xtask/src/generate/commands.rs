//! The command line of the plugin -> docs/kubectl-workspace.md (pure).

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};
use cli::args::Cli;

/// Renders every command with its flags.
pub(crate) fn render() -> anyhow::Result<String> {
    let mut root = Cli::command();
    root.build();
    let mut page = String::from(
        "<!-- Generated from crates/cli by `./justw gen`; do not edit. -->\n\n# kubectl workspace\n\n\
         For users who work with workspaces on a command line. List yours:\n\n    kubectl workspace list --mine\n\n\
         `kubectl workspace COMMAND --help` shows the same. To install the plugin, see [using.md](using.md#install-the-plugin).\n",
    );
    page.push_str("\n| exit code | meaning |\n|---|---|\n");
    let codes = root.get_after_help().map(ToString::to_string).unwrap_or_default();
    for line in codes.lines().filter_map(|line| line.strip_prefix("  ")) {
        let (code, meaning) = line.split_once("  ").unwrap_or((line, ""));
        writeln!(page, "| {code} | {} |", meaning.trim())?;
    }
    page.push_str("\nOf several workspaces, the highest code counts. Results go to standard output, everything else to standard error.\n");
    let commands: Vec<_> = root
        .get_subcommands()
        .filter(|it| it.get_name() != "help")
        .collect();
    page.push_str("\n| command | does |\n|---|---|\n");
    for command in &commands {
        let name = command.get_name();
        writeln!(page, "| [{name}](#{name}) | {} |", about(command))?;
    }
    for command in &commands {
        let name = command.get_name();
        writeln!(page, "\n## {name}\n\n    {}", line(command))?;
        flags(&mut page, command, |flag| !flag.is_global_set())?;
        for inner in command.get_subcommands().filter(|it| it.get_name() != "help") {
            writeln!(
                page,
                "\n## {name} {}\n\n{}.\n\n    {}",
                inner.get_name(),
                about(inner).trim_end_matches('.'),
                line(inner)
            )?;
            flags(&mut page, inner, |flag| !flag.is_global_set())?;
        }
    }
    page.push_str("\n## Cluster and user\n\nEvery command takes these flags.\n");
    flags(&mut page, &root, |_| true)?;
    Ok(page)
}

/// The usage as the program prints it.
fn line(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage: ").to_owned()
}

fn about(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    cell(&about)
}

fn flags(page: &mut String, command: &Command, shows: impl Fn(&Arg) -> bool) -> anyhow::Result<()> {
    let is_own = |flag: &&Arg| !matches!(flag.get_id().as_str(), "help" | "version") && shows(flag);
    let flags: Vec<_> = command.get_arguments().filter(is_own).collect();
    if flags.is_empty() {
        return Ok(());
    }
    page.push_str("\n| flag | meaning |\n|---|---|\n");
    for flag in flags {
        writeln!(page, "| `{}` | {} |", usage(flag), meaning(flag))?;
    }
    Ok(())
}

/// Such as `-n, --namespace NAMESPACE`.
fn usage(flag: &Arg) -> String {
    let short = flag.get_short().map(|short| format!("-{short}"));
    let long = flag.get_long().map(|long| format!("--{long}"));
    let names: Vec<_> = short.into_iter().chain(long).collect();
    let takes_value = flag.get_action().takes_values();
    let value = flag
        .get_value_names()
        .filter(|_| takes_value)
        .and_then(|names| names.first());
    let value = value.map(ToString::to_string);
    let parts: Vec<_> = Some(names.join(", "))
        .filter(|names| !names.is_empty())
        .into_iter()
        .chain(value)
        .collect();
    parts.join(" ")
}

fn meaning(flag: &Arg) -> String {
    let mut text = cell(&flag.get_help().map(ToString::to_string).unwrap_or_default());
    if flag.get_action().takes_values() {
        let values = flag.get_possible_values();
        let values: Vec<_> = values
            .iter()
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !values.is_empty() {
            text = format!("{text}. One of {}", values.join(", "));
        }
        let default = flag.get_default_values().first();
        if let Some(default) = default {
            text = format!("{text}. Default: `{}`", default.to_string_lossy());
        }
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace(['<', '>'], "")
        .replace('\n', " ")
}
