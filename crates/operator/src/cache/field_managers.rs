//! `managedFields` of a pod -> which other field manager changed an image (pure).
//!
//! Of the spec of a pod, Kubernetes lets clients change images alone. `managedFields` records which field manager wrote which field.

use api::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::Value;

/// The other field manager that changed an image since the pod was made.
pub(crate) fn on_image(meta: &ObjectMeta) -> Option<String> {
    let entry = meta
        .managed_fields
        .iter()
        .flatten()
        .find(|entry| is_of_other(entry))?;
    Some(entry.manager.clone().unwrap_or_else(|| "unknown".to_owned()))
}

/// Drops all `managedFields` except those of other managers of an image.
pub(crate) fn keep_others(meta: &mut ObjectMeta) {
    if let Some(entries) = &mut meta.managed_fields {
        entries.retain(is_of_other);
    }
    meta.managed_fields = meta.managed_fields.take().filter(|entries| !entries.is_empty());
}

fn is_of_other(entry: &ManagedFieldsEntry) -> bool {
    let is_status = entry.subresource.as_deref() == Some("status");
    entry.manager.as_deref() != Some(names::OPERATOR) && !is_status && has_image(entry)
}

fn has_image(entry: &ManagedFieldsEntry) -> bool {
    let Some(fields) = &entry.fields_v1 else {
        return false;
    };
    ["/f:spec/f:containers", "/f:spec/f:initContainers"]
        .iter()
        .any(|path| {
            let containers = fields.0.pointer(path).and_then(Value::as_object);
            let mut containers = containers.into_iter().flat_map(|containers| containers.values());
            containers.any(|container| container.get("f:image").is_some())
        })
}

/// Whether a `managedFields` entry is of our own server-side apply.
pub(crate) fn is_our_apply(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(names::OPERATOR)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn another_manager_of_an_image_is_named_also_after_trimming() {
        let image = json!({"f:spec": {"f:containers": {"k:{\"name\":\"workspace\"}": {"f:image": {}}}}});
        let resized =
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"workspace\"}": {"f:resources": {}}}}});
        let ours = [
            entry(names::OPERATOR, &image),
            entry("autoscaler", &resized),
            entry(
                "kubelet",
                &json!({"f:metadata": {"f:annotations": {}}, "f:status": {}}),
            ),
        ];
        let written_by = |entries: &[Value]| {
            let meta: ObjectMeta =
                serde_json::from_value(json!({"name": "p", "managedFields": entries})).unwrap();
            meta
        };
        let mut unchanged = written_by(&ours);
        let mut changed = written_by(&[ours.as_slice(), &[entry("kubectl-edit", &image)]].concat());
        for _ in 0..2 {
            assert_eq!(on_image(&unchanged), None);
            assert_eq!(on_image(&changed).as_deref(), Some("kubectl-edit"));
            keep_others(&mut unchanged);
            keep_others(&mut changed);
        }
        assert_eq!(unchanged.managed_fields, None);
        assert_eq!(changed.managed_fields.as_ref().map(Vec::len), Some(1));
    }
}
