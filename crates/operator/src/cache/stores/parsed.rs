//! Text of an object -> the object, or metadata and error if it cannot be parsed (pure).

use std::{borrow::Cow, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::error_boundary::InvalidObject};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::value::RawValue;

use super::partial::{Partial, project};

/// An object, or metadata and error of one that cannot be parsed: one broken object must not stop a watch.
///
/// Unlike kube's `DeserializeGuard`, it keeps the text until the object is parsed, and not a tree of values and a copy of it. Fields
/// that no reconcile reads are not parsed at all. Parsing watch events is much of the work of a busy operator.
#[derive(Clone, Debug)]
pub struct Parsed<K>(pub Result<Arc<K>, InvalidObject>);

impl<K> Parsed<K> {
    /// A parsed object.
    pub fn of(object: K) -> Self {
        Self(Ok(Arc::new(object)))
    }

    /// The object of an answer.
    ///
    /// # Errors
    /// The object could not be parsed.
    pub fn read(self) -> Result<Arc<K>, kube::Error> {
        let unreadable =
            |invalid: InvalidObject| kube::Error::SerdeError(serde_json::Error::custom(invalid.error));
        self.0.map_err(unreadable)
    }
}

impl<K: Clone> Parsed<K> {
    /// Frees unused memory: parsed collections have spare capacity, a clone has none.
    pub fn shrink(&mut self) {
        if let Ok(object) = &mut self.0 {
            *object = Arc::new(K::clone(object));
        }
    }
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl<'de, K: Partial + DeserializeOwned> Deserialize<'de> for Parsed<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let text = project(text.get(), &K::FIELDS);
        match serde_json::from_str(&text) {
            Ok(object) => Ok(Self::of(object)),
            Err(error) => {
                let head: Head = serde_json::from_str(&text).map_err(D::Error::custom)?;
                let error = error.to_string();
                // The position is useless, because the text is not shown.
                let words = error.split(" at line ").next().unwrap_or_default();
                Ok(Self(Err(InvalidObject {
                    error: words.to_owned(),
                    metadata: head.metadata,
                })))
            }
        }
    }
}

impl<K: Resource + Clone> Resource for Parsed<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => object.meta(),
            Err(invalid) => &invalid.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => Arc::make_mut(object).meta_mut(),
            Err(invalid) => &mut invalid.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::core::{ObjectList, WatchEvent};

    use super::*;

    const GOOD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"containers":[]}}"#;
    const BROKEN: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"b"},"spec":7}"#;

    #[test]
    fn a_broken_object_is_known_by_its_metadata_and_why() {
        let broken: Parsed<Pod> = serde_json::from_str(BROKEN).unwrap();
        assert_eq!(broken.meta().name.as_deref(), Some("b"));
        let why = broken.0.unwrap_err().error;
        assert!(why.contains("integer `7`") && !why.contains("line"), "{why}");
    }

    #[test]
    fn the_books_are_not_read() {
        let pod: Parsed<Pod> = serde_json::from_str(
            r#"{"metadata":{"name":"a","managedFields":[{"manager":7}],"namespace":"b"}}"#,
        )
        .unwrap();
        assert_eq!(pod.meta().managed_fields, None);
        assert_eq!(pod.meta().namespace.as_deref(), Some("b"));
    }

    #[test]
    fn lists_and_watches_with_a_broken_object_are_read() {
        let list =
            format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{}},"items":[{GOOD},{BROKEN}]}}"#);
        let list: ObjectList<Parsed<Pod>> = serde_json::from_str(&list).unwrap();
        assert!(list.items[0].0.is_ok() && list.items[1].0.is_err());
        let event = format!(r#"{{"type":"ADDED","object":{GOOD}}}"#);
        let event: WatchEvent<Parsed<Pod>> = serde_json::from_str(&event).unwrap();
        assert!(matches!(event, WatchEvent::Added(Parsed(Ok(_)))));
        let value: serde_json::Value = serde_json::from_str(GOOD).unwrap();
        assert!(serde_json::from_value::<Parsed<Pod>>(value).unwrap().0.is_ok());
    }
}
