//! Workspace, references -> valid workspace, or why it must not run (pure): checks the rules again.
//!
//! The webhook refuses invalid objects at admission. This check covers clusters without webhook, and later changes.

use api::Workspace;
use rules::{Rejection, Settings, ValidWorkspace};

use crate::{blockers::rejected::Rejected, cache::references::References};

/// Validates a stored workspace.
pub(super) fn admit(
    workspace: &Workspace,
    references: &References,
    settings: &Settings,
) -> Result<ValidWorkspace, Rejected> {
    let known = rules::References::managed_by(references.managers.iter().map(AsRef::as_ref))
        .with_template(references.template.as_deref())
        .with_profile(references.profile.as_deref());
    let judged = rules::admit(workspace, &known, settings);
    judged.map_err(|rejection| match (&references.unreadable, rejection) {
        // An object that cannot be parsed appears absent. Report the real reason.
        (Some(what), Rejection::MissingReference(_)) => Rejected::Unreadable(what.clone()),
        (_, rejection) => Rejected::Rules(rejection),
    })
}

#[cfg(test)]
mod tests {
    use api::{condition::reason, workspace::DesiredStatus};
    use testkit::objects;

    use super::*;
    use crate::testing;

    fn references() -> References {
        References {
            managers: vec![objects::manager("main").into()],
            ..References::default()
        }
    }

    #[test]
    fn a_template_that_cannot_be_parsed_is_not_called_absent() {
        let mut workspace = objects::workspace("demo");
        workspace.spec.template_ref = Some("t".to_owned());
        let mut references = references();
        let rejected = admit(&workspace, &references, &testing::settings()).unwrap_err();
        assert_eq!(rejected.reason(), reason::TEMPLATE_NOT_FOUND);
        references.unreadable = Some("WorkspaceTemplate t cannot be read: missing field".to_owned());
        let rejected = admit(&workspace, &references, &testing::settings()).unwrap_err();
        assert_eq!(rejected.reason(), reason::UNREADABLE);
    }

    #[test]
    fn a_broken_rule_is_in_valid_alone_and_a_missing_object_in_degraded_too() {
        let mut out_of_bounds = objects::workspace("demo");
        out_of_bounds.spec.image = Some("not an image".to_owned());
        let rejected = admit(&out_of_bounds, &references(), &testing::settings()).unwrap_err();
        assert_eq!(
            (rejected.reason(), rejected.problem(DesiredStatus::Running)),
            (reason::RULES_VIOLATED, None)
        );
        let none = References::default();
        let rejected = admit(&objects::workspace("demo"), &none, &testing::settings()).unwrap_err();
        assert_eq!(
            rejected.problem(DesiredStatus::Running).unwrap().reason,
            reason::MANAGER_NOT_FOUND
        );
    }
}
