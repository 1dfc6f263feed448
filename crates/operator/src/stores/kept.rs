//! A compacted object <-> the text that is kept of it (pure).
//!
//! A struct of the Kubernetes API is a few KiB even where next to nothing is set, and a tree map of strings half a KiB with one
//! entry. A cache holds every child there is, and few of them are looked at at a time: their text is a tenth as large, and is parsed
//! faster than a pass makes one request.

use std::{marker::PhantomData, sync::Arc};

use kube::Resource;

use super::compact::Compact;

/// What is kept of an object.
#[derive(Debug)]
pub(super) struct Kept<K> {
    /// All but the version.
    text: Box<str>,
    version: Box<str>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Resource<DynamicType = ()> + Compact> Kept<K> {
    /// Of an object that was compacted.
    pub(super) fn of(mut object: K) -> serde_json::Result<Self> {
        let version = object.meta_mut().resource_version.take();
        Ok(Self {
            text: serde_json::to_string(&object)?.into(),
            version: version.unwrap_or_default().into(),
            kind: PhantomData,
        })
    }

    /// The object.
    pub(super) fn open(&self) -> Option<Arc<K>> {
        let parsed = serde_json::from_str::<K>(&self.text);
        let mut object = parsed
            .inspect_err(
                |error| tracing::error!(%error, kind = %K::kind(&()), "a kept object cannot be read"),
            )
            .ok()?;
        if !self.version.is_empty() {
            object.meta_mut().resource_version = Some(self.version.as_ref().to_owned());
        }
        Some(Arc::new(object))
    }
}

impl<K> Kept<K> {
    /// Whether two states of an object differ in nothing but their version.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.text == other.text
    }

    /// As it is kept.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use testkit::objects;

    use super::*;
    use crate::fixtures;

    #[test]
    fn what_is_kept_is_what_it_was() {
        let mut deployment = fixtures::running().deployment.as_deref().unwrap().clone();
        for version in [None, Some("7".to_owned())] {
            deployment.metadata.resource_version = version;
            deployment.compact();
            let kept = Kept::of(deployment.clone()).unwrap();
            assert_eq!(*kept.open().unwrap(), deployment);
        }
    }

    #[test]
    fn two_versions_of_the_same_are_told_from_a_change() {
        let pod = |version: &str, address: &str| {
            let set = objects::replica_set_of(fixtures::running().deployment.as_deref().unwrap());
            let mut pod = objects::ready(objects::pod_of(&set), address);
            pod.metadata.resource_version = Some(version.to_owned());
            Kept::of(pod).unwrap()
        };
        assert!(pod("1", "10.0.0.1").is_same(&pod("2", "10.0.0.1")));
        assert!(!pod("1", "10.0.0.1").is_same(&pod("1", "10.0.0.2")));
        assert!(pod("1", "10.0.0.1").text().contains("\"podIP\":\"10.0.0.1\""));
    }
}
