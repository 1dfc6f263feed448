//! A claim -> whose disk it is, and whether a workspace asks for less than it has (pure).

use api::names;
use api::workspace::Storage;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::quantity::Quantity;
use crate::violation::Violation;

/// Whether a claim is or was the disk of a workspace. Other workspaces may not mount it.
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

/// Requested size of a claim.
pub fn size(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    Quantity::try_from(requests.get("storage")?).ok()
}

/// Whether a claim has, or had, a volume. Before, it holds no files: it can be deleted and made anew with another class and size.
pub fn has_volume(claim: &PersistentVolumeClaim) -> bool {
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    volume.is_some_and(|name| !name.is_empty()) || !matches!(phase, None | Some("Pending"))
}

/// Returns a violation if the workspace itself requests less than its disk has.
pub fn shrinks(given: Option<&Storage>, disk: &PersistentVolumeClaim) -> Option<Violation> {
    if !has_volume(disk) {
        return None;
    }
    let asked = given?.size.as_ref()?;
    let (wanted, has) = (Quantity::try_from(asked).ok()?, size(disk)?);
    let rule =
        format!("is less than the disk has, {has}, and a disk does not shrink: keep {has}, or ask for more");
    (wanted < has).then(|| Violation::new("spec.storage.size", &asked.0, rule))
}

/// Returns a violation if the workspace itself requests another disk than it has: another claim or another class.
pub fn moves(given: Option<&Storage>, disk: &PersistentVolumeClaim) -> Option<Violation> {
    let given = given?;
    if let Some(name) = &given.claim_name {
        let rule = "is not the disk that the workspace has, and a workspace keeps its disk: leave it out, or create another workspace \
                    for the other claim";
        return Some(Violation::new("spec.storage.claimName", name, rule));
    }
    changes_class(given, disk)
}

/// Returns a violation if the workspace itself requests another class than its disk has.
pub fn changes_class(given: &Storage, disk: &PersistentVolumeClaim) -> Option<Violation> {
    let asked = given.storage_class_name.as_ref().filter(|_| has_volume(disk))?;
    let has = disk
        .spec
        .as_ref()?
        .storage_class_name
        .as_deref()
        .unwrap_or_default();
    let rule = format!(
        "is not the class of the workspace's disk, {has:?}, and a disk cannot move to another class: leave it out, or copy the files \
         to another workspace"
    );
    (asked != has).then(|| Violation::new("spec.storage.storageClassName", asked, rule))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn meta(value: Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_disk_is_recognised_by_annotation_label_or_owner_reference() {
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
    fn a_smaller_size_than_the_disk_has_is_the_only_size_violation() {
        let disk: PersistentVolumeClaim = serde_json::from_value(
            json!({"spec": {"volumeName": "pv", "resources": {"requests": {"storage": "10Gi"}}}}),
        )
        .unwrap();
        let message = |storage: Value| {
            let storage: Option<Storage> = serde_json::from_value(storage).unwrap();
            shrinks(storage.as_ref(), &disk).map(|violation| violation.to_string())
        };
        for fine in [
            json!(null),
            json!({}),
            json!({"size": "10240Mi"}),
            json!({"size": "11Gi"}),
        ] {
            assert_eq!(message(fine.clone()), None, "{fine}");
        }
        let text = r#"spec.storage.size: "10239Mi" is less than the disk has, 10Gi, and a disk does not shrink: keep 10Gi, or ask for more"#;
        assert_eq!(message(json!({"size": "10239Mi"})).as_deref(), Some(text));
        let unknown = PersistentVolumeClaim::default();
        assert_eq!(
            shrinks(
                Some(&Storage {
                    size: Some(k8s_openapi::apimachinery::pkg::api::resource::Quantity(
                        "1Mi".into()
                    )),
                    ..Storage::default()
                }),
                &unknown
            ),
            None
        );
    }

    #[test]
    fn another_claim_or_class_than_the_disk_has_is_a_violation() {
        let disk: PersistentVolumeClaim =
            serde_json::from_value(json!({"spec": {"storageClassName": "slow", "volumeName": "pv"}}))
                .unwrap();
        let message = |storage: Value| {
            let storage: Option<Storage> = serde_json::from_value(storage).unwrap();
            moves(storage.as_ref(), &disk).map(|violation| violation.to_string())
        };
        for fine in [
            json!(null),
            json!({"size": "1Gi"}),
            json!({"storageClassName": "slow"}),
        ] {
            assert_eq!(message(fine.clone()), None, "{fine}");
        }
        let class = message(json!({"storageClassName": "fast"})).unwrap();
        let text =
            r#"spec.storage.storageClassName: "fast" is not the class of the workspace's disk, "slow","#;
        assert!(class.starts_with(text), "{class}");
        let claim = message(json!({"claimName": "data"})).unwrap();
        let text = r#"spec.storage.claimName: "data" is not the disk that the workspace has,"#;
        assert!(claim.starts_with(text), "{claim}");
    }

    #[test]
    fn class_and_size_are_free_until_the_disk_has_a_volume() {
        let violations = |volume: Value, status: Value| {
            let disk: PersistentVolumeClaim = serde_json::from_value(json!({
                "spec": {"storageClassName": "slow", "volumeName": volume, "resources": {"requests": {"storage": "10Gi"}}},
                "status": status,
            }))
            .unwrap();
            let given: Storage =
                serde_json::from_value(json!({"storageClassName": "fast", "size": "1Gi"})).unwrap();
            [moves(Some(&given), &disk), shrinks(Some(&given), &disk)].map(|it| it.is_some())
        };
        for (volume, status) in [
            (json!("pv"), json!(null)),
            (json!(null), json!({"phase": "Bound"})),
            (json!("pv"), json!({"phase": "Lost"})),
            (json!("pv"), json!({"phase": "Pending"})),
        ] {
            assert_eq!(
                violations(volume.clone(), status.clone()),
                [true; 2],
                "{volume} {status}"
            );
        }
        for (volume, status) in [
            (json!(null), json!(null)),
            (json!(null), json!({"phase": "Pending"})),
            (json!(""), json!({"phase": "Pending"})),
        ] {
            assert_eq!(
                violations(volume.clone(), status.clone()),
                [false; 2],
                "{volume} {status}"
            );
        }
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
