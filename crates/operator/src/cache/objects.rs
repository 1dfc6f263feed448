//! Watch events of objects from manifests -> which workspace has which (in memory).

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use api::names;
use kube::api::{ApiResource, DynamicObject};
use parking_lot::RwLock;
use rules::objects::ObjectKind;

use crate::cache::{
    field_managers::is_our_apply,
    observed::{Identity, version_of},
};

/// The known state of a kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum KindState {
    /// It was not looked up yet, or its objects are being listed.
    #[default]
    Unknown,
    /// It cannot be used: the reason, and what to do.
    Unavailable(String),
    /// It is installed, and the store has all its objects with a workspace's label.
    Available(ApiResource),
}

/// What an object of a workspace is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It routes to the workspace, as its manager says.
    Route,
    /// Its template has it.
    Template,
}

impl Purpose {
    /// The component label of such objects.
    pub fn component(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Template => "object",
        }
    }
}

/// An object of a workspace, and its kind.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its kind.
    pub kind: ObjectKind,
    /// The object, without its status.
    pub object: Arc<DynamicObject>,
}

impl Live {
    /// What it is for, by its label.
    pub fn purpose(&self) -> Purpose {
        let labels = self.object.metadata.labels.as_ref();
        let component = labels.and_then(|labels| labels.get(names::APP_COMPONENT_LABEL));
        if component.is_some_and(|it| it == Purpose::Template.component()) {
            Purpose::Template
        } else {
            Purpose::Route
        }
    }
}

/// Every kind that the settings allow, and the objects of each.
#[derive(Debug, Default)]
pub struct ObjectStore {
    kinds: RwLock<BTreeMap<ObjectKind, OfKind>>,
}

#[derive(Debug, Default)]
struct OfKind {
    state: KindState,
    /// By namespace and name.
    objects: BTreeMap<Key, Arc<DynamicObject>>,
    /// Their keys, by namespace and the workspace in their label.
    of_workspaces: BTreeMap<(String, String), BTreeSet<Key>>,
}

/// Namespace and name.
type Key = (String, String);

impl ObjectStore {
    /// Adds a kind.
    pub fn allow(&self, kind: &ObjectKind) {
        self.change(kind, |_| {});
    }

    /// The known state of a kind; `None` for one that is not allowed.
    pub fn state(&self, kind: &ObjectKind) -> Option<KindState> {
        self.read(|kinds| kinds.get(kind).map(|of_kind| of_kind.state.clone()))
    }

    /// Which of these kinds cannot be used, and what to do; `None` if no problem with any of them is known.
    pub fn unavailable(&self, kinds: &BTreeSet<ObjectKind>) -> Option<String> {
        let why = kinds.iter().filter_map(|kind| match self.state(kind) {
            Some(KindState::Unavailable(why)) => Some(why),
            _ => None,
        });
        let why: Vec<_> = why.collect();
        (!why.is_empty()).then(|| why.join(" "))
    }

    /// Objects with the label of this workspace. Any user can write a label, so not all of them are its own.
    pub fn with_label_of(&self, identity: &Identity) -> Vec<Live> {
        let workspace = (identity.namespace.clone(), identity.name.clone());
        self.read(|kinds| {
            let found = kinds.iter().flat_map(|(kind, of_kind)| {
                let keys = of_kind.of_workspaces.get(&workspace).into_iter().flatten();
                let objects = keys.filter_map(|key| of_kind.objects.get(key));
                objects.map(|object| Live {
                    kind: kind.clone(),
                    object: object.clone(),
                })
            });
            found.collect()
        })
    }

    /// The object of this name, if it carries a workspace's label.
    pub fn get(&self, kind: &ObjectKind, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        let key = (namespace.to_owned(), name.to_owned());
        self.read(|kinds| kinds.get(kind)?.objects.get(&key).cloned())
    }

    /// Records that a kind cannot be used. Returns whether that is new.
    pub fn set_unavailable(&self, kind: &ObjectKind, why: &str) -> bool {
        self.change(kind, |of_kind| {
            let now = KindState::Unavailable(why.to_owned());
            let is_new = of_kind.state != now;
            of_kind.state = now;
            of_kind.clear();
            is_new
        })
    }

    /// Records that a kind is installed, and all its objects.
    pub fn set_available(&self, kind: &ObjectKind, resource: &ApiResource, objects: Vec<DynamicObject>) {
        self.change(kind, |of_kind| {
            of_kind.state = KindState::Available(resource.clone());
            of_kind.clear();
            for object in objects {
                of_kind.put(object);
            }
        });
    }

    /// Records a new or changed object. A newer known version stays.
    pub fn update(&self, kind: &ObjectKind, object: DynamicObject) {
        self.change(kind, |of_kind| {
            let newer = of_kind
                .objects
                .get(&key_of(&object))
                .is_some_and(|known| is_newer(known, &object));
            if !newer {
                of_kind.put(object);
            }
        });
    }

