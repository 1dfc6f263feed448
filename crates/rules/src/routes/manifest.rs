//! Manifest, workspace and manager -> kind, name and variables of the manifest (pure).

use api::{Workspace, WorkspaceManager};
use serde_json::Value;

use crate::effective::Effective;
use crate::effective::variables::Scope;
use crate::settings::{RouteKind, Settings};

/// Kind and name of a manifest.
pub(super) struct Identity {
    pub(super) kind: RouteKind,
    /// As written; `None`: the default name.
    pub(super) name: Option<String>,
}

impl Identity {
    /// Returns `None` for an invalid manifest.
    pub(super) fn from_manifest(manifest: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            kind: RouteKind {
                api_version: text(&manifest["apiVersion"])?,
                kind: text(&manifest["kind"])?,
            },
            name: text(&manifest["metadata"]["name"]),
        })
    }
}

/// The variables of a manager's manifests. Values that users choose must not have a meaning in a proxy's language.
/// So they are restricted to harmless characters.
pub(super) fn scope(
    workspace: &Workspace,
    effective: &Effective,
    manager: &WorkspaceManager,
    settings: &Settings,
) -> Scope {
    let scope = Scope::for_workspace(workspace)
        .with_effective(effective)
        .with_manager(manager);
    let gateway = &manager.spec.authentication.gateway;
    match &settings.gateway_address {
        Some(address) if gateway.is_some() => scope.with("authentication.address", address.as_str()),
        _ => scope,
    }
    .typed()
    .strict()
}
