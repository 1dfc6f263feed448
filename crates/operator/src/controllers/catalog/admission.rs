//! Valid workspace, references -> admitted, rejected (a reference is being deleted), or waiting (one lacks the in-use finalizer) (pure).

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
    for (kind, meta) in used(&valid, references) {
        let key = Key::of(kind, meta);
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
    used(valid, references).all(|(kind, meta)| {
        (meta.namespace.is_none() && !scope.is_cluster())
            || is_in_use(meta.finalizers.as_deref().unwrap_or_default())
            || uses(&Key::of(kind, meta), workspace, true, || has_started(observed))
    })
}

/// The objects that a valid workspace uses.
fn used<'a>(
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::condition::reason;
    use testkit::objects;

    use super::*;
    use crate::testing;

    fn terminating() -> References {
        let mut template = objects::template("t");
        template.metadata.deletion_timestamp = objects::workspace("any").metadata.creation_timestamp;
        References {
            template: Some(Arc::new(template)),
            managers: vec![objects::manager("main").into()],
            ..References::default()
        }
    }

    fn workspace() -> Workspace {
        let mut workspace = objects::workspace("demo");
        workspace.spec.template_ref = Some("t".to_owned());
        workspace
    }

    #[test]
    fn a_template_that_is_being_deleted_accepts_only_workspaces_that_use_it_already() {
        let (references, workspace) = (terminating(), workspace());
        let valid = crate::reconcile::admit::admit(&workspace, &references, &testing::settings()).unwrap();
        let judged = |observed: &Observed| admit(valid.clone(), &workspace, &references, observed);
        let nothing = Observed::empty(testing::running().identity);
        let rejected = judged(&nothing).unwrap_err();
        assert_eq!(rejected.reason(), reason::TEMPLATE_TERMINATING);
        assert!(rejected.problem(api::workspace::DesiredStatus::Running).is_some());
        assert!(rejected.to_string().contains("\"t\""), "{rejected}");
        assert!(judged(&testing::running()).is_ok());
    }

    #[test]
    fn a_workspace_that_begins_to_use_an_object_waits_for_its_finalizer_and_one_that_uses_it_does_not() {
        let workspace = workspace();
        let references = |template: &[&str], manager: &[&str]| {
            let finalizers = |all: &[&str]| Some(all.iter().map(|it| (*it).to_owned()).collect());
            let (mut t, mut main) = (objects::template("t"), objects::manager("main"));
            t.metadata.finalizers = finalizers(template);
            main.metadata.finalizers = finalizers(manager);
            References {
                template: Some(Arc::new(t)),
                managers: vec![main.into()],
                ..References::default()
            }
        };
        let nothing = Observed::empty(testing::running().identity);
        let ours = [api::names::IN_USE_FINALIZER];
        let judged = |references: &References, observed: &Observed| {
            let valid = crate::reconcile::admit::admit(&workspace, references, &testing::settings()).unwrap();
            is_protected(&Scope::Cluster, &valid, &workspace, references, observed)
        };
        assert!(judged(&references(&ours, &ours), &nothing));
        assert!(!judged(&references(&ours, &[]), &nothing));
        assert!(!judged(&references(&["example.com/theirs"], &ours), &nothing));
        assert!(judged(&references(&[], &[]), &testing::running()));
    }
}
