//! Workspace and manager -> variables of the manager's manifests (pure).

use api::{Workspace, WorkspaceManager};

use crate::effective::Effective;
use crate::effective::variables::Scope;
use crate::settings::Settings;

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
