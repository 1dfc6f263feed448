//! Command line of `share`, `unshare` and `shares` -> its arguments (pure).

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::values::time;
use super::{Format, ListFormat, list_format, name, object_format};
use crate::duration;

/// Users, groups and service accounts.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "subjects", multiple = true)]
pub struct Subjects {
    /// User, as Kubernetes knows it, such as oidc:bob; may be given several times
    #[arg(long, value_name = "USER")]
    pub user: Vec<String>,

    /// Group; may be given several times
    #[arg(long, value_name = "GROUP")]
    pub group: Vec<String>,

    /// Service account; may be given several times
    #[arg(long, value_name = "NAMESPACE:NAME", value_parser = account)]
    pub serviceaccount: Vec<(String, String)>,
}

/// What is shared, with whom, and for how long.
#[derive(Debug, Clone, clap::Args)]
#[command(mut_group("subjects", |group| group.required(true)))]
pub struct Share {
    /// Name of the workspace
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,

    /// With whom.
    #[command(flatten)]
    pub subjects: Subjects,

    /// How long the share lasts, such as 8h [default: until it is deleted, if the manager allows that]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    pub lasts: Option<Duration>,

    /// When the share ends, such as 2026-12-31T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "lasts")]
    pub until: Option<Timestamp>,

    /// Why, for people
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// The share, or its name, in place of a sentence
    #[arg(short, long, value_name = "FORMAT", value_parser = object_format())]
    pub output: Option<Format>,
}

/// Whose access ends.
#[derive(Debug, Clone, clap::Args)]
pub struct Unshare {
    /// Name of the workspace
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,

    /// Whose access ends.
    #[command(flatten)]
    pub subjects: Subjects,

    /// All shares of the workspace
    #[arg(long, conflicts_with = "subjects")]
    pub all: bool,
}

/// Which shares are listed, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Shares {
    /// Only those of this workspace
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: Option<String>,

    /// Of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,

    /// In place of the table: the objects or their names
    #[arg(short, long, value_name = "FORMAT", value_parser = list_format())]
    pub output: Option<ListFormat>,
}

fn account(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("expected NAMESPACE:NAME, such as ci:robot".to_owned()),
    }
}
