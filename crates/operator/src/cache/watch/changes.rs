//! Versions of objects -> whether they changed, and which workspaces that concerns (in memory).
//!
//! It is hand-written: the predicates of `kube::runtime` tell that an object changed, but not which workspaces referred to it before.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use api::{
    Workspace,
    condition::{self, VALID},
    names,
};
use k8s_openapi::{api::storage::v1::StorageClass, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use kube::Resource;

use super::Call;
use crate::cache::stores::Parsed;

/// A hash of what the controllers of all workspaces (`catalog`, `shares`, `orphans`) read of one workspace; `None` if it does not parse.
/// Its steps between start and stop are not part of it. Otherwise each step of hundreds of workspaces would trigger a reconcile of all
/// objects.
pub(super) fn relations_of(object: &Parsed<Workspace>) -> Option<u64> {
    let workspace = object.0.as_ref().ok()?;
    let (meta, spec) = (&workspace.metadata, &workspace.spec);
    let resolved = workspace.status.as_ref().map(|status| {
        let resolved = status.resolved.as_ref();
        resolved.map(|it| (&it.template_uid, &it.manager, &it.execution_profile))
    });
    let mut hasher = DefaultHasher::new();
    (names::owner(meta), meta.deletion_timestamp.is_some()).hash(&mut hasher);
    (&spec.template_ref, &spec.manager_ref, &spec.execution_profile_ref).hash(&mut hasher);
    resolved.flatten().hash(&mut hasher);
    let conditions = workspace.status.as_ref().map(|status| &*status.conditions);
    let valid = condition::find(conditions.unwrap_or_default(), VALID);
    let rejected = valid.filter(|valid| valid.status == "False");
    rejected.map(|valid| valid.observed_generation).hash(&mut hasher);
    Some(hasher.finish())
}

/// A hash of what reconciles read of a storage class.
pub(super) fn class_of(object: &Parsed<StorageClass>) -> Option<u64> {
    let mut class = StorageClass::clone(object.0.as_ref().ok()?);
    class.metadata.resource_version = None;
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(&class).ok()?.hash(&mut hasher);
    Some(hasher.finish())
}

/// The last seen state of each object.
#[derive(Default)]
pub(super) struct Changes {
    seen: HashMap<String, u64>,
}

impl Changes {
    /// Whether anything except status and bookkeeping changed. A deletion is always a change.
    pub(super) fn is_news(&mut self, meta: &ObjectMeta, gone: bool) -> bool {
        let mut hasher = DefaultHasher::new();
        (meta.generation, &meta.finalizers, &meta.annotations, &meta.labels).hash(&mut hasher);
        meta.deletion_timestamp.is_some().hash(&mut hasher);
        self.differ(meta, gone, Some(hasher.finish()))
    }

    /// Whether anything changed, including whether it can be parsed.
    pub(super) fn is_other<K: Resource + Clone>(&mut self, object: &Parsed<K>, gone: bool) -> bool {
        let mut hasher = DefaultHasher::new();
        (&object.meta().resource_version, object.0.is_ok()).hash(&mut hasher);
        self.differ(object.meta(), gone, Some(hasher.finish()))
    }

    /// Whether the hash `now` differs from the last one. A deletion and an unknown hash are always changes.
    pub(super) fn differ(&mut self, meta: &ObjectMeta, gone: bool, now: Option<u64>) -> bool {
        let key = meta.uid.clone().unwrap_or_default();
        if let Some(now) = now.filter(|_| !gone) {
            return self.seen.insert(key, now) != Some(now);
        }
        self.seen.remove(&key);
        true
    }
}

/// Which workspaces each object of a kind concerns, by its UID, and the state of a list in progress.
#[derive(Default)]
pub(super) struct Known {
    concerned: HashMap<String, Call>,
    listed: HashMap<String, Call>,
    changed: Vec<Call>,
}

impl Known {
    pub(super) fn remember(&mut self, meta: &ObjectMeta, call: Option<&Call>) {
        if let Some(call) = call {
            self.concerned.insert(uid_of(meta), call.clone());
        }
    }

    pub(super) fn forget(&mut self, meta: &ObjectMeta) {
        self.concerned.remove(&uid_of(meta));
    }

    /// Starts a list. An earlier list may have been aborted. Its objects are kept, so that they do not count as changed again.
    pub(super) fn begin_list(&mut self) {
        self.concerned.extend(self.listed.drain());
    }

    /// Adds a listed object. `call`: which workspaces it concerns, if it has changed.
    pub(super) fn list(&mut self, meta: &ObjectMeta, call: Option<Call>) {
        let uid = uid_of(meta);
        let earlier = self.concerned.remove(&uid);
        self.changed.extend(call.clone());
        self.listed.extend(call.or(earlier).map(|call| (uid, call)));
    }

    /// Returns which workspaces are concerned by objects that changed or are no longer listed.
    pub(super) fn end_list(&mut self) -> Vec<Call> {
        let vanished = std::mem::replace(&mut self.concerned, std::mem::take(&mut self.listed));
        let concerned: HashSet<Call> = self.changed.drain(..).chain(vanished.into_values()).collect();
        concerned.into_iter().collect()
    }
}

fn uid_of(meta: &ObjectMeta) -> String {
    meta.uid.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use testkit::objects;

    use super::*;
    use crate::cache::watch::trigger;

    #[test]
    fn a_status_write_is_no_news_and_a_new_annotation_is() {
        let mut changes = Changes::default();
        let mut workspace = objects::workspace("demo");
        assert!(changes.is_news(&workspace.metadata, false));
        workspace.metadata.resource_version = Some("99".to_owned());
        assert!(!changes.is_news(&workspace.metadata, false));
        workspace.metadata.annotations = None;
        assert!(changes.is_news(&workspace.metadata, false));
    }

    #[test]
    fn who_looks_at_all_workspaces_is_woken_by_what_one_refers_to_and_not_by_its_steps() {
        let mut relations = Changes::default();
        let mut beats = |workspace: &Workspace, gone: bool| {
            let object = Parsed::of(workspace.clone());
            relations.differ(object.meta(), gone, relations_of(&object))
        };
        let mut workspace = objects::workspace("demo");
        assert!(beats(&workspace, false), "it is new");
        workspace.spec.desired_status = api::workspace::DesiredStatus::Stopped;
        workspace.metadata.generation = Some(7);
        workspace.status = Some(api::WorkspaceStatus::default());
        assert!(!beats(&workspace, false), "it stops");
        workspace.status.as_mut().unwrap().resolved = Some(api::workspace::Resolved {
            manager: Some("main".to_owned()),
            ..Default::default()
        });
        assert!(beats(&workspace, false), "it is led to a manager");
        let rejected = serde_json::json!([{
            "type": VALID, "status": "False", "reason": "TemplateTerminating", "message": "m", "observedGeneration": 7,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]);
        workspace.status.as_mut().unwrap().conditions = serde_json::from_value(rejected).unwrap();
        assert!(beats(&workspace, false), "it is rejected");
        workspace.spec.manager_ref = Some("other".to_owned());
        assert!(beats(&workspace, false), "it refers to another");
        workspace.metadata.annotations = None;
        assert!(beats(&workspace, false), "nobody owns it");
        workspace.metadata.deletion_timestamp = workspace.metadata.creation_timestamp.clone();
        assert!(beats(&workspace, false), "it is being deleted");
        assert!(!beats(&workspace, false));
        assert!(beats(&workspace, true), "it is gone");
    }

    #[test]
    fn a_finalizer_that_was_set_is_news_and_a_status_is_none() {
        let mut changes = Changes::default();
        let mut template = objects::template("t");
        changes.is_news(&template.metadata, false);
        template.metadata.finalizers = Some(vec![names::IN_USE_FINALIZER.to_owned()]);
        assert!(changes.is_news(&template.metadata, false));
        template.metadata.resource_version = Some("8".to_owned());
        assert!(!changes.is_news(&template.metadata, false));
    }

    #[test]
    fn an_object_that_is_gone_is_news_although_nothing_in_it_changed() {
        let mut changes = Changes::default();
        let manager = objects::manager("main");
        changes.is_news(&manager.metadata, false);
        assert!(changes.is_news(&manager.metadata, true));
        assert!(changes.seen.is_empty());
    }

    #[test]
    fn after_a_list_those_are_called_whose_objects_differ_or_are_gone_and_nobody_else() {
        let mut known = Known::default();
        let mut changes = Changes::default();
        let mut list = |workspaces: &[&Workspace]| {
            known.begin_list();
            for workspace in workspaces {
                let meta = &workspace.metadata;
                let call = changes
                    .is_news(meta, false)
                    .then(|| Call::One(trigger(meta, meta.name.as_deref())));
                known.list(meta, call);
            }
            let calls = known.end_list().into_iter().filter_map(|call| match call {
                Call::One(trigger) => Some(trigger.name),
                _ => None,
            });
            let mut names: Vec<_> = calls.collect();
            names.sort();
            names
        };
        let (a, mut b, c) = (
            objects::workspace("a"),
            objects::workspace("b"),
            objects::workspace("c"),
        );
        assert_eq!(list(&[&a, &b, &c]), ["a", "b", "c"]);
        assert_eq!(list(&[&a, &b, &c]), [""; 0]);
        b.metadata.generation = Some(2);
        assert_eq!(list(&[&a, &b]), ["b", "c"]);
        assert_eq!(list(&[&a, &b]), [""; 0]);
    }

    #[test]
    fn a_change_that_a_broken_list_told_of_is_told_by_the_next_one() {
        let mut known = Known::default();
        let call = |name: &str| Call::Template(name.to_owned());
        let (a, b) = (objects::template("a").metadata, objects::template("b").metadata);
        known.begin_list();
        known.list(&a, Some(call("a")));
        known.begin_list();
        known.list(&a, None);
        known.list(&b, None);
        assert_eq!(known.end_list(), [call("a")]);
        known.begin_list();
        assert_eq!(known.end_list(), [call("a")], "it is gone");
    }

    #[test]
    fn a_storage_class_is_another_when_something_of_it_is_and_not_for_a_version() {
        let class = |version: &str, expands: bool| -> Parsed<StorageClass> {
            serde_json::from_value(serde_json::json!({
                "metadata": {"name": "c", "resourceVersion": version}, "provisioner": "p", "allowVolumeExpansion": expands,
            }))
            .unwrap()
        };
        assert_eq!(class_of(&class("1", true)), class_of(&class("2", true)));
        assert_ne!(class_of(&class("1", true)), class_of(&class("1", false)));
    }
}
