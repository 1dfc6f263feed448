//! A trimmed object <-> the text that the cache keeps of it (pure).
//!
//! Typed objects would take too much memory: a map of strings alone takes half a KiB. As `k8s_openapi` structs, the trimmed claim,
//! Deployment, ReplicaSet, Service and network policy of a stopped workspace take 33 KiB, and as text 6 KiB. So 10,000 stopped workspaces
//! would take 260 MiB more, and all of the operator may take 250 MiB then. Parsing a text takes less than 25 microseconds.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    marker::PhantomData,
    sync::Arc,
};

use super::trim::Trim;

/// The kept form of an object.
#[derive(Debug)]
pub(crate) struct Packed<K> {
    json: Box<str>,
    /// A hash of everything whose change triggers a reconcile.
    relevant: u64,
    kind: PhantomData<fn() -> K>,
}

impl<K: Trim> Packed<K> {
    /// Packs a trimmed object.
    pub(crate) fn of(object: &K) -> serde_json::Result<Self> {
        let mut relevant = object.clone();
        relevant.meta_mut().resource_version = None;
        relevant.drop_steps();
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(&relevant)?.hash(&mut hasher);
        Ok(Self {
            json: serde_json::to_string(object)?.into(),
            relevant: hasher.finish(),
            kind: PhantomData,
        })
    }

    /// The object.
    pub(crate) fn open(&self) -> Option<Arc<K>> {
        serde_json::from_str(&self.json)
            .inspect_err(
                |error| tracing::error!(%error, kind = %K::kind(&()), "a kept object cannot be read"),
            )
            .ok()
            .map(Arc::new)
    }

    /// Whether two versions of an object differ in nothing that triggers a reconcile.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.relevant == other.relevant
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use testkit::objects;

    use super::*;
    use crate::testing;

    #[test]
    fn an_opened_object_is_the_packed_one() {
        let mut deployment = testing::running().deployment.as_deref().unwrap().clone();
        for version in [None, Some("7".to_owned())] {
            deployment.metadata.resource_version = version;
            deployment.trim();
            assert_eq!(*Packed::of(&deployment).unwrap().open().unwrap(), deployment);
        }
    }

    #[test]
    fn the_observed_generation_of_a_deployment_is_kept_and_triggers_only_if_it_should_have_no_pod() {
        let deployment = |replicas: i32, observed: i64| {
            let mut deployment = testing::running().deployment.as_deref().unwrap().clone();
            deployment.spec.as_mut().unwrap().replicas = Some(replicas);
            deployment.status.get_or_insert_default().observed_generation = Some(observed);
            deployment.trim();
            Packed::of(&deployment).unwrap()
        };
        let observed = |kept: &Packed<Deployment>| kept.open()?.status.as_ref()?.observed_generation;
        for replicas in [0, 1] {
            let (before, after) = (deployment(replicas, 6), deployment(replicas, 7));
            assert_eq!((observed(&before), observed(&after)), (Some(6), Some(7)));
            assert_eq!(before.is_same(&after), replicas == 1);
        }
    }

    #[test]
    fn another_version_is_the_same_and_another_address_is_not() {
        let pod = |version: &str, address: &str| {
            let set = objects::replica_set_of(testing::running().deployment.as_deref().unwrap());
            let mut pod = objects::ready(objects::pod_of(&set), address);
            pod.metadata.resource_version = Some(version.to_owned());
            Packed::of(&pod).unwrap()
        };
        assert!(pod("1", "10.0.0.1").is_same(&pod("2", "10.0.0.1")));
        assert!(!pod("1", "10.0.0.1").is_same(&pod("1", "10.0.0.2")));
    }
}