    /// Records that an object is gone.
    pub fn remove(&self, kind: &ObjectKind, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.change(kind, |of_kind| of_kind.remove(&key));
    }

    fn read<T>(&self, query: impl FnOnce(&BTreeMap<ObjectKind, OfKind>) -> T) -> T {
        query(&self.kinds.read())
    }

    fn change<T>(&self, kind: &ObjectKind, change: impl FnOnce(&mut OfKind) -> T) -> T {
        change(self.kinds.write().entry(kind.clone()).or_default())
    }
}

impl OfKind {
    fn put(&mut self, mut object: DynamicObject) {
        trim(&mut object);
        let key = key_of(&object);
        // Its label may have changed.
        self.remove(&key);
        if let Some(workspace) = of_workspace(&object) {
            self.of_workspaces
                .entry(workspace)
                .or_default()
                .insert(key.clone());
            self.objects.insert(key, Arc::new(object));
        }
    }

    fn remove(&mut self, key: &Key) {
        let Some(workspace) = self.objects.remove(key).as_deref().and_then(of_workspace) else {
            return;
        };
        if let Entry::Occupied(mut keys) = self.of_workspaces.entry(workspace) {
            keys.get_mut().remove(key);
            if keys.get().is_empty() {
                keys.remove();
            }
        }
    }

    fn clear(&mut self) {
        self.objects.clear();
        self.of_workspaces.clear();
    }
}

/// The workspace in the label of an object.
pub(crate) fn workspace_of(object: &DynamicObject) -> Option<&str> {
    let labels = object.metadata.labels.as_ref()?;
    labels.get(names::WORKSPACE_LABEL).map(String::as_str)
}

/// Namespace and name of the workspace in the label of an object.
fn of_workspace(object: &DynamicObject) -> Option<(String, String)> {
    let name = workspace_of(object)?.to_owned();
    Some((object.metadata.namespace.clone().unwrap_or_default(), name))
}

fn key_of(object: &DynamicObject) -> Key {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    (text(&object.metadata.namespace), text(&object.metadata.name))
}

/// Whether `known` is a newer version of the same object. Versions that are not numbers cannot be compared.
fn is_newer(known: &DynamicObject, object: &DynamicObject) -> bool {
    let version = |object: &DynamicObject| version_of(&object.metadata);
    known.metadata.uid == object.metadata.uid
        && version(known)
            .zip(version(object))
            .is_some_and(|(known, new)| known > new)
}

/// Drops what no reconcile reads.
fn trim(object: &mut DynamicObject) {
    if let Some(data) = object.data.as_object_mut() {
        data.remove("status");
    }
    if let Some(record) = &mut object.metadata.managed_fields {
        record.retain(is_our_apply);
    }
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    #[test]
    fn a_workspace_has_the_objects_with_its_label_and_none_that_lost_it() {
        let kind = ObjectKind {
            api_version: "x.org/v1".to_owned(),
            kind: "Thing".to_owned(),
        };
        let identity = testing::identity();
        let thing = |namespace: &str, name: &str, workspace: &str, version: &str| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {
                "namespace": namespace, "name": name, "uid": name, "resourceVersion": version,
                "labels": {names::WORKSPACE_LABEL: workspace},
            }}))
            .unwrap()
        };
        let (ours, other) = (identity.namespace.as_str(), "elsewhere");
        let store = ObjectStore::default();
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&());
        let listed = [
            thing(ours, "a", &identity.name, "1"),
            thing(ours, "b", "another", "1"),
            thing(other, "a", &identity.name, "1"),
        ];
        store.set_available(&kind, &resource, listed.to_vec());
        let found = || -> Vec<_> {
            let all = store.with_label_of(&identity).into_iter();
            all.filter_map(|live| live.object.metadata.name.clone()).collect()
        };
        assert_eq!(found(), ["a"]);
        store.update(&kind, thing(ours, "b", &identity.name, "2"));
        assert_eq!(found(), ["a", "b"]);
        store.update(&kind, thing(ours, "b", "another", "1"));
        assert_eq!(found(), ["a", "b"], "an older version changes nothing");
        store.update(&kind, thing(ours, "a", "another", "2"));
        assert_eq!(found(), ["b"]);
        store.update(&kind, thing(ours, "a", &identity.name, "3"));
        let mut unlabelled = thing(ours, "a", "", "4");
        unlabelled.metadata.labels = None;
        store.update(&kind, unlabelled);
        assert_eq!(found(), ["b"]);
        assert!(store.get(&kind, ours, "a").is_none());
        store.remove(&kind, ours, "b");
        assert_eq!(found(), [""; 0]);
        store.set_available(&kind, &resource, listed.to_vec());
        assert_eq!(found(), ["a"]);
        store.set_unavailable(&kind, "gone");
        assert_eq!(found(), [""; 0]);
    }
}
