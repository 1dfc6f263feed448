//! Command line of `template` -> its arguments (pure).

use clap::Subcommand;

use super::{Format, ListFormat, list_format, object_format};

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
