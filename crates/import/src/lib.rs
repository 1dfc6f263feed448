//! Objects of other systems -> our objects, the steps, and what became of each leaf (pure).
//!
//! The same input gives the same bytes. The modules, from top to bottom; each imports only modules below it:
//!
//! - `z2jh`: values of zero-to-jupyterhub and claims of its servers
//! - `kubeflow`: Notebooks, `PodDefaults` and Profiles of Kubeflow
//! - `jupyter_k8s`: Workspaces, templates and access strategies of the earlier jupyter-k8s
//! - `assemble`: drafts of Workspaces, each with its template -> files of ours
//! - `steps`: imported workspaces -> what to run, in order
//! - `rights`: imported workspaces -> the Roles that their owners need
//! - `output`: objects -> files
//! - `judge`: objects of ours -> the rules that they break
//! - `contradictions`: spec of ours -> what CEL rules of its definition refuse
//! - `templates`: workspaces whose pods are equal -> one template
//! - `pod_template`: volumes, mounts and containers of a pod -> a template's `podTemplate`
//! - `container`: container of a pod -> amounts, variables and mounts
//! - `table`: path of a leaf -> what becomes of it
//! - `draft`: leaves with their new places -> objects of ours
//! - `places`: places of parts, field of a violation -> the parts that it is about
//! - `texts`: texts of a value -> changed, or why it is lost
//! - `ledger`: leaves of the source and what became of each
//! - `read`: text -> objects of the source
//! - `secrets`: variables that hold credentials -> Secrets
//! - `names`: names of the source -> names of ours
//! - `schema`: schema of a definition -> what the API server would refuse
//! - `path`: paths of leaves

mod assemble;
mod container;
mod contradictions;
mod draft;
mod judge;
mod jupyter_k8s;
mod kubeflow;
mod ledger;
mod names;
mod output;
mod path;
mod places;
mod pod_template;
mod read;
mod rights;
mod schema;
mod secrets;
mod steps;
mod table;
mod templates;
mod texts;
mod z2jh;

pub use ledger::{Entry, Outcome};
pub use output::File;

/// A text to read.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its name in messages, such as a file's.
    pub name: String,
    /// YAML or JSON.
    pub text: String,
}

/// A system to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Kubeflow: Notebooks, `PodDefaults`, Profiles and claims.
    Kubeflow,
    /// The earlier jupyter-k8s: Workspaces, templates, access strategies and claims of both of its API groups.
    JupyterK8s,
    /// Values of the chart zero-to-jupyterhub, and claims.
    Z2jh,
}

/// What becomes of a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hub {
    /// It stays, with our spawner.
    Keep,
    /// It goes, and its users have workspaces.
    Replace,
}

/// What the source does not say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the API server puts before names of users, such as `oidc:`. `None`: nobody said.
    pub user_prefix: Option<String>,
    /// What becomes of the hub, where there is one.
    pub hub: Option<Hub>,
    /// Its namespace, where no claim tells it.
    pub hub_namespace: Option<String>,
    /// `escape` or `safe`: how it writes names of users in names of folders, as `KubeSpawner`'s setting of this name.
    pub slug_scheme: Option<String>,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Files to write.
    pub files: Vec<File>,
    /// What became of every leaf.
    pub entries: Vec<Entry>,
    /// What is missing and no leaf says, such as an unknown owner.
    pub missing: Vec<String>,
    /// What to check, though nothing is lost.
    pub notes: Vec<String>,
}

impl Import {
    /// Whether something of the source is nowhere.
    pub fn is_lossy(&self) -> bool {
        !self.missing.is_empty() || self.entries.iter().any(|entry| entry.outcome == Outcome::Lost)
    }
}

/// Why nothing comes out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input cannot be read, or holds nothing to convert.
    #[error("{0}")]
    Unreadable(String),
    /// An option is missing.
    #[error("{0}")]
    Usage(String),
    /// What came out breaks a rule of ours.
    #[error("this program made an object that breaks a rule, which is an error of its own: {0}")]
    Bug(String),
}

/// Most bytes of all inputs: what is made of them takes up to sixty times as much memory.
const LONGEST: usize = 64 << 20;

/// Converts a source.
pub fn convert(source: Source, inputs: &[Input], options: &Options) -> Result<Import, Error> {
    let length: usize = inputs.iter().map(|input| input.text.len()).sum();
    if length > LONGEST {
        let words = format!(
            "the input must have at most {} MiB, and has {}: export one namespace at a time (-n NAMESPACE in place of -A), each into a folder of its own",
            LONGEST >> 20,
            length.div_ceil(1 << 20)
        );
        return Err(Error::Unreadable(words));
    }
    match source {
        Source::Kubeflow => kubeflow::convert(&read::objects(inputs)?, options),
        Source::JupyterK8s => jupyter_k8s::convert(&read::objects(inputs)?, options),
        Source::Z2jh => {
            let (files, objects) = read::values(inputs)?;
            z2jh::convert(files, &objects, options)
        }
    }
}
