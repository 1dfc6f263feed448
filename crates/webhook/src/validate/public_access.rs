//! Access type and manager -> warning where `Public` has no effect (pure).

use api::WorkspaceManager;
use api::workspace::AccessType;
use kube::ResourceExt as _;

/// The warning for `access` in `field` with the manager `named`, or the default one.
pub(super) fn warning(
    field: &str,
    access: AccessType,
    named: Option<&str>,
    managers: &[WorkspaceManager],
) -> Option<String> {
    let manager = rules::managers::choose(named, managers).ok()?;
    let counts = !access.admits_everyone() || !manager.spec.routing.disables_sharing();
    (!counts).then(|| {
        format!(
            "{field}: \"Public\" does not count under WorkspaceManager {:?}, whose workspaces are of one web origin (routing.mode: \
             Path): only owners and administrators may connect. Leave it out, or have an administrator set \
             routing.pathModeSharing: AcceptRisk",
            manager.name_any()
        )
    })
}
