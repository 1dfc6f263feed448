//! A workspace and its manager -> link that opens it in VS Code, and what that needs once (pure).

use api::WorkspaceManager;
use api::manager::{RoutingMode, Ssh};
use api::workspace::Phase;
use explain::progress::phase;
use http::Uri;
use kube::ResourceExt as _;
use rules::names::{editor_url, ssh_host};
use serde::Serialize;

use crate::app::Context;
use crate::index::{Served, resolved_values};
use crate::visible::VisibleWorkspace;

/// Where our images have the home, if no disk is mounted elsewhere.
const HOME: &str = "/home/jovyan";

/// What an editor on the user's computer needs once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Editor {
    /// The command that signs in.
    pub(crate) login: String,
    /// For a guest whose link needs a right in Kubernetes: the command that needs none. Empty: for others.
    pub(crate) by_address: String,
}

/// Address of the running workspace's home in VS Code on the user's computer. `None`: the user may not connect, it does not run, or its
/// manager has no ssh. Whether the image has ssh is not known here.
pub(super) fn link(context: &Context, seen: &VisibleWorkspace) -> Option<String> {
    let workspace = &*seen.workspace;
    if !seen.may_connect || phase(workspace) != Phase::Running {
        return None;
    }
    let manager = context.app.index.manager_of(workspace)?;
    // ssh goes through the gateway.
    manager.spec.authentication.gateway.as_ref()?;
    if manager.spec.remote_access.unwrap_or_default().ssh == Ssh::Disabled {
        return None;
    }
    let storage = resolved_values(workspace).and_then(|resolved| resolved.storage.as_ref());
    let folder = storage.map_or(HOME, |storage| &storage.mount_path);
    let host = own_host(&manager, seen).unwrap_or_else(|| {
        let namespace = workspace.namespace().unwrap_or_default();
        ssh_host(&namespace, &workspace.name_any())
    });
    Some(editor_url("vscode", &host, folder))
}

/// For a guest, who may have no right in Kubernetes to find the workspace by its name: its own host, which ssh finds after a sign-in alone.
/// `None`: for others, and where all workspaces share a host.
fn own_host(manager: &WorkspaceManager, seen: &VisibleWorkspace) -> Option<String> {
    if !seen.is_guest() || manager.spec.routing.mode != RoutingMode::Subdomain {
        return None;
    }
    let url: Uri = seen.workspace.status.as_ref()?.url.as_ref()?.parse().ok()?;
    url.host().map(str::to_owned)
}

/// The commands to give once on that computer, where there is a link.
pub(super) fn setup(context: &Context, seen: &VisibleWorkspace) -> Option<Editor> {
    link(context, seen)?;
    let manager = context.app.index.manager_of(&seen.workspace)?;
    let url = seen.workspace.status.as_ref()?.url.clone();
    let needs_address = seen.is_guest() && own_host(&manager, seen).is_none();
    Some(Editor {
        login: format!(
            "kubectl workspace login {}",
            Served::from_manager(&manager).auth_origin()
        ),
        by_address: match url.filter(|_| needs_address) {
            Some(url) => format!("kubectl workspace ssh {url}"),
            None => String::new(),
        },
    })
}
