//! Command line of `set` -> its arguments (pure).

use super::values::{
    Assignment, Further, Gpus, Idle, assignment, choice_or_none, gpus, idle, image, open_tab, positive,
};
use super::{Format, name, object_format};

/// Which fields of a workspace change.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Set {
    /// Name of the workspace
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,

    /// Image, or an alias such as uv
    #[arg(long, value_name = "IMAGE", value_parser = image)]
    pub image: Option<String>,

    /// CPUs, as request and limit, such as 500m or 2
    #[arg(long, value_name = "QUANTITY", value_parser = positive, allow_hyphen_values = true)]
    pub cpu: Option<String>,

    /// Memory, as request and limit, such as 4Gi
    #[arg(long, value_name = "QUANTITY", value_parser = positive, allow_hyphen_values = true)]
    pub memory: Option<String>,

    /// GPUs: how many of nvidia.com/gpu, or a resource and its number, such as nvidia.com/mig-1g.5gb=1. Other kinds keep their number;
    /// 0: none of any kind
    #[arg(long, value_name = "GPUS", value_parser = gpus, allow_hyphen_values = true)]
    pub gpu: Option<Gpus>,

    /// Size of the home disk, such as 20Gi. A disk never shrinks
    #[arg(long, value_name = "QUANTITY", value_parser = positive, allow_hyphen_values = true)]
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

    /// What is chosen of an option of the template; OPTION- chooses the default; may be given several times
    #[arg(long, value_name = "OPTION=CHOICE", value_parser = choice_or_none)]
    pub option: Vec<Assignment>,

    /// Name shown to users
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub display_name: Option<String>,

    /// Stop it after this time without use, such as 90m; never: do not stop it
    #[arg(long, value_name = "DURATION", value_parser = idle)]
    pub idle: Option<Idle>,

    /// Count an open page as use for this time after the last act, such as 4h, where it stops when idle; 0: do not count it
    #[arg(long, value_name = "DURATION", value_parser = open_tab)]
    pub open_tab: Option<u64>,

    /// Limits, and what becomes of the disk.
    #[command(flatten)]
    pub further: Further,

    /// The changed object, or its name, in place of a sentence
    #[arg(short, long, value_name = "FORMAT", value_parser = object_format())]
    pub output: Option<Format>,
}
