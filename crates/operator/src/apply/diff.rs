//! Planned child, live child -> whether to write it, and what blocks the write (pure).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{core::v1::Service, networking::v1::NetworkPolicy},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    cache::observed::{Identity, meta_covers},
    plan::network_policy,
};

/// What to do about one child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is as planned.
    Keep,
    /// Write it: it differs.
    Write,
    /// Its name is taken by an object that is not ours.
    Conflict,
    /// It is being deleted, ours or not: nothing can be written until it is gone.
    Wait,
}

/// What to do about the child `planned`, given the object that exists under its name.
pub(crate) fn step<K: Child>(identity: &Identity, planned: &K, live: &K) -> Step {
    match stance_of(planned.is_ours(identity, live.meta()), live.meta()) {
        Step::Keep if meta_covers(live.meta(), planned.meta()) && live.spec_covers(planned) => Step::Keep,
        Step::Keep => Step::Write,
        other => other,
    }
}

/// Whether an existing object may be written: `Keep` if it may.
pub(crate) fn stance(identity: &Identity, live: &ObjectMeta) -> Step {
    stance_of(identity.owns(live), live)
}

fn stance_of(is_ours: bool, live: &ObjectMeta) -> Step {
    if live.deletion_timestamp.is_some() {
        Step::Wait
    } else if is_ours {
        Step::Keep
    } else {
        Step::Conflict
    }
}

/// How a child that differs is corrected. An apply would not release fields that were set by the original `POST`
/// (docs/decisions/0027).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Correction {
    /// By this merge patch, in which lists are replaced as a whole.
    MergePatch(Value),
    /// By the operations of this JSON patch.
    JsonPatch(Vec<Value>),
}

/// A kind of child that is compared and written at any time.
pub(crate) trait Child: Resource<DynamicType = ()> {
    /// Whether an object of this name is ours.
    fn is_ours(&self, identity: &Identity, live: &ObjectMeta) -> bool {
        identity.owns(live)
    }

    /// Whether the live object has everything that `planned` requests. Only fields that the operator sets are compared: the API server
    /// fills in others.
    fn spec_covers(&self, planned: &Self) -> bool;

    /// The patch that makes `live` as planned. It applies only to the version of `live` that was read.
    fn correction(&self, live: &Self) -> Correction;
}

impl Child for Service {
    fn spec_covers(&self, planned: &Self) -> bool {
        let (Some(live), Some(planned)) = (&self.spec, &planned.spec) else {
            return false;
        };
        let ports = live.ports.as_deref().unwrap_or_default();
        live.type_ == planned.type_
            && live.selector == planned.selector
            && planned.ports.iter().flatten().all(|wanted| {
                ports.iter().any(|port| {
                    (&port.name, port.port, &port.protocol, &port.target_port)
                        == (&wanted.name, wanted.port, &wanted.protocol, &wanted.target_port)
                })
            })
    }

    /// A merge patch, because an apply would add the port beside the existing one. Two ports of one name are refused.
    fn correction(&self, live: &Self) -> Correction {
        let planned = self.spec.clone().unwrap_or_default();
        let now = live.spec.as_ref();
        let unwanted = now.and_then(|spec| spec.selector.as_ref()).into_iter().flatten();
        let mut selector: Map<String, Value> = unwanted.map(|(key, _)| (key.clone(), Value::Null)).collect();
        let wanted = planned.selector.iter().flatten();
        selector.extend(wanted.map(|(key, value)| (key.clone(), json!(value))));
        let ours: Vec<_> = self.metadata.owner_references.iter().flatten().collect();
        let others = live.metadata.owner_references.iter().flatten();
        let mut owners: Vec<_> = others
            .filter(|it| ours.iter().all(|our| our.uid != it.uid))
            .collect();
        owners.extend(ours);
        let mut spec = json!({"type": planned.type_, "selector": selector, "ports": planned.ports});
        // A Service of type `ExternalName` has no address, and would get one now. The address of any other type cannot be changed.
        if now.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
            spec["clusterIP"] = json!(planned.cluster_ip);
        }
        Correction::MergePatch(json!({
            "metadata": {
                "resourceVersion": live.metadata.resource_version,
                "labels": self.metadata.labels,
                "annotations": self.metadata.annotations,
                "ownerReferences": owners,
            },
            "spec": spec,
        }))
    }
}

impl Child for NetworkPolicy {
    /// It belongs to no workspace.
    fn is_ours(&self, _: &Identity, live: &ObjectMeta) -> bool {
        network_policy::is_ours(live)
    }

    /// All fields are ours, so a rule that another client adds is a difference.
    fn spec_covers(&self, planned: &Self) -> bool {
        self.spec == planned.spec
    }

    /// The spec as a whole. Foreign labels and annotations stay.
    fn correction(&self, live: &Self) -> Correction {
        let with = |theirs: &Option<BTreeMap<String, String>>, ours: &Option<BTreeMap<String, String>>| {
            let mut all = theirs.clone().unwrap_or_default();
            all.extend(ours.clone().unwrap_or_default());
            all
        };
        let (now, meta) = (&live.metadata, &self.metadata);
        Correction::JsonPatch(vec![
            put("/metadata/resourceVersion", &now.resource_version),
            put("/metadata/labels", with(&now.labels, &meta.labels)),
            put("/metadata/annotations", with(&now.annotations, &meta.annotations)),
            put("/spec", &self.spec),
        ])
    }
}

