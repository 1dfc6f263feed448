//! Watch events of one kind of child -> its cache, by name and by workspace (in memory).

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

use api::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, runtime::watcher::Event};
use tokio::sync::watch;

use super::{packed::Packed, parsed::Parsed, trim::Trim};

/// The cache of one kind of child: objects with a workspace's label, trimmed, as text.
#[derive(Debug)]
pub struct Children<K> {
    shelf: Arc<RwLock<Shelf<K>>>,
    filled: watch::Receiver<bool>,
}

/// The writing end of [`Children`].
#[derive(Debug)]
pub struct ChildrenWriter<K> {
    shelf: Arc<RwLock<Shelf<K>>>,
    /// The objects that the current list has returned so far.
    listed: Shelf<K>,
    filled: watch::Sender<bool>,
}

/// Namespace and name of the workspace in an object's label.
pub type Parent = (String, String);

#[derive(Debug)]
struct Shelf<K> {
    by_name: HashMap<Box<str>, Arc<Entry<K>>>,
    by_workspace: HashMap<Box<str>, Vec<Arc<Entry<K>>>>,
}

#[derive(Debug)]
struct Entry<K> {
    /// The key of its workspace.
    parent: Option<Box<str>>,
    kept: Packed<K>,
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

impl<K: Trim> Children<K> {
    /// The object of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let found = self.read(|shelf| shelf.by_name.get(key(namespace, name).as_str()).cloned());
        found?.kept.open()
    }

    /// Every object with the label of this workspace.
    pub fn of(&self, namespace: &str, workspace: &str) -> Vec<Arc<K>> {
        let found = self.read(|shelf| {
            shelf
                .by_workspace
                .get(key(namespace, workspace).as_str())
                .cloned()
        });
        let found = found.unwrap_or_default();
        found.iter().filter_map(|entry| entry.kept.open()).collect()
    }

