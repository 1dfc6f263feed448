//! Request for a new Workspace -> UID of the template that existed at its creation (IO).
//!
//! The webhook checked the user's permissions for what that template leaves to the user. A template of the
//! same name that is created later has another UID.

use api::WorkspaceTemplate;
use api::names::ATTESTED_TEMPLATE;
use kube::api::DynamicObject;
use rules::Violation;

use crate::lookups::{LookupError, Lookups};
use crate::review::Request;

/// For a new workspace: the UID of its template or of the default one, if that exists.
pub(crate) async fn due(
    request: &Request,
    default: Option<&str>,
    lookups: &Lookups,
) -> Result<Option<String>, LookupError> {
    match request.object.data["spec"]["templateRef"].as_str().or(default) {
        Some(name) if request.is_create() => Ok(lookups.template(name).await?.and_then(|it| it.metadata.uid)),
        _ => Ok(None),
    }
}

/// The recorded UID.
pub(crate) fn template_uid(object: &DynamicObject) -> Option<&str> {
    let annotations = object.metadata.annotations.as_ref()?;
    annotations.get(ATTESTED_TEMPLATE).map(String::as_str)
}

/// Users cannot write the annotation. `/mutate` corrects it.
/// This refuses a change by a later mutating webhook, and a template that was created again in between.
/// A missing annotation is harmless, because it attests nothing.
pub(crate) fn violation(request: &Request, template: Option<&WorkspaceTemplate>) -> Option<Violation> {
    let given = template_uid(&request.object);
    let expected = match &request.old {
        None => template.and_then(|template| template.metadata.uid.as_deref()),
        Some(stored) => template_uid(stored),
    };
    let is_harmless = given == expected || (request.is_create() && given.is_none());
    if request.is_delete() || is_harmless {
        return None;
    }
    let rule = "is not the UID of the template that is there: leave it out, and try again";
    let field = format!("metadata.annotations[{ATTESTED_TEMPLATE}]");
    Some(Violation::new(field, given.unwrap_or_default(), rule))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::review::tests::{create, update};

    fn with(uid: Option<&str>) -> Value {
        json!({"metadata": {"annotations": uid.map(|uid| json!({ ATTESTED_TEMPLATE: uid }))}, "spec": {"templateRef": "t"}})
    }

    #[test]
    fn a_new_workspace_records_the_template_that_validates_it_or_none() {
        let template = testkit::objects::template("t");
        let message =
            |uid: Option<&str>, template| violation(&create("alice", &with(uid)), template).is_some();
        assert!(!message(Some("uid-of-t"), Some(&template)));
        assert!(!message(None, Some(&template)));
        assert!(message(Some("uid-of-another"), Some(&template)));
        assert!(message(Some("uid-of-t"), None));
    }

    #[test]
    fn the_attested_template_of_a_stored_workspace_stays() {
        let message = |old: Option<&str>, new: Option<&str>| {
            let request = update("alice", &with(old), &with(new));
            violation(&request, Some(&testkit::objects::template("t"))).is_some()
        };
        assert!(!message(Some("u-1"), Some("u-1")));
        assert!(!message(None, None));
        for (old, new) in [
            (None, Some("uid-of-t")),
            (Some("u-1"), Some("uid-of-t")),
            (Some("u-1"), None),
        ] {
            assert!(message(old, new), "{old:?} {new:?}");
        }
    }
}
