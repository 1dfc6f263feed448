//! Watch events of one kind of child -> its cache, found by name and by workspace (in memory).

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use api::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, runtime::watcher::Event};
use tokio::sync::watch;

use super::{
    compact::{Compact, drop_bookkeeping},
    guarded::Guarded,
};

/// The cache of one kind of child: objects with a workspace's label, compacted.
#[derive(Debug)]
pub struct Children<K> {
    shelf: Arc<RwLock<Shelf<K>>>,
    filled: watch::Receiver<bool>,
}

/// The writing end of [`Children`].
#[derive(Debug)]
pub struct ChildrenWriter<K> {
    shelf: Arc<RwLock<Shelf<K>>>,
    /// What a list has said so far.
    listed: Shelf<K>,
    filled: watch::Sender<bool>,
}

/// Whose an object is by its label: namespace and name of a workspace.
pub type Parent = (String, String);

#[derive(Debug)]
struct Shelf<K> {
    by_name: HashMap<String, Arc<K>>,
    by_workspace: HashMap<String, Vec<Arc<K>>>,
}

impl<K> Default for Shelf<K> {
    fn default() -> Self {
        Self {
            by_name: HashMap::new(),
            by_workspace: HashMap::new(),
        }
    }
}

impl<K> Clone for Children<K> {
    fn clone(&self) -> Self {
        Self {
            shelf: self.shelf.clone(),
            filled: self.filled.clone(),
        }
    }
}

impl<K> Default for ChildrenWriter<K> {
    fn default() -> Self {
        Self {
            shelf: Arc::default(),
            listed: Shelf::default(),
            filled: watch::Sender::new(false),
        }
    }
}

