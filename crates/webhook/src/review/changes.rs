//! Stored and new object -> differences, except for those by the API server (pure).

use std::collections::{BTreeMap, BTreeSet};

use api::names::LAST_UPDATED_BY;
use kube::api::{DynamicObject, ObjectMeta};
use serde_json::Value;

use super::Request;

/// The path that [`Changes::paths`] returns if only the field managers change.
const MANAGED_FIELDS: &str = "metadata.managedFields";

/// Changes of a request. At creation, everything counts as a change.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// Fields directly below `spec` with another value.
    pub(crate) spec: BTreeSet<String>,
    /// Keys of annotations that are added or changed.
    pub(crate) annotations_set: BTreeSet<String>,
    /// Keys of annotations that are removed.
    pub(crate) annotations_removed: BTreeSet<String>,
    /// Keys of labels that are added or changed.
    pub(crate) labels_set: BTreeSet<String>,
    /// Keys of labels that are removed.
    pub(crate) labels_removed: BTreeSet<String>,
    /// Finalizers that are added.
    pub(crate) finalizers_added: BTreeSet<String>,
    /// Finalizers that are removed.
    pub(crate) finalizers_removed: BTreeSet<String>,
    /// Whether owner references differ.
    pub(crate) owner_references: bool,
    /// Whether field managers differ: an apply without a new value makes its sender a manager of its fields.
    pub(crate) managers: bool,
}

impl Changes {
    /// What `request` changes.
    pub(crate) fn from_request(request: &Request) -> Self {
        let nothing = DynamicObject {
            types: None,
            metadata: ObjectMeta::default(),
            data: Value::Null,
        };
        Self::between(request.old.as_ref().unwrap_or(&nothing), &request.object)
    }

    fn between(old: &DynamicObject, new: &DynamicObject) -> Self {
        let (before, after) = (&old.metadata, &new.metadata);
        let (mut annotations_set, mut annotations_removed) =
            map_changes(&before.annotations, &after.annotations);
        // The webhook writes this with each change, so it is no change by itself (`records/last_updated_by.rs`).
        annotations_set.remove(LAST_UPDATED_BY);
        annotations_removed.remove(LAST_UPDATED_BY);
        let (labels_set, labels_removed) = map_changes(&before.labels, &after.labels);
        let finalizers = |object: &DynamicObject| -> BTreeSet<String> {
            object.metadata.finalizers.iter().flatten().cloned().collect()
        };
        let (held, wanted) = (finalizers(old), finalizers(new));
        Self {
            spec: spec_changes(&old.data["spec"], &new.data["spec"]),
            annotations_set,
            annotations_removed,
            labels_set,
            labels_removed,
            finalizers_added: &wanted - &held,
            finalizers_removed: &held - &wanted,
            owner_references: before.owner_references.as_deref().unwrap_or_default()
                != after.owner_references.as_deref().unwrap_or_default(),
            managers: managers(before) != managers(after),
        }
    }

    /// Whether the request only removes finalizers.
    pub(crate) fn only_remove_finalizers(&self) -> bool {
        // All other fields equal those of no change. So a new field of this struct counts automatically.
        !self.finalizers_removed.is_empty()
            && *self
                == Self {
                    finalizers_removed: self.finalizers_removed.clone(),
                    managers: self.managers,
                    ..Self::default()
                }
    }

    /// Whether anything else changes than the annotation `key`.
    pub(crate) fn beyond_annotation(&self, key: &str) -> bool {
        let only = format!("metadata.annotations[{key}]");
        self.paths().iter().any(|path| *path != only)
    }

    /// Whether anything differs that users write: spec, annotations or labels.
    pub(crate) fn content(&self) -> bool {
        let annotations = !self.annotations_set.is_empty() || !self.annotations_removed.is_empty();
        !self.spec.is_empty() || annotations || self.labels()
    }

    /// Whether the labels differ.
    pub(crate) fn labels(&self) -> bool {
        !self.labels_set.is_empty() || !self.labels_removed.is_empty()
    }

    /// All changed fields as paths, for messages. Field managers change with other fields, so they are listed only if nothing else
    /// changes.
    pub(crate) fn paths(&self) -> Vec<String> {
        let keys = |prefix: &str, keys: [&BTreeSet<String>; 2]| -> Vec<String> {
            keys.into_iter()
                .flatten()
                .map(|key| format!("{prefix}[{key}]"))
                .collect()
        };
        let mut paths: Vec<String> = self.spec.iter().map(|field| format!("spec.{field}")).collect();
        paths.extend(keys(
            "metadata.annotations",
            [&self.annotations_set, &self.annotations_removed],
        ));
        paths.extend(keys("metadata.labels", [&self.labels_set, &self.labels_removed]));
        if !(self.finalizers_added.is_empty() && self.finalizers_removed.is_empty()) {
            paths.push("metadata.finalizers".to_owned());
        }
        if self.owner_references {
            paths.push("metadata.ownerReferences".to_owned());
        }
        if paths.is_empty() && self.managers {
            paths.push(MANAGED_FIELDS.to_owned());
        }
        paths
    }
}

