//! Parts of a pod -> violations in each (pure).
//!
//! - `parts`: the checks that workspaces and templates share
//! - `containers`, `env`, `hooks`: init containers and the application
//! - `totals`: the sum of all containers
//! - `mounts`: mount paths
//! - `affinity`, `affinity_scope`: scheduling
//! - `identities`, `pod_security`: security contexts
//! - `annotations`, `labels`: metadata

mod affinity;
mod affinity_scope;
pub(super) mod annotations;
mod containers;
pub(super) mod env;
mod hooks;
mod identities;
pub(super) mod labels;
pub(super) mod mounts;
pub(super) mod parts;
mod pod_security;
pub(super) mod totals;

/// The author of a part of the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::validate) enum Author {
    /// The author of the workspace.
    Workspace,
    /// The author of a template or execution profile.
    Administrator,
}
