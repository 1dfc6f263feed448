//! Parts of a pod -> what the operator or the template forbids in each (pure).
//!
//! Whether it is a valid pod, only the API server says: when the operator creates it. Here is what Kubernetes would take. The rules of
//! finished pods are in `crate::pod_security`: here they are asked about the fields that people write.
//!
//! - `parts`: the checks that workspaces and templates share
//! - `containers`, `env`: init containers and the application
//! - `totals`: the sum of all containers
//! - `mounts`: mount paths
//! - `affinity_scope`: scheduling
//! - `annotations`, `labels`: metadata

mod affinity_scope;
pub(super) mod annotations;
mod containers;
pub(super) mod env;
pub(super) mod labels;
pub(super) mod mounts;
pub(super) mod parts;
pub(super) mod totals;

/// The author of a part of the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::validate) enum Author {
    /// The author of the workspace.
    Workspace,
    /// The author of a template or execution profile.
    Administrator,
}
