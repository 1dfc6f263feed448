//! Watch events of one kind of child -> its cache, by name and by workspace (in memory).
//!
//! It is hand-written: the store of `kube::runtime` has no index by workspace, and does not tell which changes are relevant.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use api::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, runtime::watcher::Event};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{parsed::Parsed, trim::Trim};
use crate::cache::observed::claims_of;

/// The cache of one kind of child: objects with a workspace's label.
#[derive(Clone, Debug)]
pub struct Children<K> {
    index: Arc<RwLock<Index<K>>>,
    filled: watch::Receiver<bool>,
}

/// The writing end of [`Children`].
#[derive(Debug, Default)]
pub struct ChildrenWriter<K> {
    index: Arc<RwLock<Index<K>>>,
    /// The objects that the current list has returned so far.
    listed: Index<K>,
    filled: watch::Sender<bool>,
}

/// Namespace and name of the workspace in an object's label.
pub type Parent = (String, String);

#[derive(Debug)]
struct Index<K> {
    by_name: HashMap<Box<str>, Arc<Entry<K>>>,
    by_workspace: HashMap<Parent, Vec<Arc<Entry<K>>>>,
}

#[derive(Debug)]
struct Entry<K> {
    keys: Keys,
    cached: Cached<K>,
}

/// The form in which an object is cached.
#[derive(Debug, PartialEq)]
enum Cached<K> {
    Object(Arc<K>),
    /// JSON, for kinds that would take much more memory as objects ([`Trim::AS_TEXT`]).
    Text(Box<str>),
}

impl<K: Trim + PartialEq> Cached<K> {
    fn of(object: Arc<K>) -> serde_json::Result<Self> {
        Ok(if K::AS_TEXT {
            Self::Text(serde_json::to_string(&*object)?.into())
        } else {
            Self::Object(object)
        })
    }

    fn object(&self) -> Option<Arc<K>> {
        match self {
            Self::Object(object) => Some(object.clone()),
            Self::Text(json) => serde_json::from_str(json)
                .inspect_err(
                    |error| tracing::error!(%error, kind = %K::kind(&()), "a cached object cannot be read"),
                )
                .ok()
                .map(Arc::new),
        }
    }

    /// Whether two versions of an object differ in nothing that triggers a reconcile.
    fn is_same(&self, other: &Self) -> bool {
        let relevant = |cached: &Self| {
            let mut object = K::clone(&*cached.object()?);
            object.meta_mut().resource_version = None;
            Some(object)
        };
        self == other || relevant(self) == relevant(other)
    }
}

/// What objects can be selected by without parsing them.
#[derive(Debug)]
pub struct Keys {
    /// The workspace in the label.
    pub workspace: Option<Parent>,
    /// The UID of the workspace in the annotation.
    pub workspace_uid: Option<Box<str>>,
    /// The node of a pod.
    pub node: Option<Box<str>>,
    /// The claims that a pod mounts.
    pub claims: Box<[Box<str>]>,
}

impl Keys {
    fn of<K: Trim>(object: &K) -> Self {
        let annotations = object.meta().annotations.as_ref();
        let uid = annotations.and_then(|annotations| annotations.get(names::WORKSPACE_UID));
        let pod = object.pod_spec();
        Self {
            workspace: parent_of(object.meta()),
            workspace_uid: uid.map(|uid| uid.as_str().into()),
            node: pod.and_then(|pod| Some(pod.node_name.as_deref()?.into())),
            claims: claims_of(pod).map(Into::into).collect(),
        }
    }

    /// Whether it is in this namespace and mounts this claim.
    pub fn mounts(&self, namespace: &str, claim: &str) -> bool {
        self.workspace.as_ref().is_some_and(|(of, _)| of == namespace)
            && self.claims.iter().any(|mounted| **mounted == *claim)
    }
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self {
            by_name: HashMap::new(),
            by_workspace: HashMap::new(),
        }
    }
}

impl<K: Trim + PartialEq> Children<K> {
    /// The object of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let found = self.read(|index| index.by_name.get(key(namespace, name).as_str()).cloned());
        found?.cached.object()
    }

    /// Every object with the label of this workspace.
    pub fn of(&self, namespace: &str, workspace: &str) -> Vec<Arc<K>> {
        let found = self.read(|index| {
            let parent = (namespace.to_owned(), workspace.to_owned());
            index.by_workspace.get(&parent).cloned()
        });
        let found = found.unwrap_or_default();
        found.iter().filter_map(|entry| entry.cached.object()).collect()
    }

    /// Every object whose keys `wanted` accepts.
    pub fn select(&self, wanted: impl Fn(&Keys) -> bool) -> Vec<Arc<K>> {
        let found: Vec<_> = self.read(|index| {
            let all = index.by_name.values();
            all.filter(|entry| wanted(&entry.keys)).cloned().collect()
        });
        found.iter().filter_map(|entry| entry.cached.object()).collect()
    }
}