/// Managers of fields, without times.
fn managers(metadata: &ObjectMeta) -> Vec<([Option<&str>; 4], Option<&Value>)> {
    let mut entries: Vec<_> = metadata
        .managed_fields
        .iter()
        .flatten()
        .map(|entry| {
            let names = [
                &entry.manager,
                &entry.operation,
                &entry.subresource,
                &entry.api_version,
            ];
            let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
            (names.map(Option::as_deref), fields)
        })
        .collect();
    entries.sort_unstable_by_key(|(names, _)| *names);
    entries
}

type Map = Option<BTreeMap<String, String>>;

fn map_changes(old: &Map, new: &Map) -> (BTreeSet<String>, BTreeSet<String>) {
    let nothing = BTreeMap::new();
    let (old, new) = (old.as_ref().unwrap_or(&nothing), new.as_ref().unwrap_or(&nothing));
    let set = new
        .iter()
        .filter(|(key, value)| old.get(*key) != Some(value))
        .map(|(key, _)| key.clone())
        .collect();
    let removed = old
        .keys()
        .filter(|key| !new.contains_key(*key))
        .cloned()
        .collect();
    (set, removed)
}

fn spec_changes(old: &Value, new: &Value) -> BTreeSet<String> {
    let keys = [old, new]
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(|fields| fields.keys());
    keys.filter(|key| old[key.as_str()] != new[key.as_str()])
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_the_api_server_writes_is_no_change() {
        let old = object(
            json!({"metadata": {"resourceVersion": "1", "generation": 1}, "status": {"phase": "Running"}}),
        );
        let new = object(json!({
            "metadata": {"resourceVersion": "2", "generation": 2, "annotations": {}}
        }));
        assert_eq!(Changes::between(&old, &new), Changes::default());
    }

    #[test]
    fn a_change_of_field_managers_is_seen_and_their_times_are_not() {
        let with = |entries: Value| object(json!({"metadata": {"managedFields": entries}}));
        let entry = |manager: &str, time: &str| json!({"manager": manager, "operation": "Apply", "time": time, "fieldsV1": {"f:spec": {}}});
        let (first, second) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
        let old = with(json!([entry("a", first), entry("b", first)]));
        let again = with(json!([entry("b", second), entry("a", first)]));
        assert_eq!(Changes::between(&old, &again), Changes::default());
        for new in [
            json!([entry("a", first), entry("b", first), entry("x", first)]),
            json!([entry("a", first)]),
            json!([entry("a", first), entry("b", first), {"manager": "x", "subresource": "status", "fieldsV1": {"f:spec": {}}}]),
            json!([]),
        ] {
            assert_eq!(
                Changes::between(&old, &with(new.clone())).paths(),
                ["metadata.managedFields"],
                "{new}"
            );
        }
    }

    #[test]
    fn every_kind_of_change_is_seen() {
        let old = object(json!({
            "metadata": {
                "annotations": {"a": "1", "b": "1"}, "labels": {"l": "1"}, "finalizers": ["f", "g"]
            },
            "spec": {"x": 1, "y": {"z": 1}, "gone": 1},
        }));
        let new = object(json!({
            "metadata": {
                "annotations": {"a": "2", "c": "1"}, "finalizers": ["g", "h"],
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"}],
            },
            "spec": {"x": 1, "y": {"z": 2}, "added": 1},
        }));
        let changes = Changes::between(&old, &new);
        assert_eq!(
            changes.paths(),
            [
                "spec.added",
                "spec.gone",
                "spec.y",
                "metadata.annotations[a]",
                "metadata.annotations[c]",
                "metadata.annotations[b]",
                "metadata.labels[l]",
                "metadata.finalizers",
                "metadata.ownerReferences",
            ]
        );
        assert!(changes.finalizers_added.contains("h") && changes.finalizers_removed.contains("f"));
        assert!(!changes.only_remove_finalizers());
    }

    #[test]
    fn one_annotation_alone_is_recognised() {
        let old = object(json!({"metadata": {"annotations": {"a": "1"}}}));
        let other = object(json!({"metadata": {"annotations": {"a": "2"}}}));
        let changes = Changes::between(&old, &other);
        assert!(!changes.beyond_annotation("a"));
        assert!(changes.beyond_annotation("b"));
        assert!(!Changes::default().beyond_annotation("a"));
    }

    #[test]
    fn removing_finalizers_alone_is_recognised() {
        let old = object(json!({"metadata": {"finalizers": ["f", "g"]}, "spec": {"x": 1}}));
        let new = object(json!({"metadata": {"finalizers": ["g"]}, "spec": {"x": 1}}));
        assert!(Changes::between(&old, &new).only_remove_finalizers());
        let also = object(json!({"metadata": {"finalizers": ["g"]}, "spec": {"x": 2}}));
        assert!(!Changes::between(&old, &also).only_remove_finalizers());
    }
}
