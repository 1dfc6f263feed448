//! Security settings of workspace and template -> those of pod and containers (pure).
//!
//! Unset values get defaults. User and groups are those of the settings, else 1000, and that group can write to the disk. The user is a
//! number, because `runAsNonRoot` refuses images that set their user by name. It is the same for every image, because the files on the disk
//! outlive the image. Settings that leave it out leave the choice to the platform, such as `OpenShift` with the range of the namespace.
//! Values that are set stay: the rules have checked them against the Pod Security level of the template.

use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SeccompProfile, SecurityContext};
use rules::PodIdentifiers;

pub(super) fn pod(given: Option<&PodSecurityContext>, default: PodIdentifiers) -> PodSecurityContext {
    let mut context = given.cloned().unwrap_or_default();
    // Pod Security `baseline` lets templates allow root. Then `runAsUser: 0` is enough.
    let root = context.run_as_user == Some(0);
    context.run_as_non_root.get_or_insert(!root);
    context.run_as_user = context.run_as_user.or(default.run_as_user);
    context.run_as_group = context.run_as_group.or(default.run_as_group);
    context.fs_group = context.fs_group.or(default.fs_group);
    // The kubelet does not walk through a large disk at every start.
    context
        .fs_group_change_policy
        .get_or_insert_with(|| "OnRootMismatch".to_owned());
    context.seccomp_profile.get_or_insert_with(|| SeccompProfile {
        type_: "RuntimeDefault".to_owned(),
        localhost_profile: None,
    });
    context
}

/// `read_only`: whether the image is made to run with a read-only root file system.
pub(crate) fn container(given: Option<&SecurityContext>, read_only: bool) -> SecurityContext {
    let mut context = restricted(given);
    context.read_only_root_filesystem.get_or_insert(read_only);
    context
}

/// What `restricted` needs, where it is unset.
pub(super) fn restricted(given: Option<&SecurityContext>) -> SecurityContext {
    let mut context = given.cloned().unwrap_or_default();
    if context.run_as_user == Some(0) {
        context.run_as_non_root.get_or_insert(false);
    }
    context.allow_privilege_escalation.get_or_insert(false);
    context
        .capabilities
        .get_or_insert_with(Capabilities::default)
        .drop
        .get_or_insert_with(|| vec!["ALL".to_owned()]);
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_stays_and_the_rest_is_filled() {
        let given = PodSecurityContext {
            run_as_user: Some(5000),
            supplemental_groups: Some(vec![7]),
            ..PodSecurityContext::default()
        };
        let context = pod(Some(&given), PodIdentifiers::default());
        assert_eq!(
            (context.run_as_user, context.run_as_group, context.fs_group),
            (Some(5000), Some(1000), Some(1000))
        );
        assert_eq!(context.supplemental_groups, Some(vec![7]));
        assert_eq!(context.run_as_non_root, Some(true));
        assert_eq!(context.seccomp_profile.unwrap().type_, "RuntimeDefault");
    }

    #[test]
    fn added_capabilities_do_not_bring_back_the_others() {
        let given = SecurityContext {
            capabilities: Some(Capabilities {
                add: Some(vec!["NET_BIND_SERVICE".to_owned()]),
                drop: None,
            }),
            ..SecurityContext::default()
        };
        let context = container(Some(&given), true);
        let capabilities = context.capabilities.unwrap();
        assert_eq!(capabilities.drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(capabilities.add, Some(vec!["NET_BIND_SERVICE".to_owned()]));
        assert_eq!(context.read_only_root_filesystem, Some(true));
    }

    #[test]
    fn root_where_it_is_allowed_does_not_contradict_non_root() {
        let given = PodSecurityContext {
            run_as_user: Some(0),
            ..PodSecurityContext::default()
        };
        assert_eq!(
            pod(Some(&given), PodIdentifiers::default()).run_as_non_root,
            Some(false)
        );
        let given = SecurityContext {
            run_as_user: Some(0),
            ..SecurityContext::default()
        };
        assert_eq!(container(Some(&given), false).run_as_non_root, Some(false));
        assert_eq!(container(None, false).run_as_non_root, None);
    }
}
