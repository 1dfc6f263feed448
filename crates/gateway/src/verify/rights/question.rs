//! user and workspace -> the `SubjectAccessReview` to send (pure).

use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use kit::access_review::{Right, question};

use crate::session::{Credential, Session};

/// The group that the API server gives to every authenticated user.
const EVERYBODY: &str = "system:authenticated";

/// May this user `create` `workspaces/connect` of that name?
pub(super) fn about(session: &Session, namespace: &str, name: &str) -> SubjectAccessReviewSpec {
    review(session, ("create", "workspaces/connect"), namespace, name)
}

/// May this user `use` the template of that name?
pub(super) fn template(session: &Session, namespace: &str, name: &str) -> SubjectAccessReviewSpec {
    let right = (api::names::USE_VERB, "workspacetemplates");
    review(session, right, namespace, name)
}

fn review(
    session: &Session,
    (verb, resource): (&'static str, &str),
    namespace: &str,
    name: &str,
) -> SubjectAccessReviewSpec {
    let right = Right {
        verb,
        group: api::names::GROUP,
        version: api::names::VERSION,
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    question(&user(session), &right)
}

/// For a service account's token the API server reports all attributes that authorizers may use. For users only the name and the
/// groups are known.
fn user(session: &Session) -> UserInfo {
    let identity = &session.identity;
    let mut groups = identity.groups.clone();
    if !groups.iter().any(|group| group == EVERYBODY) {
        groups.push(EVERYBODY.to_owned());
    }
    let (uid, extra) = match &session.credential {
        Credential::ServiceAccount(reviewed) => (Some(reviewed.uid.clone()), Some(reviewed.extra.clone())),
        Credential::Login | Credential::User => (None, None),
    };
    UserInfo {
        username: Some(identity.user_name.clone()),
        groups: Some(groups),
        uid: uid.filter(|uid| !uid.is_empty()),
        extra: extra.filter(|extra| !extra.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::claims::Identity;
    use crate::session::Reviewed;
    use crate::tokens::RandomId;

    fn session(groups: &[&str], credential: Credential) -> Session {
        Session {
            id: RandomId::new().unwrap(),
            identity: Identity {
                user_name: "alice".into(),
                groups: groups.iter().map(|&group| group.to_owned()).collect(),
            },
            end: 0,
            credential,
            id_token: None,
        }
    }

    #[test]
    fn the_review_names_user_groups_and_workspace() {
        let alice = session(&["oidc:ml"], Credential::Login);
        let asked = serde_json::to_value(about(&alice, "team", "lab")).unwrap();
        assert_eq!(
            asked,
            json!({
                "user": "alice",
                "groups": ["oidc:ml", "system:authenticated"],
                "resourceAttributes": {
                    "group": "workspaces.jupyter.org", "version": "v1alpha1", "resource": "workspaces",
                    "subresource": "connect", "verb": "create", "namespace": "team", "name": "lab",
                },
            })
        );
    }

    #[test]
    fn the_right_to_use_a_template_is_asked_as_the_webhook_asks() {
        let alice = session(&["oidc:ml"], Credential::Login);
        let asked = serde_json::to_value(template(&alice, "team", "production")).unwrap();
        assert_eq!(
            asked["resourceAttributes"],
            json!({
                "group": "workspaces.jupyter.org", "version": "v1alpha1", "resource": "workspacetemplates",
                "verb": "use", "namespace": "team", "name": "production",
            })
        );
    }

    #[test]
    fn the_review_of_a_service_account_has_uid_and_extra() {
        let reviewed = Reviewed {
            uid: "u-1".into(),
            extra: [(
                "authentication.kubernetes.io/pod-name".to_owned(),
                vec!["job".to_owned()],
            )]
            .into(),
        };
        let groups = ["system:serviceaccounts", "system:authenticated"];
        let robot = session(&groups, Credential::ServiceAccount(Box::new(reviewed)));
        let asked = serde_json::to_value(about(&robot, "team", "lab")).unwrap();
        assert_eq!(asked["groups"], json!(groups));
        assert_eq!(asked["uid"], "u-1");
        assert_eq!(
            asked["extra"],
            json!({"authentication.kubernetes.io/pod-name": ["job"]})
        );
    }
}
