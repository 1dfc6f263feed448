//! Request for a new WorkspaceShare -> UID and owner of its workspace (IO).

use api::Workspace;
use api::names;

use crate::lookups::{LookupError, Lookups};
use crate::review::Request;

/// What a new share's workspace adds to it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    /// Its UID.
    pub(crate) uid: Option<String>,
    /// Its owner, unless they make the share themselves.
    pub(crate) shared_for: Option<String>,
}

/// What a new share is bound to, if its workspace exists.
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
