//! JSON of an object -> the trimmed object, or its metadata and text (pure).
//!
//! One broken object must not stop a watch. kube's `DeserializeGuard` is not used: it names no field in the error, it takes twice the processor time, and each object of a list
//! stays untrimmed until the last one is parsed.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use api::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::value::RawValue;

use super::trim::Trim;

/// An object, or its text.
#[derive(Clone, Debug)]
pub struct Parsed<K>(pub Result<Arc<K>, Box<Unreadable>>);

/// An object that is kept as text, because it cannot be parsed, or because its kind takes much less memory so ([`Trim::AS_TEXT`]).
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct Unreadable {
    /// Its metadata, or the part of it that a kept text can be selected by.
    pub metadata: ObjectMeta,
    /// The field and the error; empty if it can be parsed.
    pub error: String,
    /// Its JSON.
    pub text: Box<str>,
}

impl<K> Parsed<K> {
    /// A parsed object.
    pub fn new(object: K) -> Self {
        Self(Ok(Arc::new(object)))
    }
}

impl<K: DeserializeOwned> Parsed<K> {
    /// The object; `None` if it cannot be parsed.
    pub fn object(&self) -> Option<Arc<K>> {
        match &self.0 {
            Ok(object) => Some(object.clone()),
            Err(kept) => serde_json::from_str(&kept.text).ok().map(Arc::new),
        }
    }

    /// The object of an answer.
    ///
    /// # Errors
    /// The object could not be parsed.
    pub fn read(self) -> Result<Arc<K>, kube::Error> {
        let object = self.object();
        let unreadable = |kept| kube::Error::SerdeError(serde_json::Error::custom(kept));
        object.map_or_else(|| self.0.map_err(unreadable), Ok)
    }
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl<'de, K: Trim> Deserialize<'de> for Parsed<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let mut json = serde_json::Deserializer::from_str(text.get());
        if let Ok(mut object) = K::deserialize(&mut json) {
            object.trim();
            if !K::AS_TEXT {
                return Ok(Self::new(object));
            }
            return Ok(Self(Err(Box::new(Unreadable {
                metadata: head_of(object.meta()),
                error: String::new(),
                text: serde_json::to_string(&object).map_err(D::Error::custom)?.into(),
            }))));
        }
        let Head { mut metadata } = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        metadata.managed_fields = None;
        Ok(Self(Err(Box::new(Unreadable {
            metadata,
            error: error_of::<K>(text.get()),
            text: text.get().into(),
        }))))
    }
}

/// What a kept text can be selected by: its identity, its version, and the marks of its workspace.
fn head_of(meta: &ObjectMeta) -> ObjectMeta {
    let only = |all: &Option<BTreeMap<String, String>>, key: &str| {
        let (key, value) = all.as_ref()?.get_key_value(key)?;
        Some([(key.clone(), value.clone())].into())
    };
    ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        deletion_timestamp: meta.deletion_timestamp.clone(),
        labels: only(&meta.labels, names::WORKSPACE_LABEL),
        annotations: only(&meta.annotations, names::WORKSPACE_UID),
        ..ObjectMeta::default()
    }
}

/// Field and error. The position in the text is left out, because the text is not shown.
fn error_of<K: DeserializeOwned>(text: &str) -> String {
    let mut json = serde_json::Deserializer::from_str(text);
    let error = serde_path_to_error::deserialize::<_, K>(&mut json).err();
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    error.split(" at line ").next().unwrap_or_default().to_owned()
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
            Err(unreadable) => &unreadable.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => Arc::make_mut(object).meta_mut(),
            Err(unreadable) => &mut unreadable.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use kube::core::{ObjectList, WatchEvent};

    use super::*;
    use crate::cache::partial::Pod;

    const GOOD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","managedFields":[{"manager":"m"}]},
        "spec":{"containers":[]}}"#;
    const BROKEN: &str =
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"b"},"spec":{"containers":[{"name":7}]}}"#;

    #[test]
    fn an_object_is_trimmed() {
        let pod: Parsed<Pod> = serde_json::from_str(GOOD).unwrap();
        assert_eq!(pod.meta().managed_fields, None);
        assert_eq!(pod.meta().name.as_deref(), Some("a"));
    }

    #[test]
    fn a_broken_object_is_known_by_its_metadata_field_and_error() {
        let broken: Parsed<Pod> = serde_json::from_str(BROKEN).unwrap();
        assert_eq!(broken.meta().name.as_deref(), Some("b"));
        let unreadable = broken.0.unwrap_err();
        assert_eq!(
            unreadable.error,
            "spec.containers[0].name: invalid type: integer `7`, expected a string"
        );
        assert_eq!(&*unreadable.text, BROKEN);
    }

    #[test]
    fn a_kind_that_is_kept_as_text_is_selected_by_its_marks_and_read_as_it_was() {
        let text = r#"{"metadata":{"name":"a","uid":"u","labels":{"x":"y","workspaces.jupyter.org/workspace":"demo"}},
            "spec":{"clusterIP":"10.0.0.1","ports":[{"port":80}]}}"#;
        let service: Parsed<Service> = serde_json::from_str(text).unwrap();
        assert_eq!(service.meta().labels.as_ref().unwrap().len(), 1);
        let service = service.object().unwrap();
        assert_eq!(service.metadata.labels.as_ref().unwrap().len(), 2);
        assert_eq!(service.spec.as_ref().unwrap().cluster_ip, None, "it is trimmed");
        assert!(
            serde_json::from_str::<Parsed<Pod>>(BROKEN)
                .unwrap()
                .object()
                .is_none()
        );
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
