//! Watch events -> the changed objects, before and after (in memory), and what about them matters.
//!
//! It is hand-written: the predicates of `kube::runtime` tell that an object changed, but not what it was before. Workspaces that an
//! object concerned before have to be reconciled, too.

use std::{collections::HashMap, sync::Arc};

use api::{
    Workspace,
    condition::{self, VALID},
    names,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Resource,
    runtime::{reflector::ObjectRef, watcher::Event},
};

use crate::cache::stores::{CacheWriter, Content, Parsed};

/// A changed object. At least one side is present.
pub(super) struct Change<K> {
    before: Option<Arc<Parsed<K>>>,
    /// `None`: it was deleted.
    pub(super) after: Option<Arc<Parsed<K>>>,
}

/// Applies an event to a cache. Returns the objects of the event. At the end of a list, these are all objects before and after it: no
/// event reports what was deleted meanwhile.
pub(super) fn apply<K>(writer: &mut CacheWriter<K>, event: &Event<Parsed<K>>) -> Vec<Change<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let cache = writer.as_reader();
    match event {
        Event::Init | Event::InitApply(_) => {
            writer.apply_watcher_event(event);
            Vec::new()
        }
        Event::InitDone => {
            let mut before = by_name(cache.state());
            writer.apply_watcher_event(event);
            let after = by_name(cache.state()).into_iter().map(|(name, after)| Change {
                before: before.remove(&name),
                after: Some(after),
            });
            let mut changes: Vec<_> = after.collect();
            changes.extend(before.into_values().map(Change::deletion));
            changes
        }
        Event::Apply(object) => {
            let name = ObjectRef::from_obj(object);
            let before = cache.get(&name);
            writer.apply_watcher_event(event);
            let after = cache.get(&name);
            vec![Change { before, after }]
        }
        Event::Delete(object) => {
            let before = cache.get(&ObjectRef::from_obj(object));
            writer.apply_watcher_event(event);
            let object = before.unwrap_or_else(|| Arc::new(object.clone()));
            vec![Change::deletion(object)]
        }
    }
}

type Name<K> = ObjectRef<Parsed<K>>;

fn by_name<K>(objects: Vec<Arc<Parsed<K>>>) -> HashMap<Name<K>, Arc<Parsed<K>>>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let named = objects
        .into_iter()
        .map(|object| (ObjectRef::from_obj(&*object), object));
    named.collect()
}

impl<K> Change<K> {
    fn deletion(object: Arc<Parsed<K>>) -> Self {
        Self {
            before: Some(object),
            after: None,
        }
    }
}

impl<K: Resource + Clone> Change<K> {
    /// The metadata of the object.
    pub(super) fn meta(&self) -> Option<&ObjectMeta> {
        let object = self.after.as_ref().or(self.before.as_ref());
        object.map(|object| object.meta())
    }

    /// Whether the object is new, deleted, or differs.
    fn differs(&self, is_same: impl Fn(&Parsed<K>, &Parsed<K>) -> bool) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => before.meta().uid != after.meta().uid || !is_same(before, after),
            _ => true,
        }
    }

    /// Whether anything changed, including whether it can be parsed.
    pub(super) fn is_any(&self) -> bool {
        self.differs(|before, after| {
            let version = |object: &Parsed<K>| object.meta().resource_version.clone();
            (version(before), before.0.is_ok()) == (version(after), after.0.is_ok())
        })
    }

    /// Whether anything that the cache keeps changed.
    pub(super) fn is_of_content(&self) -> bool
    where
        K: Content,
    {
        self.differs(Parsed::is_same)
    }

    /// The object before and after.
    pub(super) fn sides(&self) -> impl Iterator<Item = &Parsed<K>> {
        self.before.iter().chain(&self.after).map(AsRef::as_ref)
    }

    /// Whether anything except the status and other bookkeeping changed.
    pub(super) fn is_of_spec(&self) -> bool {
        fn relevant(meta: &ObjectMeta) -> impl PartialEq + '_ {
            let deleted = meta.deletion_timestamp.is_some();
            (
                meta.generation,
                &meta.finalizers,
                &meta.annotations,
                &meta.labels,
                deleted,
            )
        }
        self.differs(|before, after| relevant(before.meta()) == relevant(after.meta()))
    }
}