impl<K> Children<K> {
    /// The workspaces of the objects whose keys `wanted` accepts.
    pub fn parents(&self, wanted: impl Fn(&Keys) -> bool) -> Vec<Parent> {
        self.read(|index| {
            let keys = index.by_name.values().map(|entry| &entry.keys);
            let found = keys.filter(|keys| wanted(keys));
            found.filter_map(|keys| keys.workspace.clone()).collect()
        })
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.read(|index| index.by_name.len())
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Resolves when the cache has been filled once.
    ///
    /// # Errors
    /// The writing end was dropped before that.
    pub async fn wait_until_ready(&self) -> Result<(), watch::error::RecvError> {
        self.filled.clone().wait_for(|filled| *filled).await.map(drop)
    }

    fn read<T>(&self, query: impl FnOnce(&Index<K>) -> T) -> T {
        query(&self.index.read())
    }
}

impl<K: Trim + PartialEq> ChildrenWriter<K> {
    /// The reading end.
    pub fn as_reader(&self) -> Children<K> {
        Children {
            index: self.index.clone(),
            filled: self.filled.subscribe(),
        }
    }

    /// Applies an event. Returns the workspaces whose child has a relevant change. At the end of a list, these are the workspaces of
    /// changed and vanished objects.
    pub fn apply(&mut self, event: Event<Parsed<K>>) -> Vec<Parent> {
        match event {
            Event::Init => self.listed = Index::default(),
            Event::InitApply(object) => {
                let name = name_of(object.meta());
                if let Some(entry) = readable(object) {
                    self.listed.insert(name, Arc::new(entry));
                }
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let before = std::mem::replace(&mut *self.index.write(), listed);
                self.filled.send_replace(true);
                // Only this writer changes the index. Readers go on while objects are parsed.
                return self.index.read().differing(&before);
            }
            Event::Apply(object) => {
                // An object that cannot be parsed counts as absent. A write to it gets the API server's answer.
                let (name, after) = (name_of(object.meta()), readable(object).map(Arc::new));
                let before = self.index.write().replace(name, after.clone());
                let mut parents = concerned(before.as_deref(), after.as_deref());
                parents.dedup();
                return parents;
            }
            Event::Delete(object) => {
                let mut kept = self.index.write();
                kept.remove(&name_of(object.meta()));
                return parent_of(object.meta()).into_iter().collect();
            }
        }
        Vec::new()
    }
}

impl<K> Index<K> {
    /// Puts `after` in the place of the object of this name, and returns that one.
    fn replace(&mut self, name: String, after: Option<Arc<Entry<K>>>) -> Option<Arc<Entry<K>>> {
        let before = self.remove(&name);
        if let Some(after) = after {
            self.insert(name, after);
        }
        before
    }

    fn insert(&mut self, name: String, entry: Arc<Entry<K>>) {
        if let Some(parent) = &entry.keys.workspace {
            let siblings = self.by_workspace.entry(parent.clone());
            // Most workspaces have one child of a kind.
            siblings
                .or_insert_with(|| Vec::with_capacity(1))
                .push(entry.clone());
        }
        self.by_name.insert(name.into(), entry);
    }

    /// The workspaces whose objects differ between the two, or exist in only one.
    fn differing(&self, other: &Self) -> Vec<Parent>
    where
        K: Trim + PartialEq,
    {
        let before = |name| other.by_name.get(name).map(AsRef::as_ref);
        let listed = self
            .by_name
            .iter()
            .map(|(name, entry)| (before(name), Some(&**entry)));
        let gone = other
            .by_name
            .iter()
            .filter(|(name, _)| !self.by_name.contains_key(*name));
        let all = listed.chain(gone.map(|(_, entry)| (Some(&**entry), None)));
        let parents: HashSet<Parent> = all.flat_map(|(before, after)| concerned(before, after)).collect();
        parents.into_iter().collect()
    }

