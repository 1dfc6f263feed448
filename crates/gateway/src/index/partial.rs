//! object of a list or watch -> its name and facts, while it is parsed (pure).
//!
//! A list comes in pages of hundreds of objects. Each object is many times as large as its facts, and a page stays in memory until
//! the last object was read.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DeserializeGuard;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// `(namespace, name)`; the namespace of a manager is empty.
pub(super) type Key = (String, String);

/// Extracts the facts of one kind of objects.
pub(super) trait Projection: Sized {
    /// The kind.
    type Object: Resource<DynamicType = ()> + DeserializeOwned;

    /// `None` for an object that is treated as absent.
    fn from_object(object: Self::Object) -> Option<Self>;
}

/// An object from the API server, or why it cannot be parsed.
#[derive(Debug, Clone)]
pub(super) struct Partial<T> {
    /// Name and version, from which a watch continues.
    metadata: ObjectMeta,
    facts: Result<Option<T>, String>,
}

impl<T> Partial<T> {
    /// The object's name, and its facts. Unreadable objects are reported to `unreadable`, and treated as absent.
    pub(super) fn into_facts(self, unreadable: impl FnOnce(&Key, &str)) -> (Key, Option<T>) {
        let ObjectMeta { name, namespace, .. } = self.metadata;
        let key = (namespace.unwrap_or_default(), name.unwrap_or_default());
        let facts = self.facts.unwrap_or_else(|error| {
            unreadable(&key, &error);
            None
        });
        (key, facts)
    }
}

impl<T: Projection> From<DeserializeGuard<T::Object>> for Partial<T> {
    fn from(object: DeserializeGuard<T::Object>) -> Self {
        let all = object.meta();
        let metadata = ObjectMeta {
            name: all.name.clone(),
            namespace: all.namespace.clone(),
            resource_version: all.resource_version.clone(),
            ..ObjectMeta::default()
        };
        Self {
            metadata,
            facts: object.0.map(T::from_object).map_err(|error| error.error),
        }
    }
}

impl<'de, T: Projection> Deserialize<'de> for Partial<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DeserializeGuard::<T::Object>::deserialize(deserializer).map(Self::from)
    }
}

impl<T: Projection> Resource for Partial<T> {
    type DynamicType = ();
    type Scope = <T::Object as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        T::Object::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        T::Object::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        T::Object::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        T::Object::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