impl Change<Workspace> {
    /// Whether anything changed that the controllers of all workspaces (`catalog`, `shares`, `network_policies`) read of one. Its steps between
    /// start and stop are not part of it. Otherwise each step of hundreds of workspaces would trigger a reconcile of all objects.
    pub(super) fn is_of_references(&self) -> bool {
        fn references(workspace: &Workspace) -> impl PartialEq + '_ {
            let (meta, spec) = (&workspace.metadata, &workspace.spec);
            let status = workspace.status.as_ref();
            let resolved = status.and_then(|status| status.resolved.as_ref());
            let conditions = status.map(|status| &*status.conditions);
            let valid = condition::find(conditions.unwrap_or_default(), VALID);
            let rejected = valid.filter(|valid| valid.status == "False");
            (
                (names::owner(meta), meta.deletion_timestamp.is_some()),
                (&spec.template_ref, &spec.manager_ref, &spec.execution_profile_ref),
                resolved.map(|it| (&it.template_uid, &it.manager, &it.execution_profile)),
                rejected.map(|valid| valid.observed_generation),
            )
        }
        self.differs(|before, after| match (&before.0, &after.0) {
            (Ok(before), Ok(after)) => references(before) == references(after),
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use testkit::objects;

    use super::*;

    fn change<K>(writer: &mut CacheWriter<K>, object: &K) -> Change<K>
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        apply(writer, &Event::Apply(Parsed::new(object.clone()))).remove(0)
    }

    #[test]
    fn a_status_write_is_no_change_of_the_spec_and_a_new_annotation_is() {
        let mut writer = CacheWriter::default();
        let mut workspace = objects::workspace("demo");
        assert!(change(&mut writer, &workspace).is_of_spec());
        workspace.metadata.resource_version = Some("99".to_owned());
        let written = change(&mut writer, &workspace);
        assert!(written.is_any() && !written.is_of_spec());
        assert!(!change(&mut writer, &workspace).is_any());
        workspace.metadata.annotations = None;
        assert!(change(&mut writer, &workspace).is_of_spec());
    }

    #[test]
    fn references_owner_and_deletion_of_a_workspace_matter_to_all_and_its_steps_do_not() {
        let mut writer = CacheWriter::default();
        let mut matters = |workspace: &Workspace| change(&mut writer, workspace).is_of_references();
        let mut workspace = objects::workspace("demo");
        assert!(matters(&workspace), "it is new");
        workspace.spec.desired_status = api::workspace::DesiredStatus::Stopped;
        workspace.metadata.generation = Some(7);
        workspace.status = Some(api::WorkspaceStatus::default());
        assert!(!matters(&workspace), "it stops");
        workspace.status.as_mut().unwrap().resolved = Some(api::workspace::Resolved {
            manager: Some("main".to_owned()),
            ..Default::default()
        });
        assert!(matters(&workspace), "it got a manager");
        let rejected = serde_json::json!([{
            "type": VALID, "status": "False", "reason": "TemplateTerminating", "message": "m", "observedGeneration": 7,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]);
        workspace.status.as_mut().unwrap().conditions = serde_json::from_value(rejected).unwrap();
        assert!(matters(&workspace), "it is rejected");
        workspace.spec.manager_ref = Some("other".to_owned());
        assert!(matters(&workspace), "it refers to another");
        workspace.metadata.annotations = None;
        assert!(matters(&workspace), "it has no owner");
        workspace.metadata.deletion_timestamp = workspace.metadata.creation_timestamp.clone();
        assert!(matters(&workspace), "it is being deleted");
        assert!(!matters(&workspace));
        let gone = apply(&mut writer, &Event::Delete(Parsed::new(workspace))).remove(0);
        assert!(gone.is_of_references() && gone.after.is_none());
    }

    /// The names of the objects that a list changed. `broken`: an earlier list that did not reach its end.
    fn listed(writer: &mut CacheWriter<Workspace>, broken: &[&Workspace], all: &[&Workspace]) -> Vec<String> {
        for list in [broken, all] {
            apply(writer, &Event::Init);
            for workspace in list {
                apply(
                    writer,
                    &Event::InitApply(Parsed::new(Workspace::clone(workspace))),
                );
            }
        }
        let changes = apply(writer, &Event::InitDone).into_iter();
        let relevant = changes.filter(Change::is_of_spec);
        let mut names: Vec<_> = relevant
            .filter_map(|change| change.meta()?.name.clone())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_list_changes_objects_that_differ_or_are_gone_and_no_others() {
        let mut writer = CacheWriter::default();
        let (a, mut b, c) = (
            objects::workspace("a"),
            objects::workspace("b"),
            objects::workspace("c"),
        );
        assert_eq!(listed(&mut writer, &[], &[&a, &b, &c]), ["a", "b", "c"]);
        assert_eq!(listed(&mut writer, &[], &[&a, &b, &c]), [""; 0]);
        b.metadata.generation = Some(2);
        assert_eq!(listed(&mut writer, &[&b], &[&a, &b]), ["b", "c"]);
        assert_eq!(listed(&mut writer, &[], &[&a, &b]), [""; 0]);
    }
}
