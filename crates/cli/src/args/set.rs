//! The command line of `set` (pure).

use std::time::Duration;

use super::create::Gpu;
use super::{Format, Formats, create, name};
use crate::duration;

/// Which fields of a workspace change.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(group = clap::ArgGroup::new("fields").required(true).multiple(true)
    .args(["image", "cpu", "memory", "gpu", "storage", "profile", "env", "variable", "display_name", "idle"]))]
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

    /// GPUs: how many of nvidia.com/gpu, or a resource and its number, such as nvidia.com/mig-1g.5gb=1. Other kinds keep their number;
    /// 0: none of any kind
    #[arg(long, value_name = "GPUS", value_parser = gpus, allow_hyphen_values = true)]
    pub gpu: Option<Gpus>,

    /// Size of the home disk, such as 20Gi. A disk never shrinks
    #[arg(long, value_name = "QUANTITY", value_parser = create::positive, allow_hyphen_values = true)]
    pub storage: Option<String>,

    /// WorkspaceExecutionProfile of the namespace: the account and settings that the pod runs with
    #[arg(long, value_name = "PROFILE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub profile: Option<String>,

    /// Environment variable; NAME- removes it; may be given several times. Everyone who may read the workspace sees it: no secrets
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub env: Vec<Assignment>,

    /// Value of a variable of the template; NAME- removes it; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub variable: Vec<Assignment>,

    /// Name shown to users
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub display_name: Option<String>,

    /// Stop it after this time without use, such as 90m; never: do not stop it
    #[arg(long, value_name = "DURATION", value_parser = idle)]
    pub idle: Option<Idle>,

    /// The changed object, its name, or what a `JSONPath` template says, in place of a sentence
    #[arg(short, long, value_name = "FORMAT", value_parser = Formats::OBJECT)]
    pub output: Option<Format>,
}

/// Which GPUs a workspace gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gpus {
    /// None of any kind.
    None,
    /// So many of one kind.
    Of(Gpu),
}

fn gpus(text: &str) -> Result<Gpus, String> {
    match text {
        "0" => Ok(Gpus::None),
        text => create::any_gpu(text).map(Gpus::Of),
    }
}

/// What becomes of a name with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignment {
    /// The name gets this value.
    Set(String, String),
    /// The name is removed.
    Remove(String),
}

impl Assignment {
    /// The name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Set(name, _) | Self::Remove(name) => name,
        }
    }
}

fn assignment(text: &str) -> Result<Assignment, String> {
    if let Ok((name, value)) = create::pair(text) {
        return Ok(Assignment::Set(name, value));
    }
    match text.strip_suffix('-') {
        Some(name) if !name.is_empty() && !name.contains('=') => Ok(Assignment::Remove(name.to_owned())),
        _ => Err("expected NAME=VALUE, or NAME- to remove it".to_owned()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_of_one_kind_or_none_of_any() {
        let of = |resource: &str, number| {
            Ok(Gpus::Of(Gpu {
                resource: resource.to_owned(),
                number,
            }))
        };
        assert_eq!(gpus("0"), Ok(Gpus::None));
        assert_eq!(gpus("2"), of("nvidia.com/gpu", 2));
        assert_eq!(gpus("nvidia.com/mig-1g.5gb=1"), of("nvidia.com/mig-1g.5gb", 1));
        assert_eq!(gpus("nvidia.com/gpu.shared=0"), of("nvidia.com/gpu.shared", 0));
        for text in ["-1", "1.5", "cpu=1", "nvidia.com/gpu", "nvidia.com/gpu="] {
            assert!(gpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_gets_a_value_or_is_removed() {
        let set = |value: &str| Ok(Assignment::Set("A".to_owned(), value.to_owned()));
        assert_eq!(assignment("A=b"), set("b"));
        assert_eq!(assignment("A="), set(""));
        assert_eq!(assignment("A=b-"), set("b-"));
        assert_eq!(assignment("A-"), Ok(Assignment::Remove("A".to_owned())));
        for text in ["A", "-", "=b", "=-", ""] {
            assert!(assignment(text).is_err(), "{text}");
        }
    }
}