impl<K> Children<K> {
    /// The object of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.read(|shelf| shelf.by_name.get(&key(namespace, name)).cloned())
    }

    /// Every object with the label of this workspace.
    pub fn of(&self, namespace: &str, workspace: &str) -> Vec<Arc<K>> {
        self.read(|shelf| {
            let found = shelf.by_workspace.get(&key(namespace, workspace));
            found.cloned().unwrap_or_default()
        })
    }

    /// Every object for which `wanted` holds. It looks at all there are.
    pub fn select(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.read(|shelf| {
            let all = shelf.by_name.values();
            all.filter(|object| wanted(object)).cloned().collect()
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.read(|shelf| shelf.by_name.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Resolves when the cache has been filled once.
    ///
    /// # Errors
    /// When the writing end was dropped before that.
    pub async fn wait_until_ready(&self) -> Result<(), watch::error::RecvError> {
        self.filled.clone().wait_for(|filled| *filled).await.map(drop)
    }

    fn read<T>(&self, ask: impl FnOnce(&Shelf<K>) -> T) -> T {
        ask(&self.shelf.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K> ChildrenWriter<K>
where
    K: Resource<DynamicType = ()> + Compact + Clone + PartialEq,
{
    /// The reading end.
    pub fn as_reader(&self) -> Children<K> {
        Children {
            shelf: self.shelf.clone(),
            filled: self.filled.subscribe(),
        }
    }

    /// Takes an event in and says whose child has changed in anything that matters. After a list, it could be anybody's:
    /// that is left to the caller.
    pub fn apply(&mut self, event: Event<Guarded<K>>) -> Vec<Parent> {
        match event {
            Event::Init => self.listed = Shelf::default(),
            Event::InitApply(object) => {
                if let Some(object) = readable(object) {
                    self.listed.put(object);
                }
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                *self.shelf.write().unwrap_or_else(PoisonError::into_inner) = listed;
                self.filled.send_replace(true);
            }
            Event::Apply(object) => {
                let mut kept = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
                // One that cannot be read is none: whoever wants to write it will be told by the API server.
                let (name, mut object) = (name_of(object.meta()), readable(object));
                let before = kept.take(&name);
                let same = match (&before, &mut object) {
                    (Some(before), Some(object)) => is_same(before.as_ref(), object),
                    (before, object) => before.is_none() && object.is_none(),
                };
                let mut parents: Vec<Parent> = Vec::new();
                if !same {
                    let both = before.iter().map(AsRef::as_ref).chain(&object);
                    parents.extend(both.filter_map(|object| parent_of(object.meta())));
                    parents.dedup();
                }
                if let Some(object) = object {
                    kept.put(object);
                }
                return parents;
            }
            Event::Delete(object) => {
                let mut kept = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
                kept.take(&name_of(object.meta()));
                return parent_of(object.meta()).into_iter().collect();
            }
        }
        Vec::new()
    }
}

impl<K: Resource<DynamicType = ()>> Shelf<K> {
    fn put(&mut self, object: K) {
        let object = Arc::new(object);
        if let Some((namespace, workspace)) = parent_of(object.meta()) {
            let siblings = self.by_workspace.entry(key(&namespace, &workspace));
            // Most workspaces have one child of a kind.
            siblings
                .or_insert_with(|| Vec::with_capacity(1))
                .push(object.clone());
        }
        self.by_name.insert(name_of(object.meta()), object);
    }

    fn take(&mut self, name: &str) -> Option<Arc<K>> {
        let object = self.by_name.remove(name)?;
        if let Some((namespace, workspace)) = parent_of(object.meta()) {
            let parent = key(&namespace, &workspace);
            if let Some(siblings) = self.by_workspace.get_mut(&parent) {
                siblings.retain(|sibling| !Arc::ptr_eq(sibling, &object));
                if siblings.is_empty() {
                    self.by_workspace.remove(&parent);
                }
            }
        }
        Some(object)
    }
}

fn readable<K>(object: Guarded<K>) -> Option<K>
where
    K: Resource<DynamicType = ()> + Compact + Clone,
{
    match object.0 {
        Ok(object) => {
            let mut object = Arc::unwrap_or_clone(object);
            object.compact();
            drop_bookkeeping(object.meta_mut());
            // A copy is as large as it has to be; what was parsed has room to grow everywhere.
            Some(object.clone())
        }
        Err(invalid) => {
            let object = name_of(&invalid.metadata);
            tracing::warn!(kind = %K::kind(&()), object, error = invalid.error, "an object cannot be read");
            None
        }
    }
}

/// Whether two states of an object differ in nothing but their version.
fn is_same<K: Resource + PartialEq>(before: &K, after: &mut K) -> bool {
    if before.meta().generation != after.meta().generation || before.meta().uid != after.meta().uid {
        return false;
    }
    let before_version = before.meta().resource_version.clone();
    let version = std::mem::replace(&mut after.meta_mut().resource_version, before_version);
    let same = before == after;
    after.meta_mut().resource_version = version;
    same
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
    format!("{namespace}/{name}")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;

    fn pod(name: &str, workspace: &str, version: &str, phase: &str) -> Guarded<Pod> {
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
    fn children_are_found_by_name_and_by_workspace_until_they_are_gone() {
        let mut writer = ChildrenWriter::default();
        let pods = writer.as_reader();
        for (name, workspace) in [("a-1", "a"), ("b-1", "b")] {
            assert_eq!(
                writer.apply(Event::Apply(pod(name, workspace, "1", "Pending"))),
                parents(&[workspace])
            );
        }
        assert_eq!(names(&pods.of("team", "a")), ["a-1"]);
        assert!(pods.of("other", "a").is_empty());
        assert!(pods.get("team", "b-1").is_some());
        assert_eq!(
            writer.apply(Event::Delete(pod("a-1", "a", "2", "Pending"))),
            parents(&["a"])
        );
        assert!(pods.of("team", "a").is_empty() && pods.get("team", "a-1").is_none());
        assert_eq!(pods.len(), 1);
    }

    #[test]
    fn a_change_of_nothing_that_matters_tells_nobody_and_yet_its_version_is_kept() {
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
    fn a_child_that_changes_hands_tells_both() {
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
        writer.apply(Event::InitDone);
        assert_eq!(names(&pods.of("team", "a")), ["new"]);
    }

    #[tokio::test]
    async fn readers_wait_for_the_first_list() {
        let mut writer = ChildrenWriter::<Pod>::default();
        let pods = writer.as_reader();
        writer.apply(Event::Init);
        writer.apply(Event::InitDone);
        pods.wait_until_ready().await.unwrap();
        let unwritten = ChildrenWriter::<Pod>::default().as_reader();
        assert!(unwritten.wait_until_ready().await.is_err());
    }
}
