//! Request for a new WorkspaceShare -> UID and owner of its workspace (IO).

use api::Workspace;
use api::names;

use crate::lookups::{LookupError, Lookups};
use crate::review::Request;

/// Values of a new share that come from its workspace.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    /// UID of the workspace.
    pub(crate) uid: Option<String>,
    /// Owner of the workspace, unless the owner makes the share.
    pub(crate) shared_for: Option<String>,
}

/// The workspace's values for a new share, if the workspace exists.
pub(crate) async fn binding(request: &Request, lookups: &Lookups) -> Result<Binding, LookupError> {
    match request.object.data["spec"]["workspaceRef"].as_str() {
        Some(name) if request.is_create() => {
            let workspace = lookups.workspace(&request.namespace, name).await?;
            Ok(workspace
                .map(|workspace| Binding::to(request, &workspace))
                .unwrap_or_default())
        }
        _ => Ok(Binding::default()),
    }
}

impl Binding {
    pub(crate) fn to(request: &Request, workspace: &Workspace) -> Self {
        let creator = names::owner(&request.object.metadata).unwrap_or_else(|| request.user_name());
        let owner = names::owner(&workspace.metadata).filter(|owner| *owner != creator);
        Self {
            uid: workspace.metadata.uid.clone(),
            shared_for: owner.map(str::to_owned),
        }
    }
}
