//! `managedFields` of a Deployment -> which other field manager changed its pod template (pure).
//!
//! A comparison of the live pod template with today's plan does not show that: both may differ from what was applied, for good reasons.
//! `managedFields` records which field manager wrote which field.

use api::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};

/// Path of the pod template in `managedFields`.
const TEMPLATE: &str = "/f:spec/f:template";
/// Path of the number of replicas in `managedFields`.
const COUNT: &str = "/f:spec/f:replicas";

/// The other field manager that wrote to the pod template since it was applied.
pub(crate) fn on_template(meta: &ObjectMeta) -> Option<String> {
    other_manager(meta, TEMPLATE)
}

/// The other field manager that set the number of replicas last.
pub(crate) fn on_count(meta: &ObjectMeta) -> Option<String> {
    other_manager(meta, COUNT)
}

fn other_manager(meta: &ObjectMeta, field: &str) -> Option<String> {
    let entry = meta
        .managed_fields
        .iter()
        .flatten()
        .find(|entry| is_of_other(entry, field))?;
    Some(entry.manager.clone().unwrap_or_else(|| "unknown".to_owned()))
}

/// Whether `managedFields` exist but name no manager for the number of replicas. `kubectl scale --replicas=0` leaves them so, because
/// the API server drops the 0 from such a request. Our own writes are always named. Use it only on answers of the API server: caches do
/// not keep our `managedFields`.
pub(crate) fn have_replicas_no_manager(meta: &ObjectMeta) -> bool {
    let entries = || {
        let all = meta.managed_fields.iter().flatten();
        all.filter(|entry| entry.subresource.as_deref() != Some("status"))
    };
    let names_ours = entries().any(|entry| entry.manager.as_deref() == Some(names::OPERATOR));
    names_ours && !entries().any(|entry| touches(entry, COUNT))
}

fn touches(entry: &ManagedFieldsEntry, field: &str) -> bool {
    let fields = entry.fields_v1.as_ref();
    fields.is_some_and(|fields| fields.0.pointer(field).is_some())
}

/// Drops all `managedFields` except those of other managers of the pod template or of the number of replicas.
pub(crate) fn keep_others(meta: &mut ObjectMeta) {
    if let Some(entries) = &mut meta.managed_fields {
        entries.retain(|entry| is_of_other(entry, TEMPLATE) || is_of_other(entry, COUNT));
    }
    meta.managed_fields = meta.managed_fields.take().filter(|entries| !entries.is_empty());
}

fn is_of_other(entry: &ManagedFieldsEntry, field: &str) -> bool {
    !entry.manager.as_deref().is_some_and(is_expected)
        && entry.subresource.as_deref() != Some("status")
        && touches(entry, field)
}

/// Whether a `managedFields` entry is of our own server-side apply.
pub(crate) fn is_our_apply(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(names::OPERATOR)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.is_none()
}

/// Whether a field manager is expected on pod templates: the operator, and the controller that makes ReplicaSets.
pub(crate) fn is_expected(manager: &str) -> bool {
    [names::OPERATOR, names::OPERATOR_SCALE, "kube-controller-manager"].contains(&manager)
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::needless_pass_by_value,
        reason = "what `json!` makes is written where it is used"
    )]

    use serde_json::{Value, json};

    use super::*;

    fn written_by(entries: Value) -> ObjectMeta {
        serde_json::from_value(json!({"name": "d", "managedFields": entries})).unwrap()
    }

    fn entry(manager: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn another_manager_of_the_template_is_named_also_after_trimming() {
        let template = json!({"f:spec": {"f:template": {"f:spec": {}}}});
        let ours = [
            entry(names::OPERATOR, template.clone()),
            entry(names::OPERATOR_SCALE, template.clone()),
        ];
        let controllers = entry(
            "kube-controller-manager",
            json!({"f:metadata": {"f:annotations": {}}, "f:status": {}}),
        );
        let scaled = entry("kubectl", json!({"f:spec": {"f:replicas": {}}}));
        let mut unchanged = written_by(json!([ours[0], ours[1], controllers, scaled]));
        let mut changed = written_by(json!([ours[0], entry("kubectl-edit", template)]));
        assert_eq!(on_template(&unchanged), None);
        assert_eq!(on_template(&changed).as_deref(), Some("kubectl-edit"));
        for meta in [&mut unchanged, &mut changed] {
            keep_others(meta);
        }
        assert_eq!(unchanged.managed_fields.as_ref().map(Vec::len), Some(1));
        assert_eq!(changed.managed_fields.as_ref().map(Vec::len), Some(1));
        assert_eq!(on_template(&unchanged), None);
        assert_eq!(on_template(&changed).as_deref(), Some("kubectl-edit"));
    }

    #[test]
    fn the_manager_of_the_replicas_is_named_and_that_of_the_status_is_not() {
        let count = json!({"f:spec": {"f:replicas": {}}});
        let mut status = entry("autoscaler", json!({"f:status": {"f:replicas": {}}}));
        status["subresource"] = json!("status");
        let mut scaled = written_by(json!([
            entry(names::OPERATOR_SCALE, count.clone()),
            status,
            entry("kubectl", count)
        ]));
        for _ in 0..2 {
            assert_eq!(on_count(&scaled).as_deref(), Some("kubectl"));
            assert_eq!(on_template(&scaled), None);
            keep_others(&mut scaled);
        }
    }

    #[test]
    fn a_number_of_replicas_without_a_manager_is_recognised() {
        let ours = entry(names::OPERATOR, json!({"f:spec": {"f:template": {}}}));
        let count = json!({"f:spec": {"f:replicas": {}}});
        let mut status = entry("kube-controller-manager", json!({"f:status": {"f:replicas": {}}}));
        status["subresource"] = json!("status");
        let no_manager = |entries| have_replicas_no_manager(&written_by(entries));
        assert!(no_manager(json!([ours, status])));
        assert!(!no_manager(json!([
            ours,
            entry(names::OPERATOR_SCALE, count.clone())
        ])));
        assert!(!no_manager(json!([ours, entry("kubectl", count)])));
        assert!(!no_manager(json!([status])));
        assert!(!no_manager(json!([])));
    }
}
