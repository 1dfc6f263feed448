//! Update of a Workspace -> stored values of fields that it left out (pure).
//!
//! A manifest without them is the user's whole text: `kubectl replace` sends it as it is. So leaving them out is no change.

use serde_json::Value;

use crate::review::{Kind, Request};

/// The template, which the webhook may have chosen and which never changes; and whether the workspace runs.
const KEPT: [&str; 2] = ["templateRef", "desiredStatus"];

/// The fields of the spec that the update left out, with their stored values.
pub(crate) fn kept(request: &Request) -> Vec<(&'static str, &Value)> {
    let Some(stored) = &request.old else {
        return Vec::new();
    };
    let (before, after) = (&stored.data["spec"], &request.object.data["spec"]);
    let is_update = request.kind == Kind::Workspace && !request.is_delete() && after.is_object();
    KEPT.into_iter()
        .map(|field| (field, &before[field]))
        .filter(|(field, stored)| is_update && after[field].is_null() && !stored.is_null())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::review::tests::{create, update};

    #[test]
    fn only_fields_that_are_left_out_and_stored_are_kept() {
        let stored = json!({"spec": {"templateRef": "t", "desiredStatus": "Stopped", "image": "uv"}});
        let kept = |new: &Value| {
            let request = update("alice", &stored, new);
            let all: Vec<_> = kept(&request)
                .into_iter()
                .map(|(field, value)| json!([field, value]))
                .collect();
            json!(all)
        };
        let both = json!([["templateRef", "t"], ["desiredStatus", "Stopped"]]);
        assert_eq!(kept(&json!({"spec": {}})), both);
        assert_eq!(
            kept(&json!({"spec": {"templateRef": null, "desiredStatus": null}})),
            both
        );
        let other = json!({"spec": {"templateRef": "other", "desiredStatus": "Running"}});
        assert_eq!(kept(&other), json!([]), "what is written counts");
        assert_eq!(kept(&json!({"spec": null})), json!([]));
        assert!(super::kept(&create("alice", &json!({"spec": {}}))).is_empty());
        let bare = json!({"spec": {}});
        assert!(super::kept(&update("alice", &bare, &bare)).is_empty());
    }
}
