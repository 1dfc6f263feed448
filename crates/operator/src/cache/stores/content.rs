//! Two versions of an object -> whether they differ in more than the version (pure).

use k8s_openapi::{
    api::{
        core::v1::{PersistentVolumeClaim, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;

use super::parsed::{Parsed, Unreadable};
use crate::cache::partial::Pod;

/// A kind whose watch ignores changes of nothing but the version, such as writes of what the cache does not keep.
pub trait Content: Resource<DynamicType = ()> + Clone {
    /// Whether nothing but the version differs.
    fn is_same(&self, other: &Self) -> bool;
}

/// Names all fields, so that none is forgotten.
macro_rules! contents {
    ($($kind:ident { $($field:ident),* })*) => {
        $(impl Content for $kind {
            fn is_same(&self, other: &Self) -> bool {
                let Self { metadata, $($field),* } = self;
                is_same_meta(metadata, &other.metadata) $(&& *$field == other.$field)*
            }
        })*
    };
}

contents! {
    Pod { spec, status }
    PersistentVolumeClaim { spec, status }
    Service { spec, status }
    NetworkPolicy { spec }
    ServiceAccount { automount_service_account_token, image_pull_secrets, secrets }
    StorageClass {
        allow_volume_expansion, allowed_topologies, mount_options, parameters, provisioner, reclaim_policy, volume_binding_mode
    }
}

fn is_same_meta(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    let ObjectMeta {
        annotations,
        creation_timestamp,
        deletion_grace_period_seconds,
        deletion_timestamp,
        finalizers,
        generate_name,
        generation,
        labels,
        managed_fields,
        name,
        namespace,
        owner_references,
        resource_version: _,
        self_link,
        uid,
    } = one;
    (annotations, labels, finalizers, owner_references, managed_fields)
        == (
            &other.annotations,
            &other.labels,
            &other.finalizers,
            &other.owner_references,
            &other.managed_fields,
        )
        && (name, namespace, generate_name, self_link, uid)
            == (
                &other.name,
                &other.namespace,
                &other.generate_name,
                &other.self_link,
                &other.uid,
            )
        && (creation_timestamp, deletion_timestamp) == (&other.creation_timestamp, &other.deletion_timestamp)
        && (deletion_grace_period_seconds, generation)
            == (&other.deletion_grace_period_seconds, &other.generation)
}

impl Unreadable {
    /// The text before and after the version. Metadata comes first, and quotes within a value are escaped.
    fn unversioned(&self) -> (&str, &str) {
        let Some((before, rest)) = self.text.split_once(r#""resourceVersion":""#) else {
            return (&self.text, "");
        };
        (before, rest.split_once('"').map_or(rest, |(_, after)| after))
    }
}

impl<K: Content> Parsed<K> {
    /// Whether nothing but the version differs. Of objects that cannot be parsed only the error counts.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Ok(one), Ok(other)) => one.is_same(other),
            (Err(one), Err(other)) if one.error.is_empty() && other.error.is_empty() => {
                one.unversioned() == other.unversioned()
            }
            (Err(one), Err(other)) => one.error == other.error,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use api::names;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::cache::stores::Trim;

    /// Whether two versions of an object are the same to a watch, as the API server sends them.
    fn is_same<K: Content + Trim + DeserializeOwned>(one: &Value, other: &Value) -> bool {
        let parsed = |object: &Value| serde_json::from_str::<Parsed<K>>(&object.to_string()).unwrap();
        parsed(one).is_same(&parsed(other))
    }

    /// A status or a version that is written changes nothing, and each other field does.
    fn check<K: Content + Trim + DeserializeOwned>(object: Value, changes: &[(&str, Value)]) {
        let mut first = object;
        first["metadata"] =
            json!({"name": "a", "resourceVersion": "1", "labels": {names::WORKSPACE_LABEL: "a"}});
        let mut later = first.clone();
        later["metadata"]["resourceVersion"] = json!("22");
        later["metadata"]["managedFields"] = json!([{"manager": "m"}]);
        assert!(is_same::<K>(&first, &later), "{later}");
        let labels = ("/metadata/labels", json!({names::WORKSPACE_LABEL: "b"}));
        let deleted = ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"));
        for (place, value) in changes.iter().chain([&labels, &deleted]) {
            let mut edited = later.clone();
            let (parent, key) = place.rsplit_once('/').unwrap();
            edited.pointer_mut(parent).unwrap()[key] = value.clone();
            assert!(!is_same::<K>(&first, &edited), "{edited}");
        }
    }

    #[test]
    fn a_version_is_no_content_and_each_field_is_whether_kept_as_struct_or_as_text() {
        check::<Pod>(
            json!({"spec": {"containers": [{"name": "main"}]}, "status": {"phase": "Pending"}}),
            &[
                ("/status/phase", json!("Running")),
                ("/spec/nodeName", json!("n")),
            ],
        );
        check::<PersistentVolumeClaim>(
            json!({"spec": {"volumeName": "v"}, "status": {"phase": "Pending"}}),
            &[
                ("/status/phase", json!("Bound")),
                ("/spec/volumeName", json!("w")),
            ],
        );
        check::<Service>(
            json!({"spec": {"ports": [{"port": 80}]}}),
            &[("/spec/ports", json!([{"port": 81}]))],
        );
        check::<NetworkPolicy>(
            json!({"spec": {"podSelector": {}}}),
            &[("/spec/policyTypes", json!(["Egress"]))],
        );
        check::<ServiceAccount>(json!({}), &[("/automountServiceAccountToken", json!(false))]);
        check::<StorageClass>(
            json!({"provisioner": "p"}),
            &[
                ("/provisioner", json!("q")),
                ("/allowVolumeExpansion", json!(true)),
            ],
        );
    }

    #[test]
    fn an_object_that_cannot_be_parsed_changes_with_its_error() {
        let broken = |name: Value, phase: &str| {
            let spec = json!({"containers": [{"name": name}]});
            json!({"metadata": {"name": "a"}, "spec": spec, "status": {"phase": phase}})
        };
        assert!(is_same::<Pod>(
            &broken(json!(7), "Pending"),
            &broken(json!(7), "Running")
        ));
        assert!(!is_same::<Pod>(
            &broken(json!(7), "Pending"),
            &broken(json!([]), "Pending")
        ));
        assert!(!is_same::<Pod>(
            &broken(json!(7), "Pending"),
            &broken(json!("main"), "Pending")
        ));
    }
}
