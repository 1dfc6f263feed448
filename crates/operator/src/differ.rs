//! Planned child, live child -> whether to write, and what is in the way (pure).

use api::Workspace;
use k8s_openapi::{
    api::core::v1::Service, api::networking::v1::NetworkPolicy, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;
use serde_json::{Map, Value, json};

use crate::{stores::compact::digest, world::Identity};

/// What to do about one child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is as planned.
    Keep,
    /// Write it: it is absent or differs.
    Write,
    /// Its name is taken by an object that is not ours.
    Conflict,
    /// It is on its way out, ours or not: nothing can be written until it is gone.
    Wait,
}

/// What to do about the child `planned`, given what exists under its name.
pub fn step<K: Child>(identity: &Identity, planned: &K, live: Option<&K>) -> Step {
    let Some(live) = live else { return Step::Write };
    match stance(identity, live.meta()) {
        Step::Keep if meta_covers(live.meta(), planned.meta()) && live.spec_covers(planned) => Step::Keep,
        Step::Keep => Step::Write,
        other => other,
    }
}

/// Whether an existing object may be written at all: `Keep` if it may.
pub fn stance(identity: &Identity, live: &ObjectMeta) -> Step {
    if live.deletion_timestamp.is_some() {
        Step::Wait
    } else if identity.owns(live) {
        Step::Keep
    } else {
        Step::Conflict
    }
}

/// Whether `live` has every label, annotation and owner that `planned` has.
pub fn meta_covers(live: &ObjectMeta, planned: &ObjectMeta) -> bool {
    let covers = |live: &Option<std::collections::BTreeMap<String, String>>, planned: &Option<_>| {
        let mut planned = planned.iter().flatten();
        planned.all(|(key, value)| live.as_ref().and_then(|live| live.get(key)) == Some(value))
    };
    let mut owners = planned.owner_references.iter().flatten();
    covers(&live.labels, &planned.labels)
        && covers(&live.annotations, &planned.annotations)
        && owners.all(|owner| live.owner_references.iter().flatten().any(|live| live == owner))
}

/// A kind of child that is compared and written at any time.
pub trait Child: Resource<DynamicType = ()> {
    /// Whether one that is absent is made by a `POST`, and not by an apply (docs/decisions/0020).
    const POSTED: bool = false;

    /// Whether the live object has everything that `planned` asks for. Only fields that we set are looked at: the API
    /// server fills in others.
    fn spec_covers(&self, planned: &Self) -> bool;

    /// The merge patch that makes `live`, in the very state in which it was seen, as planned; `None` where an apply does. An apply
    /// releases no field that a `POST` wrote.
    fn mended(&self, _live: &Self) -> Option<Value> {
        None
    }
}

impl Child for Service {
    const POSTED: bool = true;

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

    /// An apply would add a port of another number to the one that is there, and two of one name are refused.
    fn mended(&self, live: &Self) -> Option<Value> {
        let (planned, now) = (self.spec.as_ref()?, live.spec.as_ref());
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
        Some(json!({
            "metadata": {
                "resourceVersion": live.metadata.resource_version,
                "labels": self.metadata.labels,
                "annotations": self.metadata.annotations,
                "ownerReferences": owners,
            },
            "spec": {"type": planned.type_, "selector": selector, "ports": planned.ports},
        }))
    }
}

impl Child for NetworkPolicy {
    /// Every field is ours, so a rule that somebody adds is a difference. So is the workspace as an owner, which earlier versions
    /// wrote and which an apply without it takes away.
    fn spec_covers(&self, planned: &Self) -> bool {
        let group = Workspace::group(&());
        let mut owners = self.metadata.owner_references.iter().flatten();
        let is_owned = owners.any(|owner| {
            owner.kind == Workspace::kind(&()) && owner.api_version.split('/').next() == Some(&*group)
        });
        !is_owned && digest(self) == digest(planned)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::networking::v1::NetworkPolicyIngressRule;
    use serde_json::json;

    use super::*;
    use crate::{fixtures, plan};

    fn identity() -> Identity {
        Identity::of(&testkit::objects::workspace("demo").metadata)
    }

    fn planned() -> plan::Plan {
        plan::lasting(&fixtures::valid(), &fixtures::site())
    }

    /// What the API server makes of a Service: the same, with more in it.
    fn stored_service() -> Service {
        let mut service = planned().service;
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
    fn what_is_absent_is_written_and_what_is_as_planned_is_kept() {
        let planned = planned();
        assert_eq!(step(&identity(), &planned.service, None), Step::Write);
        assert_eq!(
            step(&identity(), &planned.service, Some(&stored_service())),
            Step::Keep
        );
        let wall = planned.policy.unwrap();
        assert_eq!(step(&identity(), &wall, Some(&wall)), Step::Keep);
    }

    #[test]
    fn a_child_changed_by_hand_is_written() {
        let planned = planned();
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
            assert_eq!(step(&identity(), &planned.service, Some(&changed)), Step::Write);
        }
        let wall = planned.policy.unwrap();
        let mut wider = wall.clone();
        wider
            .spec
            .as_mut()
            .unwrap()
            .ingress
            .as_mut()
            .unwrap()
            .push(NetworkPolicyIngressRule::default());
        assert_eq!(step(&identity(), &wall, Some(&wider)), Step::Write);
        let mut bound = wall.clone();
        bound.metadata.owner_references = Some(vec![identity().owner_reference()]);
        assert_eq!(step(&identity(), &wall, Some(&bound)), Step::Write);
    }

    #[test]
    fn an_object_of_another_owner_is_never_written() {
        let planned = planned();
        let mut other = stored_service();
        other.metadata.owner_references.as_mut().unwrap()[0].uid = "another".to_owned();
        assert_eq!(step(&identity(), &planned.service, Some(&other)), Step::Conflict);
        let mut nobodys = stored_service();
        nobodys.metadata.owner_references = None;
        nobodys.metadata.annotations = None;
        assert_eq!(
            step(&identity(), &planned.service, Some(&nobodys)),
            Step::Conflict
        );
    }

    #[test]
    fn an_object_on_its_way_out_is_waited_for() {
        let mut leaving = stored_service();
        leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(step(&identity(), &planned().service, Some(&leaving)), Step::Wait);
    }
}
