//! Names, `-l`, `-f` and `--all` -> the workspaces that a command is about (pure).

use std::path::PathBuf;

use super::name;

/// Names, a selector, all of a namespace, or those of manifests.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "which", required = true)]
pub struct Targets {
    /// Names of workspaces
    #[arg(value_name = "NAME", value_parser = name, conflicts_with_all = ["selector", "all", "filename"])]
    pub names: Vec<String>,

    /// Those with these labels, such as course=ml
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with_all = ["all", "filename"])]
    pub selector: Option<String>,

    /// All of the namespace, also those of others that you may change
    #[arg(long, conflicts_with = "filename")]
    pub all: bool,

    /// Those of these manifests; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub filename: Vec<PathBuf>,
}
