//! Command line of `template` -> its arguments (pure).

use std::path::PathBuf;

use clap::Subcommand;

use super::{Format, ListFormat, list_format, object_format, report_format};

/// What is shown of templates.
#[derive(Debug, Clone, Subcommand)]
pub enum Template {
    /// List the templates, and whether you may use them
    List(TemplateList),
    /// Show a template: its images, amounts and what workspaces may change
    Show(TemplateShow),
    /// Say what differs between two templates, and which workspaces of the first the second would refuse
    Compare(TemplateCompare),
}

/// How templates are listed.
#[derive(Debug, Clone, clap::Args)]
pub struct TemplateList {
    /// In place of the table: the objects or their names
    #[arg(short, long, value_name = "FORMAT", value_parser = list_format())]
    pub output: Option<ListFormat>,
}

/// Which template is shown.
#[derive(Debug, Clone, clap::Args)]
pub struct TemplateShow {
    /// Name of the template
    #[arg(value_name = "TEMPLATE")]
    pub template: String,

    /// The object, in place of text
    #[arg(short, long, value_name = "FORMAT", value_parser = object_format())]
    pub output: Option<Format>,
}

/// Which templates are compared.
#[derive(Debug, Clone, clap::Args)]
pub struct TemplateCompare {
    /// Template in use: its name in the cluster, or a file
    #[arg(value_name = "OLD")]
    pub old: String,

    /// Template to replace it: a file, or a name in the cluster
    #[arg(value_name = "NEW")]
    pub new: String,

    /// The installation's settings, a YAML file [default: built-in values]
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,

    /// The comparison as an object, in place of text
    #[arg(short, long, value_name = "FORMAT", value_parser = report_format())]
    pub output: Option<Format>,
}
