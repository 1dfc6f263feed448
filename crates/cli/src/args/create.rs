//! Command line of `create` -> its arguments, each value checked on its own (pure).

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::values::{Further, Gpu, Idle, choice, gpu, idle, image, open_tab, pair, positive};
use super::{Cli, Command, Connection, Format, name, object_format};
use crate::duration;

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  the workspace was created (with --wait: and is available; a warning names what is wrong with it)
  1  it could not be created: refused, no connection, no right
  2  the command line is wrong, or the file holds no workspace: nothing was sent, also with --dry-run=client
  3  with --wait: it was created, but cannot become available as it is
  4  with --wait: it was created, but was not available in time

Examples:
  # From a template, and print the URL as soon as it answers
  kubectl create workspace demo --template jupyterlab --wait

  # Only show the manifest
  kubectl create workspace demo --cpu 2 --memory 4Gi --dry-run=client -o yaml

  # From a manifest, whose errors are shown with their lines
  kubectl create workspace -f demo.yaml";

/// Create a workspace: JupyterLab, or another application, with its own disk and URL.
///
/// What no flag says comes from the template, else from the installation's defaults.
#[derive(Debug, Clone, Parser)]
#[command(name = "kubectl-create-workspace", bin_name = "kubectl create workspace", version, after_help = EXIT_CODES)]
pub struct CreateArgs {
    /// What is created.
    #[command(flatten)]
    pub flags: CreateFlags,

    /// Where it is created, and as whom.
    #[command(flatten)]
    pub connection: Connection,
}

impl From<CreateArgs> for Cli {
    fn from(args: CreateArgs) -> Self {
        Self {
            connection: args.connection,
            command: Command::Create(Box::new(args.flags)),
        }
    }
}

/// What is created, and what is shown of it.
#[derive(Debug, Clone, clap::Args)]
pub struct CreateFlags {
    /// Name of the workspace: at most 50 lower-case letters, digits and '-'
    #[arg(value_name = "NAME", value_parser = name, required_unless_present = "filename")]
    pub name: Option<String>,

    /// Manifest of one workspace, in place of NAME and the flags of its fields; - is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["name", "template", "image", "cpu", "memory", "storage", "gpu", "profile", "env", "idle", "open_tab", "variable", "option", "display_name",
        "max_age", "failed_timeout", "start_timeout", "stopped_retention", "retain", "shared_memory"])]
    pub filename: Option<PathBuf>,

    /// WorkspaceTemplate that supplies defaults and bounds; it cannot be changed later [default: the namespace's, else the cluster's]
    #[arg(long, value_name = "TEMPLATE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub template: Option<String>,

    /// What is chosen of an option of the template; may be given several times. kubectl workspace template show lists them
    #[arg(long, value_name = "OPTION=CHOICE", value_parser = choice)]
    pub option: Vec<(String, String)>,

    /// Image, or an alias such as uv
    #[arg(long, value_name = "IMAGE", value_parser = image)]
    pub image: Option<String>,

    /// CPUs, as request and limit, such as 500m or 2
    #[arg(long, value_name = "QUANTITY", value_parser = positive, allow_hyphen_values = true)]
    pub cpu: Option<String>,

    /// Memory, as request and limit, such as 4Gi
    #[arg(long, value_name = "QUANTITY", value_parser = positive, allow_hyphen_values = true)]
    pub memory: Option<String>,

    /// Size of the home disk, such as 10Gi
    #[arg(long, value_name = "QUANTITY", value_parser = positive, allow_hyphen_values = true)]
    pub storage: Option<String>,

    /// GPUs: how many of nvidia.com/gpu, or a resource and its number, such as nvidia.com/mig-1g.5gb=1
    #[arg(long, value_name = "GPUS", value_parser = gpu, allow_hyphen_values = true)]
    pub gpu: Option<Gpu>,

    /// WorkspaceExecutionProfile of the namespace: the account and settings that the pod runs with
    #[arg(long, value_name = "PROFILE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub profile: Option<String>,

    /// Label, such as course=ml-1; may be given several times. A template may require some
    #[arg(short, long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = pair, conflicts_with = "filename")]
    pub label: Vec<(String, String)>,

    /// Environment variable; may be given several times. Everyone who may read the workspace sees it: no secrets
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub env: Vec<(String, String)>,

    /// Stop it after this time without use, such as 90m; never: do not stop it
    #[arg(long, value_name = "DURATION", value_parser = idle)]
    pub idle: Option<Idle>,

    /// Count an open page as use for this time after the last act, such as 4h, where it stops when idle; 0: do not count it
    #[arg(long, value_name = "DURATION", value_parser = open_tab)]
    pub open_tab: Option<u64>,

    /// Value of a variable of the template; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub variable: Vec<(String, String)>,

    /// Limits, and what becomes of the disk.
    #[command(flatten)]
    pub further: Further,

    /// Name shown to users [default: NAME]
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub display_name: Option<String>,

    /// client: only print what would be sent; server: let the server judge it without keeping it
    #[arg(long, value_enum, value_name = "STRATEGY", default_value_t = DryRun::None)]
    pub dry_run: DryRun,

    /// Print the object, or its name, in place of a sentence
    #[arg(short, long, value_name = "FORMAT", value_parser = object_format())]
    pub output: Option<Format>,

    /// Wait until the workspace is available and print its URL
    #[arg(long)]
    pub wait: bool,

    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,
}

