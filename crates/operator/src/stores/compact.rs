//! A watched object -> the same without what no pass looks at (pure).
//!
//! Two things come of it. Caches are small: the operator holds every workspace of the cluster. And a change of nothing
//! that matters is seen to be none, so that it causes no pass. Whoever needs more of a kind takes it off the list here.

use api::names;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, ReplicaSet},
        core::v1::{
            Container, PersistentVolumeClaim, Pod, PodSpec, Probe, Service, ServiceAccount, ServiceSpec,
        },
        networking::v1::NetworkPolicy,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::hands;

/// What `kubectl apply` keeps: a copy of the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Annotations that say which storage class is the default one.
const CLASS_PREFIX: &str = "storageclass.";

/// A kind of child, and what is kept of it.
pub trait Compact {
    /// Drops what no pass looks at.
    fn compact(&mut self);
}

/// Drops what the API server keeps books by. For every watched kind.
pub fn drop_bookkeeping(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

/// Drops annotations that nothing of ours looks at, and that may be 256 KiB of each object. For kinds that people write.
pub fn drop_foreign_annotations(meta: &mut ObjectMeta) {
    if let Some(annotations) = &mut meta.annotations {
        annotations.retain(|key, _| key.starts_with(names::RESERVED_PREFIX) || key.starts_with(CLASS_PREFIX));
    }
}

/// Keeps of annotations, which the Deployment hands down, only whose the object is.
fn keep_mark(meta: &mut ObjectMeta) {
    if let Some(annotations) = &mut meta.annotations {
        annotations.retain(|key, _| key == names::WORKSPACE_UID);
    }
}

fn names_of(containers: Vec<Container>) -> Vec<Container> {
    let name = |container: Container| Container {
        name: container.name,
        ..Container::default()
    };
    containers.into_iter().map(name).collect()
}

impl Compact for Deployment {
    /// Of the pod template only labels, the service account and the names of containers are read back: what it was made
    /// from stands in an annotation. Of whoever wrote the object, only who changed the template behind our back.
    fn compact(&mut self) {
        hands::remember(&mut self.metadata);
        if let Some(template) = self.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()) {
            *template = PodSpec {
                containers: names_of(std::mem::take(&mut template.containers)),
                init_containers: template.init_containers.take().map(names_of),
                service_account_name: template.service_account_name.take(),
                ..PodSpec::default()
            };
        }
        if let Some(status) = &mut self.status {
            status.available_replicas = None;
            status.ready_replicas = None;
            status.unavailable_replicas = None;
            status.updated_replicas = None;
            // The others change at every step of a roll-out, and say no more than the pod.
            if let Some(conditions) = &mut status.conditions {
                conditions.retain(|condition| condition.type_ == "ReplicaFailure");
            }
        }
    }
}

impl Compact for ReplicaSet {
    fn compact(&mut self) {
        keep_mark(&mut self.metadata);
        if let Some(spec) = &mut self.spec {
            spec.template = None;
        }
        if let Some(status) = &mut self.status {
            status.available_replicas = None;
            status.fully_labeled_replicas = None;
            status.ready_replicas = None;
        }
    }
}

impl Compact for Pod {
    /// Status stays whole: causes of trouble are read from it.
    fn compact(&mut self) {
        keep_mark(&mut self.metadata);
        let Some(spec) = &mut self.spec else { return };
        spec.affinity = None;
        spec.tolerations = None;
        spec.topology_spread_constraints = None;
        spec.security_context = None;
        for volume in spec.volumes.iter_mut().flatten() {
            volume.projected = None;
            volume.config_map = None;
            volume.secret = None;
            volume.empty_dir = None;
        }
        let init = spec.init_containers.iter_mut().flatten();
        for container in spec.containers.iter_mut().chain(init) {
            container.args = None;
            container.command = None;
            container.env = None;
            container.env_from = None;
            container.lifecycle = None;
            container.liveness_probe = None;
            // Whether it is the port that has to answer: a message says so.
            if let Some(probe) = &mut container.readiness_probe {
                *probe = Probe {
                    tcp_socket: probe.tcp_socket.take(),
                    ..Probe::default()
                };
            }
            container.security_context = None;
            container.startup_probe = None;
            container.volume_mounts = None;
        }
    }
}

impl Compact for Service {
    /// What is compared with the plan; addresses are the cluster's business.
    fn compact(&mut self) {
        self.status = None;
        if let Some(spec) = self.spec.take() {
            self.spec = Some(ServiceSpec {
                type_: spec.type_,
                selector: spec.selector,
                ports: spec.ports,
                ..ServiceSpec::default()
            });
        }
    }
}

impl Compact for PersistentVolumeClaim {
    fn compact(&mut self) {}
}

impl Compact for ServiceAccount {
    fn compact(&mut self) {
        self.secrets = None;
        self.image_pull_secrets = None;
    }
}

impl Compact for NetworkPolicy {
    fn compact(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_annotations_only_ours_and_the_default_class_are_kept() {
        let keys = [
            names::CREATED_BY,
            "example.com/notes",
            "storageclass.kubernetes.io/is-default-class",
        ];
        let mut meta = ObjectMeta {
            annotations: Some(keys.map(|key| (key.to_owned(), "x".repeat(99))).into()),
            ..ObjectMeta::default()
        };
        drop_foreign_annotations(&mut meta);
        let left: Vec<_> = meta.annotations.unwrap().into_keys().collect();
        assert_eq!(left, [keys[2], keys[0]]);
    }
}
