//! Command lines of `logs`, `completion`, `version`, `whoami` -> arguments (pure).

use std::time::Duration;

use clap::ValueEnum;

use super::{Format, name, report_format};
use crate::duration;

/// For which shell completion is written.
#[derive(Debug, Clone, clap::Args)]
pub struct Completion {
    /// Shell, or kubectl: the program by which kubectl completes `kubectl workspace` with names of the cluster
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// A shell, or kubectl.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
    /// kubectl's completion of plugins.
    Kubectl,
}

/// Which versions are shown, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Version {
    /// Only the plugin's, without asking the cluster
    #[arg(long)]
    pub client: bool,

    /// How they are shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// Which output of a workspace's pod is shown.
#[derive(Debug, Clone, clap::Args)]
pub struct Logs {
    /// Name of the workspace
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,

    /// Show further lines as they come, until interrupted
    #[arg(short, long)]
    pub follow: bool,

    /// Of the container's previous run
    #[arg(short, long)]
    pub previous: bool,

    /// Only lines of this last time, such as 1h
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub since: Option<Duration>,

    /// Only so many last lines
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(i64).range(0..))]
    pub tail: Option<i64>,

    /// Container
    #[arg(short, long, value_name = "CONTAINER", default_value = api::names::APPLICATION_CONTAINER)]
    pub container: String,
}

/// How versions or the user are shown.
#[derive(Debug, Clone, clap::Args)]
pub struct Shown {
    /// As an object, in place of text
    #[arg(short, long, value_name = "FORMAT", value_parser = report_format())]
    pub output: Option<Format>,
}
