//! Command line -> arguments, each validated on its own (pure).
//!
//! | file | holds |
//! |---|---|
//! | `connection.rs` | cluster, namespace and user: flags of every command |
//! | `create.rs` | `kubectl create workspace` and `kubectl workspace create` |
//! | `targets.rs` | which workspaces a command is about |
//! | `format.rs` | `-o` |
//! | `tips.rs` | what an error about a command line proposes |
//! | `values.rs` | checked values of the flags that `create` and `set` share |
//! | `explain.rs`, `keep.rs`, `set.rs`, `sharing.rs`, `template.rs` | the commands of these names |
//! | `remote.rs` | `login`, `logout`, `ssh`, `ssh-config`, `code`, `connect` |
//! | `import.rs` | `import` |
//! | `further.rs` | `logs`, `completion`, `version`, `whoami` |

mod connection;
mod create;
mod explain;
mod format;
mod further;
mod import;
mod keep;
mod remote;
mod set;
mod sharing;
mod targets;
mod template;
mod tips;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::duration;

pub use connection::Connection;
pub use create::{CreateArgs, CreateFlags, DryRun};
pub use explain::Explain;
pub use format::{Format, ListFormat};
use format::{list_format, object_format, report_format};
pub use further::{Completion, Logs, Shell, Shown, Version};
pub use import::{Import, ImportHub, ImportSource};
pub use keep::Keep;
pub use remote::{Code, Connect, Login, Logout, Remote, Ssh, SshConfig};
pub use set::Set;
pub use sharing::{Share, Shares, Subjects, Unshare};
pub use targets::Targets;
pub use template::{Template, TemplateList, TemplateShow};
pub use tips::with_tips;
pub use values::{Assignment, Further, Gpu, Gpus, Idle};

const EXIT_CODES: &str = "\
Exit codes; of several workspaces, the highest counts:
  0  done
  1  the cluster refused it, or there is no connection, no right, or no such object; or explain --access cannot read what decides; or a file cannot be read, or holds nothing to import
  2  the command line is wrong; or the file holds no workspace, so create sent nothing; or the folder of import is not empty; or the question was not answered with yes
  3  not as wanted: the workspace exists, but will not become so; or explain or version found a problem; or import lost something, and wrote the rest
  4  the workspace was not as wanted in time
  130  interrupted (Ctrl-C). What was reported as done is done; the last request may be done, too";

const COMPLETION: &str = "\
Examples:
  # For `kubectl workspace`, after kubectl's own completion: a program of this name in the PATH
  kubectl workspace completion kubectl > ~/.local/bin/kubectl_complete-workspace
  chmod +x ~/.local/bin/kubectl_complete-workspace

  # For calls as `kubectl-workspace`
  source <(kubectl-workspace completion bash)";

/// Work with workspaces: create, list, open, start, stop, share and explain them.
#[derive(Debug, Clone, Parser)]
#[command(name = "kubectl-workspace", bin_name = "kubectl workspace", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// Where, and as whom.
    #[command(flatten)]
    pub connection: Connection,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Create a workspace, as `kubectl create workspace` does
    #[command(after_help = create::EXIT_CODES)]
    Create(Box<CreateFlags>),
    /// List workspaces: state, reason, URL and when a rule stops them
    #[command(visible_alias = "ls")]
    List(List),
    /// Open a workspace in the browser
    Open(Open),
    /// Commands that go through the gateway.
    #[command(flatten)]
    Remote(Remote),
    /// Start workspaces. One that is in recovery starts normally
    Start(Start),
    /// Stop workspaces. Kernels and terminals end; it says before what becomes of the files
    Stop(Change),
    /// Restart running workspaces, which applies changes that wait for a restart
    Restart(Change),
    /// Delete workspaces, with their disks unless these are retained
    Delete(Change),
    /// Do not stop an unused workspace before a time. Its limits still stop it
    Keep(Keep),
    /// Explain why a workspace does not run, was stopped, is refused, or who may open it; or a template: explain template NAME
    Explain(Explain),
    /// Share a workspace with users, groups or service accounts
    Share(Share),
    /// End shares of a workspace
    Unshare(Unshare),
    /// List shares: with whom, whether they count, and when they end
    Shares(Shares),
    /// Change a workspace, and say what takes effect now and what at the next start
    Set(Box<Set>),
    /// Show the output of a workspace's pod
    Logs(Logs),
    /// See templates
    #[command(subcommand)]
    Template(Template),
    /// Write workspaces, templates and steps from what another system has; it needs no cluster
    #[command(after_help = import::EXAMPLES)]
    Import(Import),
    /// Show the versions of this plugin, the CRDs and the API server, and whether they fit
    Version(Version),
    /// Show who you are for the API server, and for gateways where you are signed in
    Whoami(Shown),
    /// Print a script that completes commands, flags and names in a shell
    #[command(after_help = COMPLETION)]
    Completion(Completion),
}

impl Command {
    /// Whether the command reads manifests from standard input.
    pub(crate) fn reads_stdin(&self) -> bool {
        let is_stdin = |file: &PathBuf| file.as_os_str() == "-";
        match self {
            Self::Create(flags) => flags.filename.as_ref().is_some_and(is_stdin),
            Self::Start(Start { change, .. })
            | Self::Stop(change)
            | Self::Restart(change)
            | Self::Delete(change) => change.targets.filename.iter().any(is_stdin),
            Self::Explain(args) => args.filename.iter().any(is_stdin),
            _ => false,
        }
    }
}

/// Which workspaces are listed, and how.
#[derive(Debug, Clone, Default, clap::Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "flags of a command line are independent of each other"
)]
pub struct List {
    /// Only these
    #[arg(value_name = "NAME", value_parser = name, conflicts_with_all = ["selector", "all_namespaces"])]
    pub names: Vec<String>,

