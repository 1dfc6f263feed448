//! A trimmed object <-> the text that the cache keeps of it (pure).
//!
//! A struct of the Kubernetes API takes a few KiB even if almost no field is set. A map of strings with one entry takes half a KiB. A
//! cache holds every child of the cluster, and few of them are read at a time. Their text is a tenth as large. It is parsed faster than
//! a reconcile sends one request.

use std::{marker::PhantomData, sync::Arc};

use super::trim::Trim;

/// The kept form of an object.
#[derive(Debug)]
pub(crate) struct Packed<K> {
    /// The JSON without the version and without the value that is set aside.
    text: Box<str>,
    version: Box<str>,
    aside: Option<i64>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Trim> Packed<K> {
    /// Packs a trimmed object.
    pub(crate) fn of(mut object: K) -> serde_json::Result<Self> {
        let version = object.meta_mut().resource_version.take();
        let aside = object.set_aside();
        Ok(Self {
            text: serde_json::to_string(&object)?.into(),
            version: version.unwrap_or_default().into(),
            aside,
            kind: PhantomData,
        })
    }

    /// The object.
    pub(crate) fn open(&self) -> Option<Arc<K>> {
        let parsed = serde_json::from_str::<K>(&self.text);
        let mut object = parsed
            .inspect_err(
                |error| tracing::error!(%error, kind = %K::kind(&()), "a kept object cannot be read"),
            )
            .ok()?;
        if !self.version.is_empty() {
            object.meta_mut().resource_version = Some(self.version.as_ref().to_owned());
        }
        if let Some(aside) = self.aside {
            object.put_back(aside);
        }
        Some(Arc::new(object))
    }
}

impl<K> Packed<K> {
    /// Whether two versions of an object differ only in their version and the value that is set aside.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.text == other.text
    }

    /// The text of the object.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use testkit::objects;

    use super::*;
    use crate::testing;

    #[test]
    fn what_is_kept_is_what_it_was() {
        let mut deployment = testing::running().deployment.as_deref().unwrap().clone();
        for version in [None, Some("7".to_owned())] {
            deployment.metadata.resource_version = version;
            deployment.trim();
            let kept = Packed::of(deployment.clone()).unwrap();
            assert_eq!(*kept.open().unwrap(), deployment);
        }
    }

    #[test]
    fn that_a_deployment_was_looked_at_is_kept_and_is_news_only_where_it_is_to_end() {
        let deployment = |replicas: i32, observed: i64| {
            let mut deployment = testing::running().deployment.as_deref().unwrap().clone();
            deployment.spec.as_mut().unwrap().replicas = Some(replicas);
            deployment.status.get_or_insert_default().observed_generation = Some(observed);
            deployment.trim();
            Packed::of(deployment).unwrap()
        };
        let observed = |kept: &Packed<Deployment>| kept.open()?.status.as_ref()?.observed_generation;
        for replicas in [0, 1] {
            let (before, after) = (deployment(replicas, 6), deployment(replicas, 7));
            assert_eq!((observed(&before), observed(&after)), (Some(6), Some(7)));
            assert_eq!(before.is_same(&after), replicas == 1);
        }
    }

    #[test]
    fn two_versions_of_the_same_are_told_from_a_change() {
        let pod = |version: &str, address: &str| {
            let set = objects::replica_set_of(testing::running().deployment.as_deref().unwrap());
            let mut pod = objects::ready(objects::pod_of(&set), address);
            pod.metadata.resource_version = Some(version.to_owned());
            Packed::of(pod).unwrap()
        };
        assert!(pod("1", "10.0.0.1").is_same(&pod("2", "10.0.0.1")));
        assert!(!pod("1", "10.0.0.1").is_same(&pod("1", "10.0.0.2")));
        assert!(pod("1", "10.0.0.1").text().contains("\"podIP\":\"10.0.0.1\""));
    }
}
