//! Objects that a workspace refers to -> its last network policy settings (pure).

use std::sync::Arc;

use api::{
    WorkspaceExecutionProfile, WorkspaceManager, WorkspaceStatus, WorkspaceTemplate,
    manager::NetworkPolicySettings,
};
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
    /// Network policy settings for a workspace that must not run, but does. They are those of the manager that `status` names, or the
    /// defaults if that manager is no longer known.
    pub fn last_network_policy(&self, status: Option<&WorkspaceStatus>) -> NetworkPolicySettings {
        let resolved = status.and_then(|status| status.resolved.as_ref());
        let last = resolved.and_then(|resolved| resolved.manager.as_deref());
        let manager = last.and_then(|name| self.managers.iter().find(|manager| manager.name_any() == name));
        manager
            .and_then(|manager| manager.spec.network_policy.clone())
            .unwrap_or_default()
    }
}
