//! `managedFields` of a Deployment -> which other field manager changed its pod template (pure).
//!
//! A comparison of the live pod template with today's plan does not show that: both may differ from what was applied, for good reasons.
//! `managedFields` records which field manager wrote which field.

use api::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};

/// Annotation on cached Deployments only, never stored in the cluster: the manager that changed the pod template. `managedFields` are
/// too large to be kept for every workspace.
const MARK: &str = "workspaces.jupyter.org/template-changed-by";
/// The same for the manager that set the number of replicas.
const COUNT_MARK: &str = "workspaces.jupyter.org/scaled-by";
/// Path of the pod template in `managedFields`.
const TEMPLATE: &str = "/f:spec/f:template";
/// Path of the number of replicas in `managedFields`.
const COUNT: &str = "/f:spec/f:replicas";

/// The other field manager that wrote to the pod template since it was applied.
pub fn on_template(meta: &ObjectMeta) -> Option<String> {
    on(meta, TEMPLATE, MARK)
}

/// The other field manager that set the number of replicas last.
pub fn on_count(meta: &ObjectMeta) -> Option<String> {
    on(meta, COUNT, COUNT_MARK)
}

fn on(meta: &ObjectMeta, field: &str, mark: &str) -> Option<String> {
    match &meta.managed_fields {
        Some(entries) => stranger_of(entries, field),
        None => meta.annotations.as_ref()?.get(mark).cloned(),
    }
}

fn stranger_of(entries: &[ManagedFieldsEntry], field: &str) -> Option<String> {
    let mut entries = entries.iter();
    entries
        .find_map(|entry| stranger(entry, field))
        .map(str::to_owned)
}

/// Whether `managedFields` exist but name no manager for the number of replicas. `kubectl scale --replicas=0` leaves them so, because
/// the API server drops the 0 from such a request. Our own writes are always named. Use it only on answers of the API server: caches do
/// not keep `managedFields`.
pub fn is_count_nobodys(meta: &ObjectMeta) -> bool {
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

/// Keeps the answers in annotations, before `managedFields` are dropped.
pub fn remember(meta: &mut ObjectMeta) {
    let entries = meta.managed_fields.as_deref().unwrap_or_default();
    let found =
        [(MARK, TEMPLATE), (COUNT_MARK, COUNT)].map(|(mark, field)| (mark, stranger_of(entries, field)));
    for (mark, who) in found {
        if let Some(annotations) = &mut meta.annotations {
            annotations.remove(mark);
        }
        if let Some(who) = who {
            let annotations = meta.annotations.get_or_insert_default();
            annotations.insert(mark.to_owned(), who);
        }
    }
}

fn stranger<'a>(entry: &'a ManagedFieldsEntry, field: &str) -> Option<&'a str> {
    let who = entry.manager.as_deref().unwrap_or("somebody");
    let is_stranger = !is_known(who) && entry.subresource.as_deref() != Some("status");
    (is_stranger && touches(entry, field)).then_some(who)
}

/// Whether a `managedFields` entry is of our own server-side apply.
pub fn is_our_apply(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(names::OPERATOR)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.is_none()
}

/// Whether a field manager is expected on pod templates: the operator, and the controller that makes ReplicaSets.
pub fn is_known(manager: &str) -> bool {
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
    fn whoever_writes_to_the_template_besides_us_is_named_also_after_the_books_are_dropped() {
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
        let mut nobody = written_by(json!([ours[0], ours[1], controllers, scaled]));
        let mut somebody = written_by(json!([ours[0], entry("kubectl-edit", template)]));
        assert_eq!(on_template(&nobody), None);
        assert_eq!(on_template(&somebody).as_deref(), Some("kubectl-edit"));
        for meta in [&mut nobody, &mut somebody] {
            remember(meta);
            meta.managed_fields = None;
        }
        assert_eq!(on_template(&nobody), None);
        assert_eq!(on_template(&somebody).as_deref(), Some("kubectl-edit"));
    }

    #[test]
    fn who_scaled_is_named_and_who_writes_the_status_is_not() {
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
            remember(&mut scaled);
            scaled.managed_fields = None;
        }
    }

    #[test]
    fn a_number_that_nobody_is_named_for_is_told_from_ours_and_from_books_that_are_not_kept() {
        let ours = entry(names::OPERATOR, json!({"f:spec": {"f:template": {}}}));
        let count = json!({"f:spec": {"f:replicas": {}}});
        let mut status = entry("kube-controller-manager", json!({"f:status": {"f:replicas": {}}}));
        status["subresource"] = json!("status");
        let is_nobodys = |entries| is_count_nobodys(&written_by(entries));
        assert!(is_nobodys(json!([ours, status])));
        assert!(!is_nobodys(json!([
            ours,
            entry(names::OPERATOR_SCALE, count.clone())
        ])));
        assert!(!is_nobodys(json!([ours, entry("kubectl", count)])));
        assert!(!is_nobodys(json!([status])));
        assert!(!is_nobodys(json!([])));
    }

    #[test]
    fn the_mark_cannot_be_set_from_outside() {
        let mut meta = written_by(json!([]));
        meta.annotations = Some([(MARK.to_owned(), "forged".to_owned())].into());
        assert_eq!(on_template(&meta), None);
        let mut cut = meta.clone();
        cut.managed_fields = None;
        for meta in [&mut meta, &mut cut] {
            remember(meta);
            meta.managed_fields = None;
            assert_eq!(on_template(meta), None);
        }
    }
}