    /// Every object that `likely` accepts. It checks the text of all objects, and parses only those.
    pub fn select(&self, likely: impl Fn(&Glance<'_>) -> bool) -> Vec<Arc<K>> {
        let found: Vec<_> = self.read(|shelf| {
            let all = shelf.by_name.values();
            all.filter(|entry| likely(&entry.glance())).cloned().collect()
        });
        found.iter().filter_map(|entry| entry.kept.open()).collect()
    }
}

impl<K> Children<K> {
    /// The workspaces of the objects that `wanted` accepts.
    pub fn parents(&self, wanted: impl Fn(&Glance<'_>) -> bool) -> Vec<Parent> {
        self.read(|shelf| {
            let all = shelf.by_name.values();
            let found = all.filter(|entry| wanted(&entry.glance()));
            found.filter_map(|entry| entry.parent()).collect()
        })
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.read(|shelf| shelf.by_name.len())
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

    fn read<T>(&self, ask: impl FnOnce(&Shelf<K>) -> T) -> T {
        ask(&self.shelf.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K> ChildrenWriter<K>
where
    K: Trim,
{
    /// The reading end.
    pub fn as_reader(&self) -> Children<K> {
        Children {
            shelf: self.shelf.clone(),
            filled: self.filled.subscribe(),
        }
    }

    /// Applies an event. Returns the workspaces whose child has a relevant change. At the end of a list, these are the workspaces of
    /// changed and vanished objects.
    pub fn apply(&mut self, event: Event<Parsed<K>>) -> Vec<Parent> {
        match event {
            Event::Init => self.listed = Shelf::default(),
            Event::InitApply(object) => {
                let name = name_of(object.meta());
                if let Some(entry) = readable(object) {
                    self.listed.put(name, entry);
                }
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let mut kept = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
                let parents = listed.differing(&kept);
                *kept = listed;
                self.filled.send_replace(true);
                return parents;
            }
            Event::Apply(object) => {
                // An object that cannot be parsed counts as absent. A write to it gets the API server's answer.
                let (name, object) = (name_of(object.meta()), readable(object));
                let mut kept = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
                let before = kept.take(&name);
                let same = match (&before, &object) {
                    (Some(before), Some(object)) => before.kept.is_same(&object.kept),
                    (before, object) => before.is_none() && object.is_none(),
                };
                let mut parents: Vec<Parent> = Vec::new();
                if !same {
                    let both = before.iter().map(AsRef::as_ref).chain(&object);
                    parents.extend(both.filter_map(Entry::parent));
                    parents.dedup();
                }
                if let Some(object) = object {
                    kept.put(name, object);
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

impl<K> Entry<K> {
    fn parent(&self) -> Option<Parent> {
        let (namespace, name) = self.glance().workspace?;
        Some((namespace.to_owned(), name.to_owned()))
    }

    fn glance(&self) -> Glance<'_> {
        Glance {
            workspace: self.parent.as_deref().and_then(|parent| parent.split_once('/')),
            text: self.kept.text(),
        }
    }
}

/// The part of an object that is readable without parsing it.
#[derive(Debug)]
pub struct Glance<'a> {
    /// Namespace and name of the workspace in its label.
    pub workspace: Option<(&'a str, &'a str)>,
    text: &'a str,
}

impl Glance<'_> {
    /// Whether it has this key with this text anywhere. Neither may need an escape.
    pub fn says(&self, key: &str, value: &str) -> bool {
        self.text.contains(&format!("\"{key}\":\"{value}\""))
    }
}

impl<K> Shelf<K> {
    fn put(&mut self, name: String, entry: Entry<K>) {
        let entry = Arc::new(entry);
        if let Some(parent) = &entry.parent {
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
        K: Trim,
    {
        let changed = self.by_name.iter().flat_map(|(name, entry)| {
            let before = other.by_name.get(name);
            let same = before.is_some_and(|before| before.kept.is_same(&entry.kept));
            let both = before.into_iter().chain([entry]);
            both.filter(move |_| !same)
        });
        let gone = other
            .by_name
            .iter()
            .filter(|(name, _)| !self.by_name.contains_key(*name));
        let differing = changed.chain(gone.map(|(_, entry)| entry));
        let parents: HashSet<Parent> = differing.filter_map(|entry| entry.parent()).collect();
        parents.into_iter().collect()
    }

    fn take(&mut self, name: &str) -> Option<Arc<Entry<K>>> {
        let entry = self.by_name.remove(name)?;
        if let Some(parent) = &entry.parent
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

fn readable<K>(object: Parsed<K>) -> Option<Entry<K>>
where
    K: Trim,
{
    let name = name_of(object.meta());
    let kept = object
        .0
        .map_err(|unreadable| unreadable.error)
        .and_then(|object| {
            let object = Arc::unwrap_or_clone(object);
            let parent = parent_of(object.meta()).map(|(namespace, name)| key(&namespace, &name).into());
            let kept = Packed::of(object).map_err(|error| error.to_string())?;
            Ok(Entry { parent, kept })
        });
    kept.inspect_err(|error| {
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
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;

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
        assert_eq!(writer.apply(Event::InitDone), parents(&["a"]));
        assert_eq!(names(&pods.of("team", "a")), ["new"]);
    }

    #[test]
    fn a_list_tells_those_whose_children_differ_or_are_gone_and_nobody_else() {
        let mut writer = ChildrenWriter::default();
        let mut list = |pods: &[(&str, &str, &str)]| {
            writer.apply(Event::Init);
            for (name, version, phase) in pods {
                writer.apply(Event::InitApply(pod(name, name, version, phase)));
            }
            let mut told = writer.apply(Event::InitDone);
            told.sort();
            told
        };
        let all = [
            ("a", "1", "Pending"),
            ("b", "1", "Pending"),
            ("c", "1", "Pending"),
        ];
        assert_eq!(list(&all), parents(&["a", "b", "c"]));
        let later = [("a", "2", "Pending"), ("b", "2", "Running")];
        assert_eq!(list(&later), parents(&["b", "c"]));
        assert_eq!(list(&later), [] as [Parent; 0]);
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
