//! Command line of `template` -> its arguments (pure).

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::{Format, Formats, Lint, ListFormat, ListFormats};

/// What is shown of templates.
#[derive(Debug, Clone, Subcommand)]
pub enum Template {
    /// List the templates, and whether you may use them
    List(TemplateList),
    /// Show a template: its images, amounts and what workspaces may change
    Show(TemplateShow),
    /// Check manifests of templates without a cluster
    Lint(Lint),
    /// Run cases against a template, without a cluster
    Test(TemplateTest),
    /// Say what differs between two templates, and which workspaces of the first the second would refuse
    Compare(TemplateCompare),
}

/// How templates are listed.
#[derive(Debug, Clone, clap::Args)]
pub struct TemplateList {
    /// In place of the table: the objects or their names
    #[arg(short, long, value_name = "FORMAT", value_parser = ListFormats)]
    pub output: Option<ListFormat>,
}

/// Which template is shown.
#[derive(Debug, Clone, clap::Args)]
pub struct TemplateShow {
    /// Name of the template
    #[arg(value_name = "TEMPLATE")]
    pub template: String,

    /// The object, in place of text
    #[arg(short, long, value_name = "FORMAT", value_parser = Formats::OBJECT)]
    pub output: Option<Format>,
}

/// Which cases are run, and how they are reported.
#[derive(Debug, Clone, clap::Args)]
pub struct TemplateTest {
    /// Files with cases, each beside its template
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// The installation's settings, a YAML file [default: those that a file names, else built-in values]
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,

    /// How the report is written; junit is for test reports
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = TestFormat::Text)]
    pub output: TestFormat,
}

/// How the report about cases is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TestFormat {
    /// For people.
    Text,
    /// An object as JSON.
    Json,
    /// An object as YAML.
    Yaml,
    /// `JUnit`'s XML.
    Junit,
}

impl TestFormat {
    /// The format of its object.
    pub(crate) fn as_object(self) -> Format {
        match self {
            Self::Yaml => Format::Yaml,
            _ => Format::Json,
        }
    }
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
    #[arg(short, long, value_name = "FORMAT", value_parser = Formats::REPORT)]
    pub output: Option<Format>,
}
