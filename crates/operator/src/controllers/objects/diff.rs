//! Planned object, live object -> whether the live one is as planned (pure).
//!
//! The API server fills in fields, so the live object may hold more than planned. `managedFields` shows other differences: changes and
//! list items of other field managers, and fields that the manager no longer requests. Our field manager must own exactly the planned
//! fields.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::cache::field_managers::is_our_apply;

/// Whether nothing has to be written.
pub(super) fn is_as_planned(live: &DynamicObject, planned: &Value) -> bool {
    let Ok(live_value) = serde_json::to_value(live) else {
        return false;
    };
    let mut planned = planned.clone();
    if let Some(object) = planned.as_object_mut() {
        // `managedFields` of list items do not contain these.
        object.remove("apiVersion");
        object.remove("kind");
    }
    covers(&live_value, &planned)
        && live
            .metadata
            .managed_fields
            .as_ref()
            .is_none_or(|all| ours(all, &planned))
}

/// Whether `live` has every planned value. Lists must be equal item by item.
fn covers(live: &Value, planned: &Value) -> bool {
    match (live, planned) {
        // Applying null leaves no field.
        (_, Value::Null) => true,
        (Value::Object(live), Value::Object(planned)) => planned
            .iter()
            .all(|(key, value)| value.is_null() || live.get(key).is_some_and(|live| covers(live, value))),
        (Value::Array(live), Value::Array(planned)) => {
            live.len() == planned.len()
                && live
                    .iter()
                    .zip(planned)
                    .all(|(live, planned)| covers(live, planned))
        }
        _ => live == planned,
    }
}

fn ours(record: &[ManagedFieldsEntry], planned: &Value) -> bool {
    let entry = record.iter().find(|entry| is_our_apply(entry));
    let Some(fields) = entry.and_then(|entry| entry.fields_v1.as_ref()) else {
        return false;
    };
    let mut planned = planned.clone();
    // `managedFields` has no entries for name and namespace.
    if let Some(metadata) = planned["metadata"].as_object_mut() {
        metadata.remove("name");
        metadata.remove("namespace");
    }
    holds(&fields.0, &planned)
}

/// Whether `managedFields` has every planned field, and no other.
fn holds(fields: &Value, planned: &Value) -> bool {
    let (Some(fields), Some(planned)) = (fields.as_object(), planned.as_object()) else {
        return true;
    };
    // A map that is set as a whole has no entries for its keys.
    if fields.keys().all(|key| !key.starts_with("f:")) {
        return true;
    }
    let all_held = planned
        .iter()
        .filter(|(_, value)| !value.is_null())
        .all(|(key, value)| {
            fields
                .get(&format!("f:{key}"))
                .is_some_and(|inner| holds(inner, value))
        });
    let mut held = fields.keys().filter_map(|key| key.strip_prefix("f:"));
    all_held && held.all(|key| planned.get(key).is_some_and(|value| !value.is_null()))
}

#[cfg(test)]
mod tests {
    use api::names;
    use serde_json::json;

    use super::*;

    fn planned() -> Value {
        json!({
            "apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute",
            "metadata": {"name": "a", "namespace": "team", "labels": {"l": "1"}, "ownerReferences": [{"uid": "u"}]},
            "spec": {"routes": [{"match": "Host(`a`)", "middlewares": [{"name": "auth"}]}], "tls": {}},
        })
    }

    fn live(change: impl FnOnce(&mut Value)) -> DynamicObject {
        let mut object = planned();
        object["metadata"]["resourceVersion"] = json!("7");
        object["metadata"]["labels"]["foreign"] = json!("kept");
        object["spec"]["routes"][0]["kind"] = json!("Rule");
        object["status"] = json!({"loadBalancer": {}});
        object["metadata"]["managedFields"] = json!([
            {"manager": "proxy", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
            {"manager": names::OPERATOR, "operation": "Apply", "fieldsV1": {
                "f:metadata": {"f:labels": {"f:l": {}}, "f:ownerReferences": {"k:{\"uid\":\"u\"}": {}}},
                "f:spec": {"f:routes": {}, "f:tls": {}},
            }},
        ]);
        change(&mut object);
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn what_the_api_server_and_others_add_is_no_difference() {
        assert!(is_as_planned(&live(|_| {}), &planned()));
        assert!(is_as_planned(
            &live(|object| object["metadata"]["managedFields"] = Value::Null),
            &planned()
        ));
    }

    #[test]
    fn an_item_of_a_list_is_as_planned_although_it_does_not_name_its_kind() {
        let item = |object: &mut Value| {
            object.as_object_mut().unwrap().remove("apiVersion");
            object.as_object_mut().unwrap().remove("kind");
        };
        assert!(is_as_planned(&live(item), &planned()));
    }

    #[test]
    fn a_changed_value_a_lost_label_and_another_item_are() {
        for change in [
            |object: &mut Value| object["spec"]["routes"][0]["match"] = json!("Host(`b`)"),
            |object: &mut Value| object["spec"]["routes"][0]["middlewares"] = json!([]),
            |object: &mut Value| {
                object["spec"]["routes"] = json!([planned()["spec"]["routes"][0], {"match": "Host(`b`)"}]);
            },
            |object: &mut Value| object["metadata"]["labels"] = json!({}),
            |object: &mut Value| object["metadata"]["ownerReferences"] = json!([]),
        ] {
            assert!(!is_as_planned(&live(change), &planned()));
        }
    }

    #[test]
    fn a_list_of_another_field_manager_is_written_even_if_it_is_complete() {
        let taken = |object: &mut Value| {
            object["spec"]["routes"][0]["priority"] = json!(1000);
            object["metadata"]["managedFields"][1]["fieldsV1"]["f:spec"] = json!({"f:tls": {}});
        };
        assert!(!is_as_planned(&live(taken), &planned()));
    }

    #[test]
    fn a_field_that_the_manager_no_longer_has_is_removed() {
        let mut fewer = planned();
        fewer["spec"]["tls"] = Value::Null;
        assert!(!is_as_planned(&live(|_| {}), &fewer));
        let forgotten =
            |object: &mut Value| object["metadata"]["managedFields"] = json!([{"manager": "another"}]);
        assert!(!is_as_planned(&live(forgotten), &planned()));
    }
}
