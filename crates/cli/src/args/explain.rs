//! Command line of `explain` -> its arguments (pure).

use std::path::PathBuf;

use super::{Format, name, report_format};

/// What is explained.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["name", "filename"]))]
pub struct Explain {
    /// Name of the workspace: why it does not run, starts slowly, was stopped, or is still there
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: Option<String>,

    /// After the word template: why you may not use this template, or why it is not gone
    #[arg(value_name = "TEMPLATE", requires = "name", conflicts_with_all = ["access", "filename"])]
    pub explained_template: Option<String>,

    /// With a template: in this namespace [default: that of --namespace]
    #[arg(long = "for", value_name = "NAMESPACE", requires = "explained_template")]
    pub in_namespace: Option<String>,

    /// Why the workspaces of these manifests would be refused, by a server dry run; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub filename: Vec<PathBuf>,

    /// Why a user may or may not open it, rule by rule [default: you]
    #[arg(long, requires = "name")]
    pub access: bool,

    /// With --access: this user, as Kubernetes knows it, such as oidc:bob
    #[arg(long, value_name = "USER", requires = "access")]
    pub user: Option<String>,

    /// With --access: a group of the user; may be given several times
    #[arg(long, value_name = "GROUP", requires = "access")]
    pub group: Vec<String>,

    /// The same as an object, in place of text
    #[arg(short, long, value_name = "FORMAT", value_parser = report_format())]
    pub output: Option<Format>,
}
