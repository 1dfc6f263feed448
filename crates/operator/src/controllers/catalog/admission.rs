//! Valid workspace, its references -> admitted, rejected or waiting (pure).
//!
//! A reference that is being deleted rejects the workspace. One without the in-use finalizer makes it wait.

use api::Workspace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kit::scope::Scope;
use kube::ResourceExt as _;
use rules::ValidWorkspace;

use super::{
    subject::{Key, Kind, is_in_use},
    usage::{has_started, uses},
};
use crate::{
    blockers::rejected::Rejected,
    cache::{observed::Observed, references::References},
};

/// An object that is being deleted accepts no new workspaces. Workspaces that use it already go on.
pub fn admit(
    valid: ValidWorkspace,
    workspace: &Workspace,
    references: &References,
    observed: &Observed,
) -> Result<ValidWorkspace, Rejected> {
    for (kind, meta) in references_of(&valid, references) {
        let key = Key::from_meta(kind, meta);
        let is_terminating = meta.deletion_timestamp.is_some();
        if is_terminating && !uses(&key, workspace, true, || has_started(observed)) {
            return Err(Rejected::Terminating {
                kind: kind.name(),
                name: key.name,
                reason: kind.terminating(),
            });
        }
    }
    Ok(valid)
}

/// Whether all that the workspace begins to use has the in-use finalizer. Until then its first child is not made. The catalog
/// controller sets the finalizer, and that change triggers a reconcile of the workspace. An operator of one namespace sets none on
/// templates and managers.
pub fn is_protected(
    scope: &Scope,
    valid: &ValidWorkspace,
    workspace: &Workspace,
    references: &References,
    observed: &Observed,
) -> bool {
    references_of(valid, references).all(|(kind, meta)| {
        (meta.namespace.is_none() && !scope.is_cluster())
            || is_in_use(meta.finalizers.as_deref().unwrap_or_default())
            || uses(&Key::from_meta(kind, meta), workspace, true, || {
                has_started(observed)
            })
    })
}

/// The objects that a valid workspace uses.
fn references_of<'a>(
    valid: &ValidWorkspace,
    references: &'a References,
) -> impl Iterator<Item = (Kind, &'a ObjectMeta)> {
    let template = references.template.as_ref();
    let manager = references
        .managers
        .iter()
        .find(|manager| manager.name_any() == valid.manager);
    let profile = references.profile.as_ref();
    [
        template.map(|template| (Kind::Template, &template.metadata)),
        manager.map(|manager| (Kind::Manager, &manager.metadata)),
        profile.map(|profile| (Kind::Profile, &profile.metadata)),
    ]
    .into_iter()
    .flatten()
}
