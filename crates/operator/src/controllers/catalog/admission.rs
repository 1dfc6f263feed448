//! Valid workspace, references -> still valid, or rejected because one is being deleted (pure).

use api::Workspace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use rules::ValidWorkspace;

use super::{
    subject::{Key, Kind},
    usage::{has_started, uses},
};
use crate::{
    blockers::rejected::Rejected,
    cache::{observed::Observed, references::References},
};

/// An object that is being deleted accepts no new workspaces. Workspaces that use it already go on. `is_held`: whether this process
/// admitted the workspace before.
pub fn admit(
    valid: ValidWorkspace,
    workspace: &Workspace,
    references: &References,
    observed: &Observed,
    is_held: impl Fn(&Key) -> bool,
) -> Result<ValidWorkspace, Rejected> {
    for (kind, meta) in used(&valid, references) {
        let key = Key::of(kind, meta);
        let is_leaving = meta.deletion_timestamp.is_some();
        if is_leaving && !uses(&key, workspace, true, is_held(&key), || is_begun(observed)) {
            return Err(Rejected::Leaving {
                kind: kind.name(),
                name: key.name,
                reason: kind.terminating(),
            });
        }
    }
    Ok(valid)
}

fn is_begun(observed: &Observed) -> bool {
    let children = [
        observed.service.as_ref().map(|it| &it.metadata),
        observed.policy.as_ref().map(|it| &it.metadata),
        observed.claim.as_ref().map(|it| &it.metadata),
        observed.deployment.as_ref().map(|it| &it.metadata),
    ];
    has_started(&observed.identity, children)
}

/// The objects that a valid workspace uses.
pub(super) fn used<'a>(
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

    fn leaving() -> References {
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
    fn a_template_that_is_being_deleted_takes_in_nobody_but_those_who_use_it_already() {
        let (references, workspace) = (leaving(), workspace());
        let valid = crate::reconcile::admit::admit(&workspace, &references, &testing::settings()).unwrap();
        let judged = |is_held: bool, observed: &Observed| {
            admit(valid.clone(), &workspace, &references, observed, |_| is_held)
        };
        let nothing = Observed::empty(testing::running().identity);
        let rejected = judged(false, &nothing).unwrap_err();
        assert_eq!(rejected.reason(), reason::TEMPLATE_TERMINATING);
        assert!(rejected.problem(api::workspace::DesiredStatus::Running).is_some());
        assert!(rejected.to_string().contains("\"t\""), "{rejected}");
        assert!(judged(true, &nothing).is_ok());
        assert!(judged(false, &testing::running()).is_ok());
    }
}
