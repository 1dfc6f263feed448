//! Metadata of a claim -> whose disk it is (pure), for webhook and operator alike.

use api::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Whether a claim is a workspace's disk, or was: nobody else may mount it.
pub fn is_a_disk(claim: &ObjectMeta) -> bool {
    let has_key = |map: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
        map.as_ref().is_some_and(|map| map.contains_key(key))
    };
    let mut owners = claim.owner_references.iter().flatten();
    let group = format!("{}/", names::GROUP);
    has_key(&claim.annotations, names::WORKSPACE_UID)
        || has_key(&claim.labels, names::WORKSPACE_LABEL)
        || owners.any(|owner| owner.kind == "Workspace" && owner.api_version.starts_with(&group))
}

/// Whether a claim is the disk of the workspace with this UID.
pub fn belongs_to(claim: &ObjectMeta, workspace_uid: &str) -> bool {
    let noted = claim
        .annotations
        .as_ref()
        .and_then(|all| all.get(names::WORKSPACE_UID));
    let mut owners = claim.owner_references.iter().flatten();
    noted.is_some_and(|uid| uid == workspace_uid) || owners.any(|owner| owner.uid == workspace_uid)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn meta(value: Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_disk_is_known_by_each_of_its_marks() {
        let owner = json!([{"apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace", "name": "w", "uid": "u-1"}]);
        for marked in [
            json!({"annotations": {names::WORKSPACE_UID: "u-1"}}),
            json!({"labels": {names::WORKSPACE_LABEL: "w"}}),
            json!({"ownerReferences": owner}),
        ] {
            assert!(is_a_disk(&meta(marked.clone())), "{marked}");
        }
        let other = json!({
            "annotations": {"a": "b"}, "labels": {"a": "b"},
            "ownerReferences": [{"apiVersion": "x.org/v1", "kind": "Workspace", "name": "w", "uid": "u-1"}],
        });
        assert!(!is_a_disk(&meta(other)) && !is_a_disk(&meta(json!({}))));
    }

    #[test]
    fn a_disk_belongs_to_a_uid_and_not_to_a_name() {
        let noted = meta(json!({"annotations": {names::WORKSPACE_UID: "u-1"}}));
        assert!(belongs_to(&noted, "u-1") && !belongs_to(&noted, "u-2"));
        assert!(!belongs_to(
            &meta(json!({"labels": {names::WORKSPACE_LABEL: "w"}})),
            "u-1"
        ));
    }
}