/// Whether anything is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// The workspace is created.
    None,
    /// Nothing is sent.
    Client,
    /// The API server judges, and keeps nothing.
    Server,
}

#[cfg(test)]
mod tests {

    use super::*;

    fn parse(line: &str) -> Result<CreateArgs, String> {
        let state = std::iter::once("kubectl-create-workspace").chain(line.split_whitespace());
        CreateArgs::try_parse_from(state).map_err(|error| error.to_string())
    }

    #[test]
    fn usual_calls_are_understood() {
        let args =
            parse("demo --template t --cpu 500m --memory 2Gi --storage 1e9 --dry-run=server -o yaml -n team")
                .unwrap();
        let args = args.flags;
        assert_eq!(args.name.as_deref(), Some("demo"));
        assert_eq!(args.dry_run, DryRun::Server);
        assert_eq!(args.output, Some(Format::Yaml));
        assert_eq!(args.timeout, Duration::from_mins(5));
    }

    #[test]
    fn a_wrong_value_is_refused_with_the_name_of_its_flag() {
        for (line, part) in [
            ("Demo", "NAME"),
            ("demo --cpu lots", "--cpu"),
            ("demo --memory 1Gib", "--memory"),
            ("demo --storage 0", "--storage"),
            ("demo --storage=-1Gi", "--storage"),
            ("demo --cpu -1", "--cpu <QUANTITY>': must be more than 0"),
            ("demo --memory -1Gi", "--memory <QUANTITY>': must be more than 0"),
            ("demo --timeout 5", "--timeout"),
            ("demo --dry-run=maybe", "--dry-run"),
            ("demo --output wide", "--output"),
            ("demo --template=", "--template"),
            ("demo --image=", "--image"),
            ("demo --display-name=", "--display-name"),
            ("demo --namespace=", "--namespace"),
            ("demo --gpu 0", "--gpu"),
            ("demo --gpu 1.5", "--gpu"),
            ("demo --gpu cpu=1", "must be nvidia.com/gpu"),
            ("demo --env A", "expected NAME=VALUE"),
            ("demo --env =b", "expected NAME=VALUE"),
            ("demo --variable project", "expected NAME=VALUE"),
            ("demo --label course", "expected NAME=VALUE"),
            ("-f demo.yaml -l course=ml", "cannot be used with"),
            ("demo --option gpu", "expected OPTION=CHOICE"),
            ("demo --option gpu=", "expected OPTION=CHOICE"),
            ("-f demo.yaml --option gpu=a100", "cannot be used with"),
            ("demo --idle 90s", "--idle"),
            ("demo --open-tab 90s", "--open-tab"),
            ("demo --profile=", "--profile"),
            ("demo -n Team_A", "--namespace"),
            ("", "NAME"),
            ("demo -f demo.yaml", "cannot be used with"),
            ("-f demo.yaml --cpu 2", "cannot be used with"),
            ("-f demo.yaml --retain", "cannot be used with"),
            ("demo --max-age 90s", "--max-age"),
            ("demo --shared-memory 0", "--shared-memory"),
            ("demo --retain=maybe", "--retain"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
