//! Request for a Workspace -> the last user who changed it (pure).

use api::names::{ASSIGNED_BY, ATTESTED_TEMPLATE, CREATED_BY, LAST_UPDATED_BY, takes_records};
use kube::api::DynamicObject;

use super::omitted;
use crate::review::{Accounts, Changes, Request};

/// The user to record: the requester if the request creates the workspace or changes its spec, labels or annotations.
/// Otherwise it is the stored user. Our own processes do not count as users. The cluster's controllers change none of these.
/// A workspace with too many annotations keeps its record: the policies would refuse another, and with it a stop.
pub(crate) fn due(request: &Request, accounts: &Accounts) -> Option<String> {
    let is_update_by_user = !accounts.is_ours(request)
        && takes_records(&request.object.metadata)
        && changes_content(request, &Changes::from_request(request));
    match &request.old {
        Some(stored) if !is_update_by_user => last_user(stored).map(str::to_owned),
        _ => Some(request.user_name().to_owned()),
    }
}

fn last_user(object: &DynamicObject) -> Option<&str> {
    let annotations = object.metadata.annotations.as_ref()?;
    annotations.get(LAST_UPDATED_BY).map(String::as_str)
}

/// Whether the request changes anything that users write. Fields that a full update omits and the webhook restores do not count.
fn changes_content(request: &Request, changes: &Changes) -> bool {
    let is_restored = |key: &str| [CREATED_BY, ASSIGNED_BY, ATTESTED_TEMPLATE].contains(&key);
    let hands_over =
        changes.annotations_set.contains(CREATED_BY) && api::names::owner(&request.object.metadata).is_some();
    let mut annotations = changes.annotations_set.iter().chain(&changes.annotations_removed);
    let kept = omitted::kept(request);
    let is_kept = |field: &String| kept.iter().any(|(kept, _)| kept == field);
    !changes.spec.iter().all(is_kept)
        || changes.labels()
        || hands_over
        || annotations.any(|key| !is_restored(key))
}

#[cfg(test)]
mod tests {
    use json_patch::jsonptr::Pointer;
    use serde_json::{Value, json};

    use super::*;
    use crate::review::tests::{COLLECTOR, GATEWAY, OPERATOR, accounts, create, update};

    fn stored(by: &str) -> Value {
        json!({"metadata": {"annotations": {CREATED_BY: "alice", LAST_UPDATED_BY: by}}, "spec": {"port": 1}})
    }

    fn with(path: &str, value: Value) -> Value {
        let mut object = stored("alice");
        let path = Pointer::parse(path).unwrap();
        match value {
            Value::Null => drop(path.delete(&mut object)),
            value => drop(path.assign(&mut object, value).unwrap()),
        }
        object
    }

    fn updater(user: &str, new: &Value) -> String {
        due(&update(user, &stored("alice"), new), &accounts()).unwrap()
    }

    #[test]
    fn a_user_who_creates_or_changes_a_workspace_is_recorded() {
        assert_eq!(due(&create("bob", &stored("eve")), &accounts()).unwrap(), "bob");
        for new in [
            with("/spec/port", json!(2)),
            with("/metadata/labels", json!({"a": "b"})),
            with("/metadata/annotations/x", json!("y")),
            with(
                "/metadata/annotations/workspaces.jupyter.org~1created-by",
                json!("bob"),
            ),
        ] {
            assert_eq!(updater("bob", &new), "bob", "{new}");
        }
    }

    #[test]
    fn a_stop_of_a_workspace_with_too_many_annotations_changes_none_of_them() {
        let updater = |others: usize| {
            let mut old = stored("alice");
            for number in 0..others {
                old["metadata"]["annotations"][format!("k{number}")] = json!("");
            }
            let mut new = old.clone();
            new["spec"]["desiredStatus"] = json!("Stopped");
            due(&update("admin", &old, &new), &accounts()).unwrap()
        };
        assert_eq!(updater(api::names::MAX_ANNOTATIONS), "admin");
        assert_eq!(updater(api::names::MAX_ANNOTATIONS + 1), "alice");
    }

    #[test]
    fn the_record_stays_where_nothing_changes_that_users_write() {
        for new in [
            stored("alice"),
            stored("mallory"),
            with(
                "/metadata/annotations/workspaces.jupyter.org~1created-by",
                Value::Null,
            ),
            with(
                "/metadata/annotations/workspaces.jupyter.org~1last-updated-by",
                Value::Null,
            ),
            with("/metadata/finalizers", json!(["x"])),
        ] {
            assert_eq!(updater("bob", &new), "alice", "{new}");
        }
        let mut templated = stored("alice");
        templated["spec"]["templateRef"] = json!("t");
        let of_templated = |new: &Value| due(&update("bob", &templated, new), &accounts()).unwrap();
        assert_eq!(
            of_templated(&stored("alice")),
            "alice",
            "what is left out is kept"
        );
        assert_eq!(of_templated(&with("/spec/port", json!(2))), "bob");
        for ours in [OPERATOR, GATEWAY] {
            assert_eq!(updater(ours, &with("/spec/port", json!(2))), "alice", "{ours}");
        }
        assert_eq!(
            updater(COLLECTOR, &with("/metadata/finalizers", json!([]))),
            "alice"
        );
    }
}
