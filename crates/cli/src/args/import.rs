//! Command line of `import` -> arguments (pure).

use std::path::PathBuf;

use clap::ValueEnum;

use super::connection::namespace;
use super::{Format, report_format};

pub(super) const EXAMPLES: &str = "\
Examples (keep the export, the way back needs it; leave out kinds that the old system does not have):
  umask 077
  kubectl get notebooks.kubeflow.org,poddefaults.kubeflow.org,profiles.kubeflow.org,pvc -A -o json > export.json
  kubectl workspace import kubeflow -f export.json --dir out/ --user-prefix oidc:
  kubectl get workspaces.workspace.jupyter.org,workspacetemplates.workspace.jupyter.org,workspaceaccessstrategies.workspace.jupyter.org,pvc -A -o json > export.json
  kubectl workspace import jupyter-k8s -f export.json --dir out/
  kubectl get pvc -A -o json > pvcs.json
  kubectl workspace import z2jh --hub keep -f values.yaml -f pvcs.json --dir out/";

/// What is imported, and where the result goes.
#[derive(Debug, Clone, clap::Args)]
pub struct Import {
    /// System to come from
    #[arg(value_enum, value_name = "SOURCE")]
    pub source: ImportSource,

    /// Folder for the result: empty, or made here
    #[arg(long, value_name = "PATH", required = true)]
    pub dir: PathBuf,

    /// What kubectl get prints there with -o json or -o yaml, and values files in Helm's order; may be given several times; - is standard input
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub filename: Vec<PathBuf>,

    /// What the API server puts before the provider's names of users, such as oidc:
    #[arg(long, value_name = "PREFIX")]
    pub user_prefix: Option<String>,

    /// Of z2jh: whether the hub stays, with our spawner, or its users get workspaces in its place
    #[arg(long, value_enum, value_name = "FATE", required_if_eq("source", "z2jh"))]
    pub hub: Option<ImportHub>,

    /// Of z2jh: namespace of the hub [default: the one of the claims, else jhub]
    #[arg(long, value_name = "NAMESPACE", value_parser = namespace, requires = "hub")]
    pub hub_namespace: Option<String>,

    /// Of z2jh: how folders of a common disk are named after users: for ann@b, ann-40b is escape, ann-b--- with a hash is safe
    #[arg(long, value_name = "SCHEME", value_parser = ["escape", "safe"], requires = "hub")]
    pub slug_scheme: Option<String>,

    /// What became of each field, as an object, in place of a table
    #[arg(short, long, value_name = "FORMAT", value_parser = report_format())]
    pub output: Option<Format>,
}

/// A system to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportSource {
    /// Notebooks, `PodDefaults`, Profiles and claims of Kubeflow.
    Kubeflow,
    /// Workspaces, templates, access strategies and claims of the earlier jupyter-k8s.
    #[value(name = "jupyter-k8s")]
    JupyterK8s,
    /// Values of the chart zero-to-jupyterhub, and claims of its servers.
    Z2jh,
}

/// What becomes of a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportHub {
    /// It stays, with our spawner.
    Keep,
    /// It goes, and its users have workspaces.
    Replace,
}