/// The JSON patch operation that sets `value` at `path`, whatever is there.
fn put(path: &str, value: impl Serialize) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyIngressRule};
    use kube::ResourceExt as _;
    use serde_json::json;

    use super::*;
    use crate::{plan, testing};

    fn planned_policy() -> NetworkPolicy {
        plan::isolation(&testing::valid()).policy("team", &testing::installation())
    }

    fn planned_service() -> Service {
        let mut valid = testing::valid();
        valid.has_service = true;
        plan::lasting(&valid).service.unwrap()
    }

    /// A Service as the API server stores it: as planned, with more fields.
    fn stored_service() -> Service {
        let mut service = planned_service();
        let spec = service.spec.as_mut().unwrap();
        spec.cluster_ip = Some("10.96.0.7".to_owned());
        spec.session_affinity = Some("None".to_owned());
        service
            .metadata
            .labels
            .as_mut()
            .unwrap()
            .insert("example.com/foreign".to_owned(), "kept".to_owned());
        service.metadata.resource_version = Some("7".to_owned());
        service
    }

    #[test]
    fn what_is_as_planned_is_kept() {
        assert_eq!(
            step(&testing::identity(), &planned_service(), &stored_service()),
            Step::Keep
        );
        let policy = planned_policy();
        assert_eq!(step(&testing::identity(), &policy, &policy), Step::Keep);
    }

    #[test]
    fn an_externally_changed_child_is_written() {
        let mut selector = stored_service();
        selector
            .spec
            .as_mut()
            .unwrap()
            .selector
            .as_mut()
            .unwrap()
            .insert("a".to_owned(), "b".to_owned());
        let mut label = stored_service();
        label.metadata.labels = None;
        let mut owner = stored_service();
        owner.metadata.owner_references = None;
        for changed in [selector, label, owner] {
            assert_eq!(
                step(&testing::identity(), &planned_service(), &changed),
                Step::Write
            );
        }
        let policy = planned_policy();
        let mut wider = policy.clone();
        wider
            .spec
            .as_mut()
            .unwrap()
            .ingress
            .as_mut()
            .unwrap()
            .push(NetworkPolicyIngressRule::default());
        assert_eq!(step(&testing::identity(), &policy, &wider), Step::Write);
    }

    #[test]
    fn a_service_changed_to_external_name_is_restored_as_headless() {
        let planned = planned_service();
        let corrected = |live: &Service| match planned.correction(live) {
            Correction::MergePatch(patch) => patch["spec"].get("clusterIP").cloned(),
            Correction::JsonPatch(_) => panic!("a Service is corrected by a merge patch"),
        };
        let mut outside = stored_service();
        let spec = outside.spec.as_mut().unwrap();
        spec.type_ = Some("ExternalName".to_owned());
        spec.cluster_ip = None;
        assert_eq!(step(&testing::identity(), &planned, &outside), Step::Write);
        assert_eq!(corrected(&outside), Some(json!("None")));
        assert_eq!(corrected(&stored_service()), None, "an address cannot be changed");
    }

    #[test]
    fn an_object_of_another_owner_is_never_written() {
        let planned = planned_service();
        let mut other = stored_service();
        other.metadata.owner_references.as_mut().unwrap()[0].uid = "another".to_owned();
        assert_eq!(step(&testing::identity(), &planned, &other), Step::Conflict);
        let mut unowned = stored_service();
        unowned.metadata.owner_references = None;
        unowned.metadata.annotations = None;
        assert_eq!(step(&testing::identity(), &planned, &unowned), Step::Conflict);
    }

    #[test]
    fn a_terminating_object_is_waited_for() {
        let mut terminating = stored_service();
        terminating.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(
            step(&testing::identity(), &planned_service(), &terminating),
            Step::Wait
        );
    }

    /// The result of JSON patch operations on a stored object.
    fn send_patch<K: Serialize + serde::de::DeserializeOwned>(object: &K, steps: Vec<Value>) -> K {
        let mut object = json!(object);
        let patch: json_patch::Patch = serde_json::from_value(steps.into()).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_network_policy_is_replaced_as_a_whole_and_keeps_foreign_metadata() {
        let planned = planned_policy();
        let mut live = planned.clone();
        live.metadata.resource_version = Some("7".to_owned());
        live.metadata.annotations = None;
        let foreign = [("example.com/foreign".to_owned(), "kept".to_owned())];
        live.metadata
            .labels
            .get_or_insert_default()
            .extend(foreign.clone());
        let mut others = testing::identity().owner_reference();
        others.kind = "Team".to_owned();
        live.metadata.owner_references = Some(vec![others.clone()]);
        let spec = live.spec.as_mut().unwrap();
        spec.egress = Some(vec![NetworkPolicyEgressRule::default()]);
        let selector = spec.pod_selector.get_or_insert_default();
        selector
            .match_labels
            .get_or_insert_default()
            .extend(foreign.clone());
        let Correction::JsonPatch(steps) = planned.correction(&live) else {
            panic!("a merge would leave keys of the selector");
        };
        let renewed = send_patch(&live, steps);
        assert_eq!(renewed.spec, planned.spec);
        assert_eq!(step(&testing::identity(), &planned, &renewed), Step::Keep);
        assert_eq!(renewed.labels()["example.com/foreign"], "kept");
        assert_eq!(renewed.metadata.owner_references, Some(vec![others]));
        assert_eq!(renewed.metadata.resource_version.as_deref(), Some("7"));
    }
}