    /// Of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,

    /// Only those with these labels, such as course=ml
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,

    /// Only those that you own
    #[arg(long)]
    pub mine: bool,

    /// Only those that others share with you
    #[arg(long, conflicts_with = "mine")]
    pub shared: bool,

    /// Then show each change, until interrupted
    #[arg(short, long)]
    pub watch: bool,

    /// In place of the table: the objects or their names; wide: more columns
    #[arg(short, long, value_name = "FORMAT", value_parser = list_format())]
    pub output: Option<ListFormat>,
}

/// Whether a workspace is started first, and how long that may take.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Waiting {
    /// Start it first, and wait until it is available
    #[arg(long)]
    pub start: bool,

    /// How long to wait with --start
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,
}

/// Which workspace is opened, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Open {
    /// Name of the workspace
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,

    /// Only print the URL
    #[arg(long)]
    pub print: bool,

    /// Whether it is started first.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// Which workspaces are started, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Start {
    /// In recovery, to repair files that keep it from running: the home is empty, and the disk is its folder `disk`. What runs otherwise ends
    #[arg(long)]
    pub recovery: bool,

    /// Which workspaces are changed.
    #[command(flatten)]
    pub change: Change,
}

/// Which workspaces are changed, and whether to wait.
#[derive(Debug, Clone, clap::Args)]
pub struct Change {
    /// Which workspaces.
    #[command(flatten)]
    pub targets: Targets,

    /// Wait until they are as wanted
    #[arg(long)]
    pub wait: bool,

    /// How long to wait for all of them
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,

    /// Do not ask before files are deleted
    #[arg(short, long)]
    pub yes: bool,

    /// The changed objects, or their names, in place of sentences
    #[arg(short, long, value_name = "FORMAT", value_parser = object_format())]
    pub output: Option<Format>,
}

fn name(text: &str) -> Result<String, String> {
    let name = bare_name(text);
    accept(name, rules::checks::name(name).first())
}

/// The name in `TYPE/NAME`, as kubectl takes it and `-o name` prints it.
pub(crate) fn bare_name(text: &str) -> &str {
    let Some((kind, name)) = text.split_once('/') else {
        return text;
    };
    let (kind, group) = kind.split_once('.').unwrap_or((kind, api::names::GROUP));
    let is_workspace =
        matches!(kind, "ws" | "workspace" | "workspaces") && group.ends_with(api::names::GROUP);
    if is_workspace { name } else { text }
}

fn accept(text: &str, violation: Option<&rules::Violation>) -> Result<String, String> {
    violation.map_or_else(|| Ok(text.to_owned()), |violation| Err(violation.message.clone()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, String> {
        Cli::try_parse_from(std::iter::once("x").chain(line.split_whitespace()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_the_connection_stand_before_or_after_the_command() {
        for line in [
            "-n team --as bob --as-group a --as-group b list",
            "list -n team --as bob --as-group a --as-group b",
        ] {
            let connection = parse(line).unwrap().connection;
            assert_eq!(connection.namespace.as_deref(), Some("team"), "{line}");
            assert_eq!(connection.act_as.as_deref(), Some("bob"), "{line}");
            assert_eq!(connection.as_group, ["a", "b"], "{line}");
        }
        let connection = parse("--user admin -v 6 --request-timeout 5s list")
            .unwrap()
            .connection;
        assert_eq!(connection.kubeconfig_user.as_deref(), Some("admin"));
        assert_eq!(
            (connection.verbosity, connection.timeout()),
            (6, Some(Duration::from_secs(5)))
        );
        let seconds = parse("list --request-timeout 7").unwrap().connection.timeout();
        assert_eq!(seconds, Some(Duration::from_secs(7)));
        assert_eq!(
            parse("list --request-timeout 0").unwrap().connection.timeout(),
            None
        );
    }

    #[test]
    fn a_command_about_no_or_contradictory_workspaces_is_refused() {
        for (line, part) in [
            ("start", "NAME"),
            ("stop demo --all", "cannot be used with"),
            ("stop demo -l a=b", "cannot be used with"),
            ("delete -f file --all", "cannot be used with"),
            ("delete Demo", "NAME"),
            ("list --mine --shared", "cannot be used with"),
            ("list -o text", "--output"),
            ("open", "NAME"),
            ("share demo", "--user <USER>"),
            ("keep demo", "--off"),
            ("keep demo 8h --off", "cannot be used with"),
            ("keep demo tonight", "DURATION"),
            ("keep demo --until 2026-12-31T18:00:00", "zone"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn a_workspace_is_named_with_its_type_as_for_kubectl() {
        let group = "workspaces.jupyter.org";
        for kind in [
            "ws",
            "workspace",
            "workspaces",
            &format!("workspace.{group}"),
            &format!("workspaces.v1alpha1.{group}"),
        ] {
            let Command::Stop(stop) = parse(&format!("stop {kind}/demo other")).unwrap().command else {
                unreachable!()
            };
            assert_eq!(stop.targets.names, ["demo", "other"], "{kind}");
        }
        for line in [
            "stop pod/demo",
            "stop ws/",
            "stop ws/a/b",
            "stop workspace.example.org/demo",
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains("NAME"), "{line}: {error}");
        }
    }

    #[test]
    fn create_takes_the_flags_of_kubectl_create_workspace() {
        let Command::Create(flags) = parse("create demo --template t --wait -n team").unwrap().command else {
            unreachable!()
        };
        assert_eq!((flags.name.as_deref(), flags.wait), (Some("demo"), true));
    }
}
