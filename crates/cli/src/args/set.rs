//! The command line of `set` (pure).

use std::time::Duration;

use super::{Format, Formats, create, name};
use crate::duration;

/// Which fields of a workspace change.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(group = clap::ArgGroup::new("fields").required(true).multiple(true)
    .args(["image", "cpu", "memory", "storage", "display_name", "idle"]))]
pub struct Set {
    /// Name of the workspace
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,

    /// Image, or an alias such as uv
    #[arg(long, value_name = "IMAGE", value_parser = create::image)]
    pub image: Option<String>,

    /// CPUs, as request and limit, such as 500m or 2
    #[arg(long, value_name = "QUANTITY", value_parser = create::positive, allow_hyphen_values = true)]
    pub cpu: Option<String>,

    /// Memory, as request and limit, such as 4Gi
    #[arg(long, value_name = "QUANTITY", value_parser = create::positive, allow_hyphen_values = true)]
    pub memory: Option<String>,

    /// Size of the home disk, such as 20Gi. A disk never shrinks
    #[arg(long, value_name = "QUANTITY", value_parser = create::positive, allow_hyphen_values = true)]
    pub storage: Option<String>,

    /// Name shown to people
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub display_name: Option<String>,

    /// Stop it after this time without use, such as 90m; never: do not stop it
    #[arg(long, value_name = "DURATION", value_parser = idle)]
    pub idle: Option<Idle>,

    /// The changed object, its name, or what a `JSONPath` template says, in place of a sentence
    #[arg(short, long, value_name = "FORMAT", value_parser = Formats::OBJECT)]
    pub output: Option<Format>,
}

/// When an unused workspace stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// After this many minutes.
    After(u64),
    /// Never.
    Never,
}

pub(super) fn idle(text: &str) -> Result<Idle, String> {
    if text == "never" {
        return Ok(Idle::Never);
    }
    let time: Duration = duration::parse(text).map_err(|rule| format!("{rule}; or never"))?;
    match time.as_secs() {
        seconds if seconds > 0 && seconds % 60 == 0 => Ok(Idle::After(seconds / 60)),
        _ => Err("expected whole minutes, such as 90m, or never".to_owned()),
    }
}
