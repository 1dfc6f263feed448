//! The command lines of `lint`, `logs`, `template`, `version` and `whoami` (pure).

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use super::{ListFormat, ObjectFormat, name};
use crate::duration;

/// Which manifests are checked, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Lint {
    /// Files or folders; - is standard input. Templates, managers and profiles among them count for the workspaces
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,

    /// The installation's settings, a YAML file [default: built-in values]
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,

    /// The report as an object, in place of text
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<ObjectFormat>,
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

/// What is shown of templates.
#[derive(Debug, Clone, Subcommand)]
pub enum Template {
    /// List the templates, and whether you may use them
    List(TemplateList),
    /// Show a template: its images, amounts and what workspaces may change
    Show(TemplateShow),
}

/// How templates are listed.
#[derive(Debug, Clone, clap::Args)]
pub struct TemplateList {
    /// In place of the table: the objects or their names
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<ListFormat>,
}

/// Which template is shown.
#[derive(Debug, Clone, clap::Args)]
pub struct TemplateShow {
    /// Name of the template
    #[arg(value_name = "TEMPLATE")]
    pub template: String,

    /// The object, in place of text
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<ObjectFormat>,
}

/// How versions or the user are shown.
#[derive(Debug, Clone, clap::Args)]
pub struct Shown {
    /// As an object, in place of text
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<ObjectFormat>,
}
