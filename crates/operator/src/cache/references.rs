//! Objects that a workspace refers to -> its last manager (pure).

use std::sync::Arc;

use api::{WorkspaceExecutionProfile, WorkspaceManager, WorkspaceStatus, WorkspaceTemplate};
use kube::ResourceExt as _;

/// The objects that a workspace refers to.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// The template that it names, if it exists.
    pub template: Option<Arc<WorkspaceTemplate>>,
    /// The execution profile that it or its template names, if it exists.
    pub profile: Option<Arc<WorkspaceExecutionProfile>>,
    /// Every manager.
    pub managers: Vec<Arc<WorkspaceManager>>,
    /// An object that exists but cannot be parsed: kind, name and error.
    pub unreadable: Option<String>,
}

impl References {
    /// The manager that `status` names: it isolates the pod of a workspace that must not run. `None`: it is unknown.
    pub fn last_manager(&self, status: Option<&WorkspaceStatus>) -> Option<&WorkspaceManager> {
        let last = status?.resolved.as_ref()?.manager.as_deref()?;
        let mut managers = self.managers.iter().map(AsRef::as_ref);
        managers.find(|manager| manager.name_any() == last)
    }
}