    fn remove(&mut self, name: &str) -> Option<Arc<Entry<K>>> {
        let entry = self.by_name.remove(name)?;
        if let Some(parent) = &entry.keys.workspace
            && let Some(siblings) = self.by_workspace.get_mut(parent)
        {
            siblings.retain(|sibling| !Arc::ptr_eq(sibling, &entry));
            if siblings.is_empty() {
                self.by_workspace.remove(parent);
            }
        }
        Some(entry)
    }
}

/// The workspaces of an object before and after a change, if it is relevant.
fn concerned<K: Trim + PartialEq>(before: Option<&Entry<K>>, after: Option<&Entry<K>>) -> Vec<Parent> {
    let same = match (before, after) {
        (Some(before), Some(after)) => before.cached.is_same(&after.cached),
        (before, after) => before.is_none() && after.is_none(),
    };
    let both = [before, after].into_iter().flatten().filter(move |_| !same);
    both.filter_map(|entry| entry.keys.workspace.clone()).collect()
}

fn readable<K: Trim + PartialEq>(object: Parsed<K>) -> Option<Entry<K>> {
    let name = name_of(object.meta());
    let entry = object
        .0
        .map_err(|unreadable| unreadable.error)
        .and_then(|object| {
            let keys = Keys::of(&*object);
            let cached = Cached::of(object).map_err(|error| error.to_string())?;
            Ok(Entry { keys, cached })
        });
    entry
        .inspect_err(|error| {
            tracing::warn!(kind = %K::kind(&()), object = name, error, "an object cannot be read");
        })
        .ok()
}

fn parent_of(meta: &ObjectMeta) -> Option<Parent> {
    let workspace = meta.labels.as_ref()?.get(names::WORKSPACE_LABEL)?;
    Some((meta.namespace.clone().unwrap_or_default(), workspace.clone()))
}

fn name_of(meta: &ObjectMeta) -> String {
    key(
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    )
}

/// Neither part can contain the separator.
fn key(namespace: &str, name: &str) -> String {
    [namespace, "/", name].concat()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use serde_json::json;

    use super::*;
    use crate::{cache::partial::Pod, testing};

    fn pod(name: &str, workspace: &str, version: &str, phase: &str) -> Parsed<Pod> {
        serde_json::from_value(json!({
            "metadata": {"namespace": "team", "name": name, "uid": name, "resourceVersion": version,
                "labels": {names::WORKSPACE_LABEL: workspace}, "managedFields": [{"manager": "m"}]},
            "spec": {"containers": [{"name": "workspace", "env": [{"name": "A", "value": version}]}]},
            "status": {"phase": phase},
        }))
        .unwrap()
    }

    fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
        pods.iter()
            .filter_map(|pod| pod.metadata.name.as_deref())
            .collect()
    }

    fn parents(workspaces: &[&str]) -> Vec<Parent> {
        workspaces
            .iter()
            .map(|name| ("team".to_owned(), (*name).to_owned()))
            .collect()
    }

    #[test]
    fn an_irrelevant_change_triggers_nothing_and_its_version_is_kept() {
        let mut writer = ChildrenWriter::default();
        let pods = writer.as_reader();
        writer.apply(Event::Apply(pod("a-1", "a", "1", "Pending")));
        assert!(
            writer
                .apply(Event::Apply(pod("a-1", "a", "2", "Pending")))
                .is_empty()
        );
        let kept = pods.get("team", "a-1").unwrap();
        assert_eq!(kept.metadata.resource_version.as_deref(), Some("2"));
        assert_eq!(kept.metadata.managed_fields, None);
        assert_eq!(
            writer.apply(Event::Apply(pod("a-1", "a", "3", "Running"))),
            parents(&["a"])
        );
        assert_eq!(pods.of("team", "a").len(), 1);
    }

    #[test]
    fn a_kind_that_is_cached_as_text_is_compared_and_read_as_an_object() {
        let mut writer = ChildrenWriter::<Service>::default();
        let mut service = testing::started().service.as_deref().unwrap().clone();
        let mut triggers = |version: &str, type_: &str| {
            service.metadata.resource_version = Some(version.to_owned());
            service.spec.as_mut().unwrap().type_ = Some(type_.to_owned());
            let parents = writer.apply(Event::Apply(Parsed::of(service.clone())));
            assert_eq!(*writer.as_reader().of("team", "demo")[0], service);
            !parents.is_empty()
        };
        assert!(triggers("1", "ClusterIP"));
        assert!(!triggers("1", "ClusterIP") && !triggers("2", "ClusterIP"));
        assert!(triggers("3", "NodePort"));
    }

    #[test]
    fn a_child_that_gets_another_workspace_triggers_both() {
        let mut writer = ChildrenWriter::default();
        writer.apply(Event::Apply(pod("a-1", "a", "1", "Pending")));
        assert_eq!(
            writer.apply(Event::Apply(pod("a-1", "b", "2", "Pending"))),
            parents(&["a", "b"])
        );
        assert!(writer.as_reader().of("team", "a").is_empty());
    }

    #[test]
    fn a_list_replaces_everything_at_its_end_and_what_cannot_be_read_is_left_out() {
        let mut writer = ChildrenWriter::default();
        let pods = writer.as_reader();
        writer.apply(Event::Apply(pod("old", "a", "1", "Pending")));
        writer.apply(Event::Init);
        writer.apply(Event::InitApply(pod("new", "a", "1", "Pending")));
        let broken = serde_json::from_value(json!({"metadata": {"name": "x"}, "spec": 7})).unwrap();
        writer.apply(Event::InitApply(broken));
        assert_eq!(names(&pods.of("team", "a")), ["old"]);
        assert_eq!(writer.apply(Event::InitDone), parents(&["a"]));
        assert_eq!(names(&pods.of("team", "a")), ["new"]);
    }
}
